"""Constant Contact: what replies mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NoReturn

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    JobSlotsFull,
    PermissionDenied,
    RateLimited,
    RetryableError,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors.responses import BUSY, answered, busy_or_down, reader, text, unexpected

THROTTLED_WAIT_S = 1.0  # 4 calls a second a key, and no header that tells when


def key_and_words(response: Response) -> tuple[str, str]:
    """Errors are an array of `{error_key, error_message}`; those of sign-in and throttling are a bare object."""
    found = response.json()
    if isinstance(found, list):
        found = found[0] if found else {}
    if not isinstance(found, dict):
        raise UnexpectedResponse(f"{response.url} answered {response.status} with JSON that is no error of its.")
    return text(found.get("error_key")), text(found.get("error_message"))


def refuse(response: Response) -> NoReturn:
    """Raise what an unexpected reply means. One 403 stands for scope, user privilege and a deactivated application."""
    key = key_and_words(response)[0]
    said = answered("Constant Contact", response, key)
    match response.status:
        case 401:
            raise AuthenticationFailed(
                f"{said}. The sign-in has expired or was revoked: run `airflow segexport login` for the connection."
            )
        case 403:
            raise PermissionDenied(
                f"{said}. The sign-in needs the scope contact_data, its user the privilege contacts:write, and the "
                "application must be active."
            )
        case 404:
            raise AudienceNotFound(f"{said}. The id is in the list's address in the browser; was the list deleted?")
        case _:
            raise unexpected("Constant Contact", response, key)


read = reader(refuse)


def refusal(response: Response, now: float) -> RetryableError | None:
    """Three kinds of 429: too fast, the day is used up (until midnight UTC), too many activities in the queue."""
    if response.status == BUSY:
        if b"queued activities" in response.body:
            return JobSlotsFull("Constant Contact holds 1,000 queued activities of this account.")
        if b"quota_exceeded" in response.body or b"Limit Exceeded" in response.body:
            return RateLimited(
                "The API key's 10,000 calls of today are used up at Constant Contact; more from midnight UTC.",
                retry_after_s=to_midnight(now),
            )
        return RateLimited(f"{response.url} answered 429: more than 4 calls a second.", retry_after_s=THROTTLED_WAIT_S)
    return busy_or_down(response, None, now)


def to_midnight(now: float) -> float:
    """Seconds until the next midnight UTC, when the daily quota starts over."""
    moment = datetime.fromtimestamp(now, UTC)
    midnight = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (midnight - moment).total_seconds() + 1
