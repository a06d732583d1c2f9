"""The frozen values that are passed between stages, storage, HTTP client and vendors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from airflow_provider_segexport.errors import MAX_CODE_CHARS, clean_text
from airflow_provider_segexport.http_messages import READS as READS  # noqa: PLC0414 - re-exported
from airflow_provider_segexport.http_messages import Request as Request  # noqa: PLC0414
from airflow_provider_segexport.http_messages import Response as Response  # noqa: PLC0414
from airflow_provider_segexport.http_messages import media_type as media_type  # noqa: PLC0414
from airflow_provider_segexport.reasons import GONE as GONE  # noqa: PLC0414
from airflow_provider_segexport.reasons import OPTED_OUT as OPTED_OUT  # noqa: PLC0414
from airflow_provider_segexport.reasons import PROOF_NOT_APPLIED as PROOF_NOT_APPLIED  # noqa: PLC0414
from airflow_provider_segexport.reasons import WITHDRAWN as WITHDRAWN  # noqa: PLC0414
from airflow_provider_segexport.reasons import WITHHELD_HERE as WITHHELD_HERE  # noqa: PLC0414
from airflow_provider_segexport.reasons import Outcome as Outcome  # noqa: PLC0414
from airflow_provider_segexport.reasons import ProofState as ProofState  # noqa: PLC0414
from airflow_provider_segexport.reasons import Reason as Reason  # noqa: PLC0414
from airflow_provider_segexport.vendor_field import VendorField

T = TypeVar("T")


class JobState(StrEnum):
    """The state of an import job: a closed set, so it may pass through the triggerer."""

    RUNNING = "running"
    ACCEPTED = "accepted"
    """Finished, and the vendor's counters say that every row was accepted, so there is no result to read."""
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sleep:
    """An operation yields this to wait for some seconds; it is sent nothing back."""

    seconds: float


Operation = Generator[Request | Sleep, Response, T]
"""An operation of a vendor in one or several calls: yields requests, is sent responses, returns its result."""


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an audience, as the vendor reports it. `active` is false for a member who gets no mail."""

    email: str
    contact_id: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class OptOut:
    """A person who has opted out at the vendor, and since when (ISO 8601; empty if the vendor does not report it)."""

    email: str
    reason: Reason
    since: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`; with `fixed_window`, in each such window since midnight UTC."""

    calls: int
    seconds: float
    fixed_window: bool = False


@dataclass(frozen=True, slots=True)
class RemainingQuota:
    """The vendor's report of calls left until a time (epoch seconds), for a rate scope if it names one."""

    calls: int
    until: float
    rate_scope: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """Account and audience as the vendor describes them (`Vendor.resolve_audience`).

    Attributes:
        base_url: base URL of all later calls. A vendor with regions returns that of the account.
        account: the vendor's id of the account, the same for all connections.
        audience: the vendor's id of the audience; empty if only the account was requested.
        member_count: people in the audience; None if the vendor does not report it.
        contact_headroom: contacts that the contract still allows; None if the vendor does not report it.
        fields: existing custom fields, by the name that an export uses, in lower case.
        unsupported: custom fields that exports cannot write, by name in lower case, with the vendor's type.
        extra: other values of the vendor that a later operation needs.
        warnings: messages for the user.
    """

    base_url: str
    account: str
    account_name: str
    audience: str = ""
    audience_name: str = ""
    member_count: int | None = None
    contact_headroom: int | None = None
    fields: Mapping[str, VendorField] = field(default_factory=dict)
    unsupported: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "account_name", clean_text(self.account_name))
        object.__setattr__(self, "audience_name", clean_text(self.audience_name))


class BatchKind(StrEnum):
    """The purpose of a batch. The value is the beginning of the batch's id."""

    UPSERT = ""
    REMOVE = "remove-"
    REVIVE = "revive-"


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of one call, as parallel sequences with one entry for each profile. Its id is a hash of its content.

    Attributes:
        rows: row numbers in the segment; leavers have no row, so theirs are numbers in the plan.
        items: encoded JSON; for leavers the email address or contact id by which the vendor removes them.
        attempt: how often the rows were sent before, as part of another batch.
        joined_items: returns all items with commas between them, faster than joining `items`; None to join them.
        release: frees the memory of columns that can be read from the plan again, while the batch waits for its job.
    """

    id: str
    rows: Sequence[int]
    emails: Sequence[str]
    items: Sequence[str]
    attempt: int = 0
    kind: BatchKind = BatchKind.UPSERT
    joined_items: Callable[[], memoryview] | None = field(default=None, compare=False, repr=False)
    release: Callable[[], None] = field(default=lambda: None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def subset(self, indexes: Sequence[int], *, attempt: int | None = None, kind: BatchKind | None = None) -> Batch:
        """Return the batch of some entries.

        Args:
            indexes: positions in this batch.
            attempt: `attempt` of the new batch, which gives the same rows another batch id; None: as this batch.
            kind: purpose of the new batch; None: as this batch.
        """
        items = [self.items[i] for i in indexes]
        attempt = self.attempt if attempt is None else attempt
        kind = self.kind if kind is None else kind
        return Batch(
            id=batch_id(items, attempt, kind),
            rows=[self.rows[i] for i in indexes],
            emails=[self.emails[i] for i in indexes],
            items=items,
            attempt=attempt,
            kind=kind,
        )

    def halves(self) -> tuple[Batch, Batch]:
        """Return two batches, for a vendor that rejects a whole batch because of one row."""
        middle = len(self) // 2
        return self.subset(range(middle)), self.subset(range(middle, len(self)))


def batch_id(items: Sequence[str], attempt: int = 0, kind: BatchKind = BatchKind.UPSERT) -> str:
    """Return the id of a batch, which is the same on every machine and in every attempt.

    Args:
        items: the encoded rows.
        attempt: how often the rows were sent before, as part of another batch.
        kind: purpose of the batch.
    """
    digest = digest_of_rows(*(hashlib.md5(item.encode(), usedforsecurity=False).digest()[8:] for item in items))
    return f"{kind}{digest}" if attempt == 0 else f"{kind}{digest}-{attempt}"


def digest_of_rows(*parts: bytes | memoryview) -> str:
    """Return the digest in the id of a batch, from hashes and addresses of its rows or from hashes of its items."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class JobId:
    """The vendor's id of an import job that has not ended."""

    id: str


@dataclass(frozen=True, slots=True)
class RowRejection:
    """A row that the vendor rejected; `index` is its position in the batch."""

    index: int
    reason: Reason
    code: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", clean_text(self.code, MAX_CODE_CHARS))
        object.__setattr__(self, "message", clean_text(self.message))


@dataclass(frozen=True, slots=True)
class RowWarning:
    """A row that the vendor accepted without something attached to it; `index` is its position in the batch."""

    index: int
    code: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", clean_text(self.code, MAX_CODE_CHARS))
        object.__setattr__(self, "message", clean_text(self.message))


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of a batch. An entry that is neither rejected nor to be retried was accepted.

    Attributes:
        rejected: entries that the vendor rejected.
        retry: positions of entries that the vendor asks to send again.
        contact_ids: the vendor's id of a contact by position in the batch, if the response holds it.
        unattributed: number of rejected rows that the vendor counts and does not name. Reading the audience back shows
            which rows they are.
        unattributed_reason: why those rows were rejected, if the vendor says.
        abort_reason: why no further batch may be sent; usually empty.
        proof_not_applied: entries that the vendor accepted without their proof of consent.
    """

    rejected: tuple[RowRejection, ...] = ()
    retry: tuple[int, ...] = ()
    contact_ids: Mapping[int, str] = field(default_factory=dict)
    unattributed: int = 0
    unattributed_reason: Reason = Reason.NO_RESULT
    abort_reason: str = ""
    proof_not_applied: tuple[RowWarning, ...] = ()


BatchReply = BatchResult | JobId
