"""How a row of the segment ends, and why: closed lists, one for all vendors."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """Where a row of the segment ends: in exactly one of these."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    NOT_ATTEMPTED = "not_attempted"


class Reason(StrEnum):
    """Why a row was not delivered. One list for all vendors; the vendor's own code and words stand beside it."""

    NO_EMAIL = "no_email"
    INVALID_EMAIL = "invalid_email"
    NON_ASCII_EMAIL = "non_ascii_email"
    VALUE_TOO_LONG = "value_too_long"
    ROW_TOO_LARGE = "row_too_large"
    INVALID_VALUE = "invalid_value"
    REJECTED_BY_VENDOR = "rejected_by_vendor"
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    BOUNCED = "bounced"
    DELETED = "deleted"
    PENDING_CONFIRMATION = "pending_confirmation"
    CONTACT_LIMIT_REACHED = "contact_limit_reached"
    JOB_FAILED = "job_failed"
    NO_RESULT = "no_result"
    DUPLICATE = "duplicate"
    LEFT_AUDIENCE = "left_audience"
    NO_CONSENT = "no_consent"
    ON_SUPPRESSION_LIST = "on_suppression_list"
    WITHDRAWN_ELSEWHERE = "withdrawn_elsewhere"
    REJECTED_RECENTLY = "rejected_recently"
    NOT_IN_AUDIENCE = "not_in_audience"
    STILL_IN_AUDIENCE = "still_in_audience"


OPTED_OUT = frozenset({Reason.UNSUBSCRIBED, Reason.SUPPRESSED, Reason.BOUNCED, Reason.LEFT_AUDIENCE})
"""Reasons by which a vendor says that a person is not to get mail: the warehouse should learn it."""

WITHHELD_HERE = frozenset({Reason.NO_CONSENT, Reason.ON_SUPPRESSION_LIST})
"""Reasons by which an export's own segment and suppression lists say that a person is not to get mail."""

WITHDRAWN = WITHHELD_HERE | {Reason.WITHDRAWN_ELSEWHERE}
"""The same, or another export of the audience has said so."""

GONE = OPTED_OUT | {Reason.NOT_IN_AUDIENCE, Reason.DELETED, Reason.PENDING_CONFIRMATION}
"""Of a leaver: there is nobody to take out, for the person is not there, or not as one who gets mail."""
