"""Frozen values that pass between stages: segment files, field mapping, plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from airflow_provider_segexport.guards import GuardResult
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import ColumnType, MappedFields, ValueKind
from airflow_provider_segexport.vendors.consent_proof import PROOF_AT

ITEM_SUFFIX = ","
"""The text after every item of a plan, so that the stored items of a batch can be sent without joining them."""


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One Parquet file. A row's number in the segment is `first_row` plus its number in the file, from 0.

    Attributes:
        path, name, rows: path of the file, its name in reports, and the number of its rows.
        first_row: number of its first row in the segment, from 0.
        types: type in this file by mapped column.
        version: properties that change when the file is replaced; empty if its store has none.
        group_bytes: uncompressed bytes of its largest row group.
        partitions: value by mapped column that only the path contains.
        empty: mapped columns that hold only nulls in this file, so that their type in this file is ignored.
    """

    path: StoragePath
    name: str
    rows: int
    first_row: int
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    version: Mapping[str, str] = field(default_factory=dict)
    group_bytes: int = 0
    partitions: Mapping[str, str | None] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """The files of a segment in reading order, and their columns.

    Attributes:
        files: in reading order.
        columns: type by mapped column; None for a type that no field takes, such as a list or a struct.
        type_names: name of the type in the file, for errors.
        types: the type that holds the column's values of all files.
    """

    files: tuple[SegmentFile, ...]
    columns: Mapping[str, ColumnType | None]
    type_names: Mapping[str, str]
    types: Mapping[str, pa.DataType] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows over all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """The field mapping of the configuration.

    Attributes:
        fields: column by vendor-neutral field.
        custom: column by the vendor's name of a custom field.
        default_region: ISO 3166-1 alpha-2 code for phone numbers in rows without a country; empty for none.
        date_formats: format by text column with dates.
    """

    fields: Mapping[str, str]
    custom: Mapping[str, str] = field(default_factory=dict)
    default_region: str = ""
    date_formats: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column that is sent.

    Attributes:
        name: column name in the engine's tables: the neutral field, or `custom_` and a number.
        column: column name in the files.
        type: type as which the column is read. A timestamp for a date field is read as a date.
        label: the vendor's key, as reports show it.
        value_kind: type of the vendor's field.
        max_chars: maximum characters of the value as sent; None for no limit.
        drop_invalid: whether a value that does not fit is left out and counted. If not, its row is rejected.
        custom_field: the vendor's custom field, with what it accepts; None for a field that every contact has.
        text_format: the format of dates that the files hold as text; empty for a column of another type.
    """

    name: str
    column: str
    type: ColumnType
    label: str
    value_kind: ValueKind = "text"
    max_chars: int | None = None
    drop_invalid: bool = False
    custom_field: VendorField | None = None
    text_format: str = ""

    @property
    def is_moment(self) -> bool:
        """True if the column holds moments of consent. They are read as text, whatever the type in the files is."""
        return self.name == PROOF_AT

    @property
    def is_read_as_date(self) -> bool:
        """True if the files' own values become dates when they are read. A text becomes one later."""
        return self.type == "date" and not self.text_format

    @property
    def is_phone(self) -> bool:
        """True if the column feeds the neutral field `phone`, and the vendor's field takes E.164."""
        has_options = self.custom_field is not None and bool(self.custom_field.options)
        return self.name == "phone" and self.value_kind in {"phone", "text"} and not has_options

    @property
    def vendor_type(self) -> str:
        """The type of the vendor's field, and after a blank the vendor's id of the field if it has one."""
        field_id = self.custom_field.id if self.custom_field is not None else ""
        return f"{self.value_kind} {field_id}" if field_id else self.value_kind


@dataclass(frozen=True, slots=True)
class ResolvedMapping:
    """The field mapping after checking it against files and vendor.

    Attributes:
        email: the column with the addresses.
        columns: the other columns.
        mapped: fields and custom fields.
        date_format: the vendor's, for `strftime`.
        country: the column of the rows' countries; empty if none is mapped.
        default_region: ISO 3166-1 alpha-2 code for phone numbers in rows without a country; empty for none.
        proof: the columns with the proof of consent, which are read as text.
    """

    email: str
    columns: tuple[MappedColumn, ...]
    mapped: MappedFields
    date_format: str = "%Y-%m-%d"
    country: str = ""
    default_region: str = ""
    proof: tuple[MappedColumn, ...] = ()

    @property
    def read_columns(self) -> tuple[MappedColumn, ...]:
        """All columns that are read and cleaned, beside that of the addresses."""
        return self.columns + self.proof


@dataclass(frozen=True, slots=True)
class CleanResult:
    """Counts of the cleaning.

    Attributes:
        profiles: rows of the segment.
        warnings: values changed or left out, by field and cause.
    """

    profiles: int
    warnings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowSql:
    """SQL expressions over a row that may be sent.

    Attributes:
        item: the vendor's JSON, with `ITEM_SUFFIX`.
        hash: of the values; equal if the same data is sent.
        rows: the relation that has the columns of both.
    """

    item: str
    hash: str
    rows: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run, as `plan.json` stores it.

    Attributes:
        profiles: rows of the segment.
        upsert_rows: rows to send.
        unchanged: rows that the ledger holds with the same content.
        batches: ids of the batches, in the order of the record batches of `upserts.arrow`.
        bytes: of all items.
        not_sent: rows that are not sent, by outcome and reason.
        warnings: values changed or left out, by field and cause.
        removal_batches: ids of the batches of leavers, in the order of the record batches of `removals.arrow`.
        leaver_counts: leavers by outcome: `send`, and for those not sent `kept` and `already_gone`.
    """

    profiles: int
    upsert_rows: int
    unchanged: int
    batches: tuple[str, ...]
    bytes: int
    not_sent: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    warnings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    removal_batches: tuple[str, ...] = ()
    leaver_counts: Mapping[str, int] = field(default_factory=dict)

    def counts_so_far(self, accepted: int, rejected: int) -> dict[str, int]:
        """Return the profiles by outcome while the run is not over; `pending` are those without an outcome.

        Args:
            accepted: rows that the vendor has accepted so far.
            rejected: rows that the vendor has rejected so far.
        """
        not_sent = {outcome: sum(reasons.values()) for outcome, reasons in self.not_sent.items()}
        counts = {
            "delivered": accepted,
            "unchanged": self.unchanged,
            "rejected": not_sent.get("rejected", 0) + rejected,
            "withheld": not_sent.get("withheld", 0),
        }
        return {**counts, "pending": max(0, self.profiles - sum(counts.values()))}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The effort of a plan at the vendor.

    Attributes:
        calls: API calls that carry batches; polls and read-backs come on top.
        bytes: of the request bodies.
        estimated_minutes: at the vendor's documented quotas, if nothing else slows the run down.
        upserts, removals: people.
        quota_left: calls that the account has left today; None if the vendor does not report it.
        samples: by reason, row numbers of a few rows, to look up in the segment.
    """

    calls: int
    bytes: int
    estimated_minutes: float
    upserts: int
    removals: int
    quota_left: int | None = None
    samples: Mapping[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """Configuration and measurements that a plan was made from, as `plan.json` keeps them beside the plan.

    Attributes:
        vendor: its name in `VENDORS`.
        mode: sync mode, or `undo`.
        as_of: snapshot, ISO 8601.
        started_at: when planning began, epoch seconds.
        ledger_version: newest version when the plan was made; 0 for an empty ledger.
        files: name of each segment file, and the row number of its first row.
        segment_part: which of several segments of the export this is; empty if it has one.
        sharer_bit: this export's bit in the ledger's `sharers_mask`.
        is_shared: other exports use the audience too, or have used it.
        mapping_fingerprint: hash of field mapping and vendor fields.
        held_after_rejection: rows that are not sent because the vendor rejected them recently.
        consent: profiles by value of the consent column: yes, no, empty, unclear.
        suppression: counts of each suppression list.
        proof: rows that may be sent by `ProofState`; empty if no proof of consent is sent.
        reverted_version: the ledger version that an undo takes back; 0 for an export.
        restores: of an undo, the export's ledger facts before that version; empty if there were none.
    """

    vendor: str
    audience: Audience
    mode: str
    as_of: str
    started_at: float
    ledger_version: int
    export_name: str = ""
    files: tuple[tuple[str, int], ...] = ()
    segment_part: str = ""
    sharer_bit: int = 1
    is_shared: bool = False
    mapping_fingerprint: str = ""
    held_after_rejection: int = 0
    guards: tuple[GuardResult, ...] = ()
    consent: Mapping[str, int] = field(default_factory=dict)
    suppression: tuple[Mapping[str, Any], ...] = ()
    proof: Mapping[str, int] = field(default_factory=dict)
    estimate: Estimate = field(default_factory=lambda: Estimate(0, 0, 0.0, 0, 0))
    reverted_version: int = 0
    restores: Mapping[str, Any] = field(default_factory=dict)
