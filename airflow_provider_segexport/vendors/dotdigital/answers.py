"""Reads dotdigital's answers: what a refusal means, and what became of each contact of an import."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from airflow_provider_segexport.errors import (
    AudienceUnknown,
    CredentialsRefused,
    PermissionMissing,
    QuotaSpent,
    ReplyNotUnderstood,
    SlotsFull,
    TryAgain,
    without_addresses,
)
from airflow_provider_segexport.model import Allowance, Batch, Reason, Refusal, Response, Settled
from airflow_provider_segexport.vendors.replies import BUSY, busy_or_down, index_by_email, number, reader

# The flat scheme caps calls in a rolling hour and tells no time: look again in five minutes.
FLAT_SCHEME_WAIT_S = 300

# The documented table and the spec's examples name the codes differently: compared in lower case, an open set.
REASONS = {
    "invalidemail": Reason.BAD_EMAIL,
    "invaliddomain": Reason.BAD_EMAIL,
    "globallysuppressed": Reason.SUPPRESSED,
    "suppressedbydomain": Reason.SUPPRESSED,
    "blocker": Reason.SUPPRESSED,
    "duplicate": Reason.REFUSED_BY_VENDOR,
    "duplicateidentifier": Reason.REFUSED_BY_VENDOR,
    "apischemaviolation": Reason.INVALID_VALUE,
    "invalidphonenumber": Reason.INVALID_VALUE,
}


NOBODY: dict[str, Any] = {}


def code_and_words(response: Response) -> tuple[str, str]:
    """v3 says `errorCode` and `description`; v2 hides `ERROR_X` inside the text of `message`."""
    body = response.mapping()
    if "errorCode" in body:
        return str(body["errorCode"]), without_addresses(str(body.get("description", "")))
    words = str(body.get("message", ""))
    code = re.search(r"ERROR_[A-Z_]+", words)
    return code[0] if code else "", without_addresses(words)


def refuse(response: Response) -> NoReturn:
    """Raise what an unexpected reply means."""
    if response.status == 401:  # noqa: PLR2004
        raise CredentialsRefused(
            "dotdigital answered 401: user name or password of the API user are wrong, or it is disabled. "
            "Check them in the Airflow connection (Settings > Access > API users at dotdigital)."
        )
    if response.status == 403:  # noqa: PLR2004
        raise PermissionMissing(
            f"dotdigital answered 403 from {response.url}: the account lives in another region, or lacks the feature."
        )
    code, words = code_and_words(response)
    said = f"dotdigital answered {response.status} {code}: {words}"
    if code == "ERROR_ADDRESSBOOK_NOT_FOUND":
        raise AudienceUnknown(f"{said}. The account has no address book of that id; take it from the book's address.")
    if code == "ERROR_ADDRESSBOOK_NOTWRITABLE":
        raise AudienceUnknown(f"{said}. `Test` and `All Contacts` cannot be written; choose another address book.")
    raise ReplyNotUnderstood(f"{said}, to {response.url}.")


read = reader(refuse)


def whole(batch: Batch, reason: Reason, code: str, stop: str) -> Settled:
    """Every row of the batch refused for one reason, and a word on why to stop."""
    return Settled(refused=tuple(Refusal(i, reason, code, stop) for i in range(len(batch))), stop=stop)


def verdicts(found: dict[str, Any], batch: Batch) -> Settled:
    """`created` and `updated` bring contact ids; `failures` name rows.

    A contact may be updated and stand in `failures` all the same, because something attached to it failed: it counts
    as delivered. One that stands nowhere has no verdict, unless the report leaves the lists out altogether.
    """
    index = index_by_email(batch)
    taken: dict[int, str] = {}
    for contacts in (found.get("created") or (), found.get("updated") or ()):
        for one in contacts:
            at = index.get(str((one.get("identifiers") or NOBODY).get("email", "")).lower())
            if at is not None:
                taken[at] = str(one.get("contactId", ""))
    refused: dict[int, Refusal] = {}
    for one in found.get("failures") or []:
        at = index.get(str((one.get("identifiers") or {}).get("email", "")).strip().lower())
        if at is None or at in taken:
            continue
        why = (one.get("failures") or [{}])[0]
        code = str(why.get("failureCode", ""))
        reason = REASONS.get(code.lower(), Reason.REFUSED_BY_VENDOR)
        refused[at] = Refusal(at, reason, code, str(why.get("description", "")))
    if found.get("created") is not None or found.get("updated") is not None:
        for at in sorted(set(range(len(batch))) - taken.keys() - refused.keys()):
            refused[at] = Refusal(at, Reason.NO_VERDICT, "", "dotdigital's report does not mention this contact.")
    named = taken if all(taken.values()) else {at: told for at, told in taken.items() if told}
    return Settled(refused=tuple(refused.values()), contact_ids=named)


def refusal(response: Response, now: float) -> TryAgain | None:
    """Three ways to say "later": two kinds of 429, and a 400 in the flat scheme.

    `X-RateLimit-Reset` is a UTC epoch here (a delay in seconds at Campaign Monitor).
    """
    if response.status == BUSY and b"tooManyActiveImports" in response.body:
        return SlotsFull("dotdigital runs 25 imports of this account already.")
    if response.status == 400 and b"ERROR_APIUSAGE_EXCEEDED" in response.body:  # noqa: PLR2004
        return QuotaSpent("dotdigital's hourly cap of calls is reached (flat scheme).", after=FLAT_SCHEME_WAIT_S)
    reset = number(response.headers, "x-ratelimit-reset")
    return busy_or_down(response, None if reset is None else max(1.0, reset - now), now)


def allowance(response: Response, now: float) -> Allowance | None:
    """What is left of the tier that the call counts for; tiers differ by call, and only the answer names them."""
    left, reset = (number(response.headers, f"x-ratelimit-{name}") for name in ("remaining", "reset"))
    if left is None or reset is None:
        return None
    return Allowance(int(left), max(now + 1.0, reset), response.headers.get("x-ratelimit-scope", ""))
