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
    Reason.NO_EMAIL: "the row has no email address",
    Reason.INVALID_EMAIL: "the email address is not valid",
    Reason.NON_ASCII_EMAIL: "the part before the @ has characters outside ASCII, which the vendor does not accept",
    Reason.VALUE_TOO_LONG: "a value is longer than the vendor's limit for its field",
    Reason.ROW_TOO_LARGE: "the row is larger than the largest row that can be sent",
    Reason.INVALID_VALUE: "a value does not fit its field",
    Reason.REJECTED_BY_VENDOR: "the vendor rejected the row; `vendor_code` and `vendor_message` say why",
    Reason.UNSUBSCRIBED: "the person has unsubscribed at the vendor",
    Reason.SUPPRESSED: "the person is suppressed at the vendor",
    Reason.BOUNCED: "mail to the person has bounced",
    Reason.DELETED: "a person was deleted from the list at the vendor, and not by an export",
    Reason.PENDING_CONFIRMATION: "the person has not confirmed the subscription yet",
    Reason.CONTACT_LIMIT_REACHED: "the account's plan allows no further contact",
    Reason.JOB_FAILED: "the vendor's import job failed",
    Reason.NO_RESULT: "the vendor reported no result for the row",
    Reason.DUPLICATE: "another row of the segment has the same address, and is sent instead",
    Reason.LEFT_AUDIENCE: "the person left the audience by themselves",
    Reason.NO_CONSENT: "the consent column does not say yes in every row of the address",
    Reason.ON_SUPPRESSION_LIST: "the person is on a suppression list of the export",
    Reason.WITHDRAWN_ELSEWHERE: "another export of the audience withholds the person for one of these two reasons",
    Reason.REJECTED_RECENTLY: "the vendor rejected the same row in an earlier run; it is tried again later",
    Reason.NOT_IN_AUDIENCE: "of a removal: the person is not in the audience",
    Reason.STILL_IN_AUDIENCE: "of a removal: the person is still in the audience after it",
}
"""The meaning of each reason, for the reference."""


class ProofState(StrEnum):
    """Whether a row that may be sent has a proof of consent, and why not. Each such row has exactly one state."""

    WITH_PROOF = "with_proof"
    NO_MOMENT = "no_moment"
    UNREADABLE = "unreadable_moment"
    IN_FUTURE = "moment_in_future"
    TOO_OLD = "moment_before_1995"
    INCOMPLETE = "incomplete_proof"
    OPTED_OUT_LATER = "opted_out_later"


PROOF_NOT_APPLIED = "proof_not_applied"
"""The vendor has accepted a row, and not the proof of consent in it."""

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
"""The same reasons, or those of another export of the audience."""

GONE = OPTED_OUT | {Reason.NOT_IN_AUDIENCE, Reason.DELETED, Reason.PENDING_CONFIRMATION}
"""Reasons that mean there is nothing to remove: the person is not in the audience, or is not a mailable member."""
