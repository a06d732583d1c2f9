"""The words of the pages: reasons, outcomes, numbers, times."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_provider_segexport.model import Reason
from airflow_provider_segexport.plugins.health import span

OUTCOMES = {
    "delivered": "Delivered",
    "unchanged": "Unchanged",
    "rejected": "Rejected",
    "withheld": "Withheld",
    "not_attempted": "Not attempted",
}
MEANINGS = {
    "delivered": "sent, and taken by the vendor",
    "unchanged": "there already, as the ledger has it: not sent",
    "rejected": "could not be sent, or the vendor did not take them",
    "withheld": "kept back on purpose",
    "not_attempted": "the run stopped first",
}
REMOVALS = {
    "removed": "Removed",
    "already_gone": "Already gone",
    "kept": "Kept",
    "rejected": "Rejected by the vendor",
    "not_attempted": "Not attempted",
}

REASONS = {
    Reason.NO_EMAIL: "no email address in the row",
    Reason.INVALID_EMAIL: "not a valid email address",
    Reason.NON_ASCII_EMAIL: "letters in the address that no vendor takes",
    Reason.VALUE_TOO_LONG: "a value is longer than the vendor takes",
    Reason.ROW_TOO_LARGE: "the row is larger than a call may be",
    Reason.INVALID_VALUE: "a value does not fit its field",
    Reason.REJECTED_BY_VENDOR: "the vendor refused the row",
    Reason.UNSUBSCRIBED: "has unsubscribed at the vendor",
    Reason.SUPPRESSED: "is suppressed at the vendor",
    Reason.BOUNCED: "mail to this address has bounced",
    Reason.DELETED: "was deleted at the vendor",
    Reason.PENDING_CONFIRMATION: "has not confirmed a subscription at the vendor",
    Reason.CONTACT_LIMIT_REACHED: "the contract has no room for more contacts",
    Reason.JOB_FAILED: "the vendor's import job failed",
    Reason.NO_RESULT: "the vendor gave no reason",
    Reason.DUPLICATE: "the address is in the segment more than once",
    Reason.LEFT_AUDIENCE: "has left the audience by their own choice",
    Reason.NO_CONSENT: "the segment's consent column does not say yes",
    Reason.ON_SUPPRESSION_LIST: "is on your own suppression list",
    Reason.WITHDRAWN_ELSEWHERE: "another export of the audience withholds this person",
    Reason.REJECTED_RECENTLY: "was rejected lately, and waits for another try",
    Reason.NOT_IN_AUDIENCE: "is not in the audience",
    Reason.STILL_IN_AUDIENCE: "the vendor still holds the person in the audience",
}
"""Every reason in words; the code stands beside it."""


def reason(code: str) -> str:
    """A reason in words; one that this version does not know speaks for itself."""
    return REASONS[Reason(code)] if code in set(Reason) else code.replace("_", " ")


def ago(moment: float, now: float) -> str:
    """How long ago, or how soon."""
    if not moment:
        return "never"
    gap = now - moment
    if abs(gap) < 1.5:  # noqa: PLR2004 - about a second
        return "just now"
    words = span(abs(gap))
    words = f"a {words}" if words[0].isalpha() and words != "hour" else f"an {words}" if words == "hour" else words
    return f"{words} ago" if gap > 0 else f"in {words}"


def clock(moment: float) -> str:
    """A moment in full."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def day(text: str) -> str:
    """A snapshot's time, shortened to the minute; a text that is no time stays as it is."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    if (found.hour, found.minute, found.second) == (0, 0, 0):
        return f"{found:%Y-%m-%d}"
    return f"{found:%Y-%m-%d %H:%M}"


def lasted(seconds: float) -> str:
    """A length of time, to the point."""
    if seconds < 10:  # noqa: PLR2004 - tenths matter below
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def size(count: float) -> str:
    """A number of bytes, for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":  # noqa: PLR2004 - thousands
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError
