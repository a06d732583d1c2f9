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
from airflow_provider_segexport.vendors.responses import (
    TOO_MANY_REQUESTS,
    as_text,
    describe,
    make_reader,
    retry_hint_from_status,
    unexpected_response,
)

THROTTLED_WAIT_S = 1.0  # 4 calls a second a key, and no header that tells when


def error_of(response: Response) -> tuple[str, str]:
    """Errors are an array of `{error_key, error_message}`; those of sign-in and throttling are a bare object."""
    found = response.json()
    if isinstance(found, list):
        found = found[0] if found else {}
    if not isinstance(found, dict):
        raise UnexpectedResponse(f"{response.url} answered {response.status} with JSON that is no error of its.")
    return as_text(found.get("error_key")), as_text(found.get("error_message"))


def raise_for(response: Response) -> NoReturn:
    """Raise what an unexpected reply means. One 403 stands for scope, user privilege and a deactivated application."""
    key = error_of(response)[0]
    said = describe("Constant Contact", response, key)
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
            raise unexpected_response("Constant Contact", response, key)


read_json = make_reader(raise_for)


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Three kinds of 429: too fast, the day is used up (until midnight UTC), too many activities in the queue."""
    if response.status == TOO_MANY_REQUESTS:
        if b"queued activities" in response.body:
            return JobSlotsFull("Constant Contact holds 1,000 queued activities of this account.")
        if b"quota_exceeded" in response.body or b"Limit Exceeded" in response.body:
            return RateLimited(
                "The API key's 10,000 calls of today are used up at Constant Contact; more from midnight UTC.",
                retry_after_s=seconds_to_midnight(now),
            )
        return RateLimited(f"{response.url} answered 429: more than 4 calls a second.", retry_after_s=THROTTLED_WAIT_S)
    return retry_hint_from_status(response, None, now)


def seconds_to_midnight(now: float) -> float:
    """Seconds until the next midnight UTC, when the daily quota starts over."""
    moment = datetime.fromtimestamp(now, UTC)
    midnight = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (midnight - moment).total_seconds() + 1
