"""Outcomes and reasons of rows: closed lists for all vendors."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of a row of the segment. Each row has exactly one."""

    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    NOT_ATTEMPTED = "not_attempted"


class Reason(StrEnum):
    """Why a row was not delivered. The vendor's own code and message are recorded beside it."""

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
"""Reasons of a vendor not to send mail to a person. They are written back to the warehouse."""

WITHHELD_HERE = frozenset({Reason.NO_CONSENT, Reason.ON_SUPPRESSION_LIST})
"""Reasons of an export's own segment and suppression lists not to send mail to a person."""

WITHDRAWN = WITHHELD_HERE | {Reason.WITHDRAWN_ELSEWHERE}
"""The same reasons, or those of another export of the audience."""

GONE = OPTED_OUT | {Reason.NOT_IN_AUDIENCE, Reason.DELETED, Reason.PENDING_CONFIRMATION}
"""Reasons that mean there is nothing to remove: the person is not in the audience, or is not a mailable member."""
