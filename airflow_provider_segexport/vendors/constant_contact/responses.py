"""Constant Contact: errors and retry hints in responses."""

from __future__ import annotations

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
    retry_after,
    retry_hint_from_status,
    unexpected_response,
    vendor_time,
)

DAY_S = 86_400.0
THROTTLED_WAIT_S = 1.0
"""Seconds to wait after more than 4 calls a second with one key, if no header says how long to wait. None is
documented."""


def error_of(response: Response) -> tuple[str, str]:
    """Return error key and message. An error is an array of objects; for login and throttling it is one object."""
    body = response.json()
    if isinstance(body, list):
        body = body[0] if body else {}
    if not isinstance(body, dict):
        raise UnexpectedResponse(
            f"{response.url} answered {response.status} with JSON that is not a Constant Contact error. To fix: "
            "check which server answers at the base URL of the connection."
        )
    return as_text(body.get("error_key")), as_text(body.get("error_message"))


def raise_for(response: Response) -> NoReturn:
    """Raise the error for a response with an unexpected status.

    A 403 can mean a missing scope, a missing user privilege, or a deactivated application.
    """
    key = error_of(response)[0]
    failure = describe("Constant Contact", response, key)
    match response.status:
        case 401:
            raise AuthenticationFailed(
                f"{failure}. The login has expired or was revoked. To fix: run `airflow segexport login` for the "
                "connection."
            )
        case 403:
            raise PermissionDenied(
                f"{failure}. The login needs the scope contact_data, its user the privilege contacts:write, and the "
                "application must be active. To fix: check all three in Constant Contact."
            )
        case 404:
            raise AudienceNotFound(
                f"{failure}. The account has no list with that id, or the list was deleted. To fix: copy the id from "
                "the list's address in the browser."
            )
        case _:
            raise unexpected_response("Constant Contact", response, key)


read_json = make_reader(raise_for)


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Return the error to raise if a response asks to retry later; a 429 has one of three causes."""
    if response.status == TOO_MANY_REQUESTS:
        if b"queued activities" in response.body:
            return JobSlotsFull("Constant Contact holds 1,000 queued activities of this account.")
        if b"quota_exceeded" in response.body or b"Limit Exceeded" in response.body:
            return RateLimited(
                "The API key has used its 10,000 daily calls at Constant Contact; the quota resets at midnight UTC.",
                retry_after_s=seconds_to_midnight(vendor_time(response.headers, now)),
            )
        return RateLimited(
            f"{response.url} answered 429: more than 4 calls a second.",
            retry_after_s=retry_after(response.headers, now) or THROTTLED_WAIT_S,
        )
    return retry_hint_from_status(response, None, now)


def seconds_to_midnight(now: float) -> float:
    """Return the seconds from an epoch time to one second after midnight UTC, when the daily quota resets."""
    return DAY_S - now % DAY_S + 1
