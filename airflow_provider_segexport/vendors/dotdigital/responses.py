"""Reads dotdigital's answers: what a refusal means."""

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

# The flat scheme caps calls in a rolling hour and tells no time: look again in five minutes.
FLAT_SCHEME_WAIT_S = 300


def error_of(response: Response) -> tuple[str, str]:
    """v3 says `errorCode` and `description`; v2 hides `ERROR_X` inside the text of `message`."""
    body = as_object(response.json())
    if as_text(body.get("errorCode")):
        return as_text(body["errorCode"]), as_text(body.get("description"))
    words = as_text(body.get("message"))
    code = re.search(r"ERROR_[A-Z_]+", words)
    return code[0] if code else "", words


def raise_for(response: Response) -> NoReturn:
    """Raise what an unexpected reply means."""
    if response.status == 401:  # noqa: PLR2004
        raise AuthenticationFailed(
            "dotdigital answered 401: user name or password of the API user are wrong, or it is disabled. "
            "Check them in the Airflow connection (Settings > Access > API users at dotdigital)."
        )
    if response.status == 403:  # noqa: PLR2004
        raise PermissionDenied(
            f"dotdigital answered 403 from {response.url}: the account lives in another region, or lacks the feature."
        )
    code = error_of(response)[0]
    said = describe("dotdigital", response, code)
    if code == "ERROR_ADDRESSBOOK_NOT_FOUND":
        raise AudienceNotFound(f"{said}. The account has no address book of that id; take it from the book's address.")
    if code == "ERROR_ADDRESSBOOK_NOTWRITABLE":
        raise AudienceNotFound(f"{said}. `Test` and `All Contacts` cannot be written; choose another address book.")
    raise unexpected_response("dotdigital", response, code)


read_json = make_reader(raise_for)


def reject_all(batch: Batch, reason: Reason, code: str, stop: str) -> BatchResult:
    """Every row of the batch refused for one reason, and a word on why to stop."""
    return BatchResult(
        rejected=tuple(RowRejection(i, reason, code, stop) for i in range(len(batch))), abort_reason=stop
    )


def retry_hint(response: Response, now: float) -> RetryableError | None:
    """Three ways to say "later": two kinds of 429, and a 400 in the flat scheme.

    `X-RateLimit-Reset` is a UTC epoch here (a delay in seconds at Campaign Monitor).
    """
    if response.status == TOO_MANY_REQUESTS and b"tooManyActiveImports" in response.body:
        return JobSlotsFull("dotdigital runs 25 imports of this account already.")
    if response.status == 400 and b"ERROR_APIUSAGE_EXCEEDED" in response.body:  # noqa: PLR2004
        return RateLimited(
            "dotdigital's hourly cap of calls is reached (flat scheme).", retry_after_s=FLAT_SCHEME_WAIT_S
        )
    reset = wait_header(response.headers, "x-ratelimit-reset", now)
    return retry_hint_from_status(response, None if reset is None else max(1.0, reset), now)


def remaining_quota(response: Response, now: float) -> RemainingQuota | None:
    """What is left of the tier that the call counts for; tiers differ by call, and only the answer names them."""
    left, reset = (
        number_header(response.headers, "x-ratelimit-remaining"),
        wait_header(response.headers, "x-ratelimit-reset", now),
    )
    if left is None or reset is None:
        return None
    return RemainingQuota(int(left), now + max(1.0, reset), response.headers.get("x-ratelimit-scope", ""))
