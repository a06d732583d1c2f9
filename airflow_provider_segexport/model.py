"""The frozen values that travel between stages, ports and vendors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import MAX_CODE_CHARS, UnexpectedResponse, VendorUnavailable, clean_text
from airflow_provider_segexport.reasons import GONE as GONE  # noqa: PLC0414 - the values of one row's outcome are
from airflow_provider_segexport.reasons import OPTED_OUT as OPTED_OUT  # noqa: PLC0414 - part of the model
from airflow_provider_segexport.reasons import WITHDRAWN as WITHDRAWN  # noqa: PLC0414
from airflow_provider_segexport.reasons import WITHHELD_HERE as WITHHELD_HERE  # noqa: PLC0414
from airflow_provider_segexport.reasons import Outcome as Outcome  # noqa: PLC0414
from airflow_provider_segexport.reasons import Reason as Reason  # noqa: PLC0414
from airflow_provider_segexport.response_json import UnusableJson, parse_json
from airflow_provider_segexport.vendor_field import VendorField

T = TypeVar("T")


class JobState(StrEnum):
    """What a vendor says of an import job, in our words: a closed set that may cross the triggerer."""

    RUNNING = "running"
    ACCEPTED = "accepted"
    """Finished, and the vendor's counters say that every row was taken: there is nothing to collect."""
    FINISHED = "finished"
    FAILED = "failed"


READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""HTTP's methods that change nothing."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a vendor wants sent. `url` is absolute; `body` is what goes over the wire, to the byte."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    authenticated: bool = True
    """Carries the account's credentials. A token request does not."""
    rate_scope: str = ""
    """A narrower quota that it counts for too, by its name in the vendor's limits."""
    read_only: bool = False
    """Changes nothing, although its method is none that reads."""

    @property
    def changes(self) -> bool:
        """Whether the account may differ after it. A request for a token changes no audience."""
        return self.authenticated and not self.read_only and self.method not in READS


_MEDIA_TYPE = re.compile(r"(?:application|text|multipart|image)/[A-Za-z0-9.+-]{1,60}")


def media_type(header: str) -> str:
    """The media type of a `Content-Type` header, fit for a log; its other text may be anything."""
    known = _MEDIA_TYPE.match(header)
    return known[0] if known else "no known content type"


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""

    def json(self) -> Any:
        """The body as JSON. An HTML page or half a body is a vendor (or a proxy) out of order: try again."""
        try:
            return parse_json(self.body)
        except UnusableJson as error:
            raise UnexpectedResponse(f"{self.url} answered {self.status} with {error}.") from None
        except ValueError:
            kind = media_type(self.headers.get("content-type", ""))
            raise VendorUnavailable(
                f"{self.url} answered {self.status} with a body that is not JSON ({counted(len(self.body), 'byte')}, "
                f"{kind}). "
                "A proxy, a maintenance page or a wrong base URL answers so."
            ) from None

    def is_web_page(self) -> bool:
        """Whether an error is told in HTML: the vendors' APIs answer in JSON."""
        if self.status < 400 or not self.body:  # noqa: PLR2004 - HTTP's own number
            return False
        return "html" in self.headers.get("content-type", "").lower() or self.body[:64].lstrip().startswith(b"<")

    def mapping(self) -> dict[str, Any]:
        """The body as a JSON object."""
        found = self.json()
        if not isinstance(found, dict):
            raise UnexpectedResponse(f"{self.url} answered {self.status} with JSON that is no object.")
        return found


@dataclass(frozen=True, slots=True)
class Sleep:
    """What an operation yields to let some seconds pass; it is sent nothing back."""

    seconds: float


Operation = Generator[Request | Sleep, Response, T]
"""One thing a vendor does, in one or several calls: yields requests, is sent responses, returns its result."""


@dataclass(frozen=True, slots=True)
class Member:
    """One person in an audience, as the vendor tells it. `active` is false for who is there and gets no mail."""

    email: str
    contact_id: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class OptOut:
    """One person whom the vendor holds as opted out, and since when (ISO 8601; empty where it does not tell)."""

    email: str
    reason: Reason
    since: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` in any `seconds`; or, where it `resets`, in each span since midnight UTC."""

    calls: int
    seconds: float
    fixed_window: bool = False


@dataclass(frozen=True, slots=True)
class RemainingQuota:
    """What the vendor says is left: so many calls until a moment (epoch seconds), of a pool where it names one."""

    calls: int
    until: float
    rate_scope: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """Account and audience as the vendor describes them after `check`.

    Attributes:
        base_url: base URL for every later call; a vendor with regions tells its own.
        account: the vendor's id of the account, stable over connections.
        audience: the vendor's id of the audience; empty when only the account was asked for.
        member_count: people in the audience; None where the vendor does not tell.
        contact_headroom: contacts that the contract still has room for; None where the vendor does not tell.
        fields: custom fields there are, by the name an export uses, in lower case.
        unsupported: custom fields that exports cannot write, by name in lower case, with the vendor's type.
        extra: what else the vendor said and a later operation needs.
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
    """What a batch is for. The value begins its name."""

    UPSERT = ""
    REMOVE = "remove-"
    REVIVE = "revive-"


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes out in one call: parallel sequences, one entry a profile. Named by its content.

    Attributes:
        rows: row numbers of the segment; of leavers, who have no row, numbers in the plan.
        items: ready-made JSON; of leavers what the vendor takes them out by, an address or a contact id.
        joined_items: makes all items with commas between them, where that is quicker than from the items.
        release: forgets what is held in memory and can be read again; for a batch that waits.
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

    def subset(self, indexes: Sequence[int], *, generation: int | None = None, kind: BatchKind | None = None) -> Batch:
        """The batch of these entries; sent again, it is another batch by its generation."""
        items = [self.items[i] for i in indexes]
        generation = self.attempt if generation is None else generation
        kind = self.kind if kind is None else kind
        return Batch(
            id=batch_id(items, generation, kind),
            rows=[self.rows[i] for i in indexes],
            emails=[self.emails[i] for i in indexes],
            items=items,
            attempt=generation,
            kind=kind,
        )

    def halves(self) -> tuple[Batch, Batch]:
        """Two batches, for a vendor that refuses the whole for one row."""
        middle = len(self) // 2
        return self.subset(range(middle)), self.subset(range(middle, len(self)))


def batch_id(items: Sequence[str], generation: int = 0, kind: BatchKind = BatchKind.UPSERT) -> str:
    """The same rows with the same content have the same name, on every machine and in every try."""
    digest = batch_id_of_hashes(
        b"".join(hashlib.md5(item.encode(), usedforsecurity=False).digest()[8:] for item in items)
    )
    return f"{kind}{digest}" if generation == 0 else f"{kind}{digest}-{generation}"


def batch_id_of_hashes(hashes: bytes) -> str:
    """The name of a batch by the hashes of its rows: a planned row's as the plan keeps it, a part's of its items."""
    return hashlib.blake2b(hashes, digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class JobId:
    """The vendor's id of an import job that is not finished."""

    id: str


@dataclass(frozen=True, slots=True)
class RowRejection:
    """One row that the vendor did not take; `index` counts in the batch."""

    index: int
    reason: Reason
    code: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", clean_text(self.code, MAX_CODE_CHARS))
        object.__setattr__(self, "message", clean_text(self.message))


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The verdict on a batch: every entry is refused, to be sent again, or accepted.

    Attributes:
        retry: entries that the vendor asks to send once more.
        contact_ids: the vendor's id of a contact by its index in the batch, where the reply tells it.
        unattributed: rows that the vendor only counts as not taken, without saying which: found by reading back.
        unattributed_reason: why they were not taken, where the count tells.
        abort_reason: why no further batch may be sent; empty as a rule.
    """

    rejected: tuple[RowRejection, ...] = ()
    retry: tuple[int, ...] = ()
    contact_ids: Mapping[int, str] = field(default_factory=dict)
    unattributed: int = 0
    unattributed_reason: Reason = Reason.NO_RESULT
    abort_reason: str = ""


BatchReply = BatchResult | JobId
