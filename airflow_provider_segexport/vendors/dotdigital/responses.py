"""dotdigital: errors, retry hints and remaining quota in responses."""

from __future__ import annotations

import re
from typing import NoReturn

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    JobSlotsFull,
    PermissionDenied,
    RateLimited,
    RetryableError,
)
from airflow_provider_segexport.model import Batch, BatchResult, Reason, RemainingQuota, Response, RowRejection
from airflow_provider_segexport.vendors.responses import (
    TOO_MANY_REQUESTS,
    as_object,
    as_text,
    describe,
    make_reader,
    number_header,
    retry_hint_from_status,
    unexpected_response,
    wait_header,
)

INVALID_ID = "contacts:invalidId"
FLAT_SCHEME_WAIT_S = 300
"""Seconds to wait after the flat scheme's hourly limit (a rolling hour). The response does not say how long to wait."""


def error_of(response: Response) -> tuple[str, str]:
    """Return error code and message: `errorCode` and `description` in v3, `message` with an `ERROR_X` code in v2."""
    body = as_object(response.json())
    if as_text(body.get("errorCode")):
        return as_text(body["errorCode"]), as_text(body.get("description"))
    message = as_text(body.get("message"))
    code = re.search(r"ERROR_[A-Z_]+", message)
    return code[0] if code else "", message


def is_unknown_contact(response: Response) -> bool:
    """Return whether a read of one contact says that the account has none with that address.

    For an address that the vendor does not accept, it responds with 400 and `contacts:invalidId` (contacts
    specification 3.4.3), so no contact can have it.
    """
    return response.status == 404 or (  # noqa: PLR2004 - contacts:contactNotFound
        response.status == 400 and error_of(response)[0] == INVALID_ID  # noqa: PLR2004
    )


def raise_for(response: Response) -> NoReturn:
    """Raise the error for a response with an unexpected status."""
    if response.status == 401:  # noqa: PLR2004
        raise AuthenticationFailed(
            "dotdigital answered 401: the API user's name or password is wrong, or the user is disabled. To fix: "
            "compare them with Settings > Access > API users at dotdigital, and correct the Airflow connection."
        )
    if response.status == 403:  # noqa: PLR2004
        raise PermissionDenied(
            f"dotdigital answered 403 from {response.url}: the account lives in another region, or lacks the feature. "
            "To fix: leave the base URL of the connection empty, or ask dotdigital for the feature."
        )
    code = error_of(response)[0]
    failure = describe("dotdigital", response, code)
    if code == "ERROR_ADDRESSBOOK_NOT_FOUND":
        raise AudienceNotFound(
            f"{failure}. The account has no address book with that id. To fix: copy the id from the address of the "
            "book's page in the browser."
        )
    if code == "ERROR_ADDRESSBOOK_NOTWRITABLE":
        raise AudienceNotFound(
            f"{failure}. `Test` and `All Contacts` cannot be written. To fix: choose another address book."
        )
    raise unexpected_response("dotdigital", response, code)


read_json = make_reader(raise_for)


def reject_all(batch: Batch, reason: Reason, code: str, message: str) -> BatchResult:
    """Return a result that rejects every row of a batch and aborts the run.

    Args:
        batch: the rows.
        reason: reason of each rejection.
        code: the vendor's code.
        message: message of each rejection, and reason why the run is aborted.
    """
    return BatchResult(
        rejected=tuple(RowRejection(i, reason, code, message) for i in range(len(batch))), abort_reason=message
    )


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Return the error to raise if a response asks to retry later: some 429s, and the flat scheme's 400.

    `X-RateLimit-Reset` is an epoch time. (Campaign Monitor sends a number of seconds.)
    """
    if response.status == TOO_MANY_REQUESTS and b"tooManyActiveImports" in response.body:
        return JobSlotsFull("dotdigital already runs 25 imports of this account.")
    if response.status == 400 and b"ERROR_APIUSAGE_EXCEEDED" in response.body:  # noqa: PLR2004
        return RateLimited("dotdigital's hourly call limit is reached (flat scheme).", retry_after_s=FLAT_SCHEME_WAIT_S)
    reset_s = wait_header(response.headers, "x-ratelimit-reset", now)
    return retry_hint_from_status(response, None if reset_s is None else max(1.0, reset_s), now)


def remaining_quota(response: Response, now: float) -> RemainingQuota | None:
    """Return the remaining quota of the call's tier; None if the headers lack it. Each response names its tier."""
    headers = response.headers
    calls, reset_s = number_header(headers, "x-ratelimit-remaining"), wait_header(headers, "x-ratelimit-reset", now)
    if calls is None or reset_s is None:
        return None
    return RemainingQuota(int(calls), now + max(1.0, reset_s), headers.get("x-ratelimit-scope", ""))
