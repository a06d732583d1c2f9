"""Exceptions, grouped by what the caller does next.

```
SegexportError
├── RetryableError            the same request may succeed later
│   ├── RateLimited           the account's rate limit is used up
│   ├── JobSlotsFull          the vendor accepts no further job until a running one ends
│   ├── AudienceLocked        another run is writing this audience
│   ├── Superseded            another run has taken the audience over; this run sends and writes nothing more
│   ├── NeedsMemory           the SQL engine's memory cannot hold the pages of the segment's files
│   └── VendorUnavailable     the vendor is down, timed out, or a proxy answered in its place
│       └── OutcomeUnknown    the same, for a call that must not be repeated
├── BatchRejected             the vendor will never accept this batch as it is; halve it to isolate the bad rows
└── FatalError                nothing more may be sent before a person acts
    ├── InvalidSegment        the segment's files, columns or size
    ├── InvalidFieldMapping   the field mapping or the custom fields
    ├── InvalidArgument       another argument of an operator, hook or command
    ├── InvalidConnection     a value of the Airflow connection (base URL, TLS, missing credential)
    ├── ConnectionNotAllowed  no consent to the data privacy terms, or this DAG may not use the connection
    ├── ExportsDisabled       an administrator disabled exports: the task is skipped
    ├── GuardTripped          the run would do something unusual: a person decides
    ├── AudienceOwnedByOther  another export owns this audience, and the two do not share it
    ├── StaleSnapshot         the audience has a newer state than this snapshot: the task is skipped, or fails
    ├── AuthenticationFailed  the vendor does not accept the credentials
    ├── PermissionDenied      the credentials are valid and lack a permission
    ├── AudienceNotFound      the account has no such audience
    ├── WaitTooLong           the vendor asks for a longer wait than any run makes
    ├── JobsTooLong           a job at the vendor did not end within `job_timeout`
    ├── DamagedState          a file that this package wrote has changed, or another version wrote it
    ├── RunFolderMissing      a task resumes from deferral and its run folder is missing
    └── UnexpectedResponse    the vendor's response does not match its contract
```

Messages are shown to people and written to logs, so they contain no email address, no secret and no part of a body.
"""

from __future__ import annotations

import re
from typing import Any

REPORT_IT = (
    "To fix: report it to the maintainers of this package, with `summary.json` and `journal.jsonl` of the run "
    "folder. They hold no address; the other files do."
)
"""The advice of an error that no input should cause."""

_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


class SegexportError(Exception):
    """Base class of every exception that this package raises on purpose."""

    @property
    def error_code(self) -> str:
        """The stable code of the exception's class, such as `authentication-failed`: its entry in troubleshooting."""
        return _WORD_START.sub("-", type(self).__name__).lower()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the attributes, because a task may export in several processes that send it their errors."""
        return restored, (type(self), self.args, vars(self))


def restored(error_class: type[SegexportError], args: tuple[Any, ...], attributes: dict[str, Any]) -> SegexportError:
    """Return an error without calling its constructor, which takes other arguments.

    Args:
        error_class: class of the error.
        args: its `args`, the text first.
        attributes: its other attributes by name.
    """
    error = error_class.__new__(error_class)
    error.args = args
    vars(error).update(attributes)
    return error


class RetryableError(SegexportError):
    """The same request may succeed later.

    Attributes:
        retry_after_s: seconds to wait before the next try, from the vendor's response; None if it names no time.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(RetryableError):
    """The account's rate limit is used up until the vendor's window moves on."""


class JobSlotsFull(RetryableError):
    """The vendor accepts no further job until a running one ends."""


class AudienceLocked(RetryableError):
    """Another run is writing this audience.

    Attributes:
        retry_after_s: seconds until the audience may be free.
        holder: the run that holds the audience, as `dag/task/run/map index`.
        facts: the message without its advice, for a task or command that waits by itself.
    """

    def __init__(self, facts: str, *, holder: str, retry_after_s: float) -> None:
        super().__init__(f"{facts} To fix: try again when the other run has ended.", retry_after_s=retry_after_s)
        self.facts = facts
        self.holder = holder


class Superseded(RetryableError):
    """Another run has taken the audience over. This process sends nothing more and does not write the ledger.

    The call is not retried; a later try of the task may take the audience back.
    """


class NeedsMemory(RetryableError):
    """The SQL engine's memory cannot hold the pages of the segment's files, or of the suppression lists'."""

    def __init__(self) -> None:
        super().__init__(
            "The worker's memory or disk is full, so the segment could not be de-duplicated and compared with the "
            "suppression lists. To fix: write the segment and the lists with smaller row groups (100,000 rows), or "
            "give the worker more memory and more temporary disk space."
        )


class VendorUnavailable(RetryableError):
    """The vendor is down, timed out, or a proxy answered in its place."""


class OutcomeUnknown(VendorUnavailable):
    """A call that must not be repeated got no clear response. The vendor may have processed it."""


class BatchRejected(SegexportError):
    """The vendor rejected a batch as a whole because of its content.

    Attributes:
        code: the vendor's error code.
        message: the vendor's error message. It may name a person, so it is written to `rejects.parquet` only.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = clean_text(code, MAX_CODE_CHARS)
        self.message = clean_text(message)
        super().__init__(f"The vendor rejected the whole batch (error code {public_code(self.code)}).")


class FatalError(SegexportError):
    """Nothing more may be sent before a person acts; the message says what to do."""


class InvalidSegment(FatalError):
    """The segment cannot be read, is empty, or is larger than allowed."""


class InvalidFieldMapping(FatalError):
    """The field mapping or the custom fields name something that does not exist."""


class InvalidArgument(FatalError):
    """An argument of an operator, hook or command cannot be used."""


class InvalidConnection(FatalError):
    """The Airflow connection contains a value that cannot be used."""


class ConnectionNotAllowed(FatalError):
    """Consent to the data privacy terms is missing, or this DAG may not use the connection."""


class ExportsDisabled(FatalError):
    """An administrator disabled exports through this connection."""


class GuardTripped(FatalError):
    """The run would do something unusual by a guard's limit. Nothing is sent before a person decides."""


class AudienceOwnedByOther(FatalError):
    """The audience belongs to another export. Two exports share an audience only if both ask for it."""


class StaleSnapshot(FatalError):
    """The audience already has a newer state than this snapshot.

    Attributes:
        fails: True if the task fails; False if it is skipped.
    """

    def __init__(self, message: str, *, fails: bool = False) -> None:
        super().__init__(message)
        self.fails = fails


class AuthenticationFailed(FatalError):
    """The vendor does not accept the credentials."""


class PermissionDenied(FatalError):
    """The credentials are valid and lack a permission that the export needs."""


class AudienceNotFound(FatalError):
    """The account has no such audience."""


class WaitTooLong(FatalError):
    """The vendor asks for a longer wait than any run makes."""


class JobsTooLong(FatalError):
    """A job at the vendor did not end within `job_timeout`."""


class RunFolderMissing(FatalError):
    """A task resumes from deferral and the run folder that it left is missing."""


class DamagedState(FatalError):
    """A file that this package wrote has changed since, or another version of the package wrote it.

    Attributes:
        file: path of the file.
        why: what is wrong with the file.
        audience: the audience that the file belongs to; empty if unknown.
    """

    def __init__(self, file: str, why: str, audience: str = "") -> None:
        self.file, self.why, self.audience = file, why, audience
        owner = f" of audience {audience!r}" if audience else ""
        argument = f" {audience}" if audience and not audience.startswith("name:") else ""
        super().__init__(
            f"The file {file}{owner} cannot be used: {why}. Nothing more was sent. To fix: restore the file from a "
            "backup. If another version of the provider wrote it, finish the run with that version. Otherwise run "
            f"`airflow segexport repair{argument}`, which sets aside the files that cannot be read; it "
            "shows what would be lost and asks first."
        )


class UnexpectedResponse(FatalError):
    """The vendor's response does not match its contract."""


MAX_TEXT_CHARS, MAX_CODE_CHARS = 500, 100
"""Maximum characters of a vendor's message, and of its error code, that are stored or logged."""

_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_SCAN_CHARS = 4_000
"""Characters of a message that `clean_text` reads. The pattern takes minutes for megabytes."""


def clean_text(text: str, limit: int = MAX_TEXT_CHARS) -> str:
    """Return a vendor's text as one line of printable characters, without HTML tags, of at most `limit` characters."""
    if len(text) <= limit and text.isprintable() and "<" not in text:
        return text
    text = _TAG.sub(" ", text[:_SCAN_CHARS])
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:limit]


_CODE = re.compile(r"[A-Za-z](?:[A-Za-z_.:-]|[0-9]{1,4}(?![0-9])){0,79}|[0-9]{1,6}")


def public_code(code: object) -> str:
    """Return a vendor's error code or state name for a log. A text of another form may quote a person.

    Args:
        code: the code or name, as the vendor's response holds it.

    Returns:
        The code if it is a number of at most six digits or a word of ASCII letters, short numbers, `_`, `.`, `:` and
        `-`; `unknown` if it is anything else.
    """
    text = str(code)
    return text if _CODE.fullmatch(text) else "unknown"
