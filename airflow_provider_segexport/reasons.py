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


MEANINGS = {
    Reason.NO_EMAIL: "no email address in the row",
    Reason.INVALID_EMAIL: "not a valid email address",
    Reason.NON_ASCII_EMAIL: "non-ASCII letters in the address, which no vendor accepts",
    Reason.VALUE_TOO_LONG: "a value is longer than the vendor accepts",
    Reason.ROW_TOO_LARGE: "the row is larger than an API call may be",
    Reason.INVALID_VALUE: "a value does not fit its field",
    Reason.REJECTED_BY_VENDOR: "the vendor rejected the row",
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
    Reason.REJECTED_RECENTLY: "was rejected recently, and will be sent again later",
    Reason.NOT_IN_AUDIENCE: "is not in the audience",
    Reason.STILL_IN_AUDIENCE: "the vendor still holds the person in the audience",
}
"""The meaning of each reason, shown with its code on the pages and in the reference."""


class ProofState(StrEnum):
    """Whether a row that may be sent has a proof of consent, or why not. Each such row has exactly one state."""

    WITH_PROOF = "with_proof"
    NO_MOMENT = "no_moment"
    UNREADABLE = "unreadable_moment"
    IN_FUTURE = "moment_in_future"
    TOO_OLD = "moment_before_1995"
    INCOMPLETE = "incomplete_proof"
    OPTED_OUT_LATER = "opted_out_later"


PROOF_NOT_APPLIED = "proof_not_applied"
"""Warning: the vendor has accepted a row, but not the proof of consent in it."""

PROOF_MEANINGS = {
    ProofState.WITH_PROOF: "the row is sent with its proof of consent",
    ProofState.NO_MOMENT: "the moment of consent is null or blank",
    ProofState.UNREADABLE: "the moment of consent is no ISO 8601 date or time",
    ProofState.IN_FUTURE: "the moment of consent is later than the run",
    ProofState.TOO_OLD: "the moment of consent is before 1995, as a default such as 1970-01-01 is",
    ProofState.INCOMPLETE: "the proof lacks a part that the vendor requires, or the part has another form",
    ProofState.OPTED_OUT_LATER: "the person has opted out at the vendor since the consent",
    PROOF_NOT_APPLIED: "the vendor accepted the row, but not its proof of consent; `vendor_message` says why",
}
"""The meaning of each state and of the warning, for the reference."""

OPTED_OUT = frozenset({Reason.UNSUBSCRIBED, Reason.SUPPRESSED, Reason.BOUNCED, Reason.LEFT_AUDIENCE})
"""Reasons of a vendor not to send mail to a person. They are written back to the warehouse."""

WITHHELD_HERE = frozenset({Reason.NO_CONSENT, Reason.ON_SUPPRESSION_LIST})
"""Reasons of an export's own segment and suppression lists not to send mail to a person."""

WITHDRAWN = WITHHELD_HERE | {Reason.WITHDRAWN_ELSEWHERE}
"""Reasons of an export, or of another export of the audience, not to send mail to a person."""

GONE = OPTED_OUT | {Reason.NOT_IN_AUDIENCE, Reason.DELETED, Reason.PENDING_CONFIRMATION}
"""Reasons why there is nothing to remove: the person is not in the audience, or is not a mailable member."""
