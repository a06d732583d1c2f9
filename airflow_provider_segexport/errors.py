"""Exceptions, named by what the caller does next.

SegexportError
├── TryAgain                 the same request may succeed later; `after` seconds, where the vendor says so
│   ├── QuotaSpent           the account's quota is used up
│   ├── SlotsFull            the vendor takes no further job until one of those running ends
│   ├── AudienceBusy         another run is writing this audience
│   ├── Superseded           another run has taken the audience over: this one sends and writes nothing more
│   ├── NeedsMemory          the engine's memory is not enough for the pages of a segment's files
│   └── VendorUnavailable    down, timed out, or answered something no API answers
├── BatchRefused             this batch will never be taken as it is: halve it until the bad rows stand alone
└── StopExport               nothing more may be sent before a person acts
    ├── BadSegment           the segment's files, columns or size
    ├── BadMatching          data matching or custom fields
    ├── BadConnection        what the Airflow connection says cannot be used (base URL, TLS, missing credential)
    ├── NotAllowed           no consent to the data privacy terms, or this DAG may not use the connection
    ├── SwitchedOff          an administrator has switched exports off: the task is skipped
    ├── GuardTripped         a guard says that this run would do something unusual: a person decides
    ├── OwnedByAnother       another export owns this audience, and the two do not share it
    ├── OlderThanLedger      the audience knows a newer state than this snapshot: the task is skipped, or fails
    ├── CredentialsRefused   the vendor does not know the credentials
    ├── PermissionMissing    the credentials are good and lack a right
    ├── AudienceUnknown      no such audience in this account
    ├── WaitTooLong          the vendor asks for a wait that is longer than any that is made
    ├── JobsTooLong          a job at the vendor has not ended within `job_timeout`
    ├── DamagedState         a file that this package wrote has changed since, or another version wrote it
    ├── RunFolderMissing     a task returns from deferral, and the run folder that it left is not there
    └── ReplyNotUnderstood   the vendor answered something that its contract does not hold

Messages are read by people and land in logs: they hold no email, no secret and no piece of a body.
"""

from __future__ import annotations

import re


class SegexportError(Exception):
    """Everything this package raises on purpose."""


class TryAgain(SegexportError):
    """The same request may succeed later.

    Attributes:
        after: seconds to wait, as told by the vendor; None where it told nothing.
    """

    def __init__(self, message: str, *, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class QuotaSpent(TryAgain):
    """The account's quota is used up until the vendor's window moves on."""


class SlotsFull(TryAgain):
    """The vendor takes no further job until one of those running ends."""


class AudienceBusy(TryAgain):
    """Another run is writing this audience: come back when it is done.

    Attributes:
        holder: who it is, as `dag/task/run/map index`.
    """

    def __init__(self, message: str, *, holder: str, after: float) -> None:
        super().__init__(message, after=after)
        self.holder = holder


class Superseded(TryAgain):
    """Another run has taken the audience over: this process sends nothing more and leaves the ledger alone.

    The call is not tried again; another try of the task may take the audience back.
    """


class NeedsMemory(TryAgain):
    """The engine's memory is not enough for the pages of a segment's files."""

    def __init__(self) -> None:
        super().__init__(
            "The worker's memory or disk is full: the segment could not be sorted out. To fix: write the segment with "
            "smaller row groups (100,000 rows), or give the worker more memory and more space for temporary files."
        )


class VendorUnavailable(TryAgain):
    """The vendor is down, timed out, or something between answered in its place."""


class BatchRefused(SegexportError):
    """The vendor refused a batch as a whole, for what stands in it.

    Attributes:
        code: the vendor's own code.
        words: the vendor's own words, which may name a person: they go to `rejects.parquet` alone.
    """

    def __init__(self, code: str, words: str) -> None:
        self.code = clean_text(code, MAX_CODE_CHARS)
        self.words = clean_text(words)
        super().__init__(f"The vendor refused the whole batch (error code {public_code(self.code)}).")


class StopExport(SegexportError):
    """Nothing more may be sent before a person acts; the message says what to do."""


class BadSegment(StopExport):
    """The segment cannot be read, is empty, or is larger than allowed."""


class BadMatching(StopExport):
    """Data matching or custom fields name what is not there."""


class BadConnection(StopExport):
    """The Airflow connection holds something that cannot be used."""


class NotAllowed(StopExport):
    """Consent is missing, or this DAG may not use the connection."""


class SwitchedOff(StopExport):
    """An administrator has switched the connection's exports off."""


class GuardTripped(StopExport):
    """What this run would do is out of the ordinary, by a guard's measure: nothing is sent before a person decides."""


class OwnedByAnother(StopExport):
    """The audience belongs to another export. Two may share it when both say so."""


class OlderThanLedger(StopExport):
    """The audience has been brought to a newer state than this snapshot already.

    Attributes:
        fails: the task should fail, and not be skipped.
    """

    def __init__(self, message: str, *, fails: bool = False) -> None:
        super().__init__(message)
        self.fails = fails


class CredentialsRefused(StopExport):
    """The vendor does not accept the credentials."""


class PermissionMissing(StopExport):
    """The credentials are good, and lack a right that the export needs."""


class AudienceUnknown(StopExport):
    """The account has no such audience."""


class WaitTooLong(StopExport):
    """The vendor asks for a wait that is longer than any that is made."""


class JobsTooLong(StopExport):
    """A job at the vendor has not ended within `job_timeout`."""


class RunFolderMissing(StopExport):
    """A task returns from deferral, and the run folder that it left is not there."""


class DamagedState(StopExport):
    """A file that this package wrote and reads again has changed since, or another version of the package wrote it.

    Attributes:
        file: its path.
        why: what is wrong with it.
        audience: the audience that it belongs to; empty if that is not known.
    """

    def __init__(self, file: str, why: str, audience: str = "") -> None:
        self.file, self.why, self.audience = file, why, audience
        of = f" of audience {audience!r}" if audience else ""
        super().__init__(
            f"The file {file}{of} cannot be used: {why}. Nothing more was sent. To fix: restore the file from a "
            "backup; if another version of the provider wrote it, finish the run with that version; or set aside what "
            f"cannot be read: `airflow segexport repair {audience or 'AUDIENCE'}` says what is lost and asks first."
        )

    def __reduce__(self) -> tuple[type[DamagedState], tuple[str, str, str]]:
        """Travel between processes with its parts."""
        return type(self), (self.file, self.why, self.audience)


class ReplyNotUnderstood(StopExport):
    """The vendor answered something that its contract does not hold."""


MAX_TEXT_CHARS, MAX_CODE_CHARS = 500, 100
"""Of a vendor's message and of its error code, wherever they are kept."""

_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_SCAN_CHARS = 4_000
"""So much of a message is looked at: a pattern over megabytes of it takes minutes."""


def clean_text(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """A vendor's text as one line of printable characters, without HTML tags, cut to a number of characters."""
    if len(text) <= limit and text.isprintable() and "<" not in text:
        return text
    text = _TAG.sub(" ", text[:_SCAN_CHARS])
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:limit]


_CODE = re.compile(r"[A-Za-z](?:[A-Za-z_.:-]|[0-9]{1,4}(?![0-9])){0,79}|[0-9]{1,6}")


def public_code(code: object) -> str:
    """A vendor's error code, or a state's name, fit for a log: what has not the form of one may quote a person.

    Args:
        code: as the vendor's response holds it.

    Returns:
        The code if it is a number of at most six digits or a word of ASCII letters, short numbers, `_`, `.`, `:` and
        `-`; `unknown` if it is anything else.
    """
    text = str(code)
    return text if _CODE.fullmatch(text) else "unknown"
