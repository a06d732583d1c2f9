"""The frozen values between the stages that speak of files and columns."""

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

BEHIND = ","
"""Stands behind every item of a plan: so the items of a batch lie in memory as they go out."""


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One Parquet file. A row's number in the segment is `first_row` plus its number in the file, from 0.

    Attributes:
        types: the type in this file by matched column.
        version: differs when the file is replaced; empty if its store cannot say.
        group_bytes: uncompressed bytes of its largest row group.
        partitions: value by mapped column that only the path has.
    """

    place: StoragePath
    name: str
    rows: int
    first_row: int
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    version: Mapping[str, str] = field(default_factory=dict)
    group_bytes: int = 0
    partitions: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """The files of a segment in reading order, and their columns.

    Attributes:
        columns: type by matched column; None for a type that no field takes, such as a list or a struct.
        type_words: the file's own words for the type.
        types: the type that holds a column's values of all files.
    """

    files: tuple[SegmentFile, ...]
    columns: Mapping[str, ColumnType | None]
    type_words: Mapping[str, str]
    types: Mapping[str, pa.DataType] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows over all files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Field mapping as a colleague wrote it: column by neutral field, and by the vendor's name of a custom field."""

    fields: Mapping[str, str]
    custom: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """One column that travels.

    Attributes:
        name: in the plan: the neutral field, or `custom_` and a number.
        column: in the files.
        type: as it is read; a timestamp for a date field is read as a date.
        label: the vendor's key, as reports show it.
        value_kind: what the vendor's field holds.
        drop_invalid: a value that does not fit is left out of its row and counted, instead of rejecting the row.
        custom_field: the vendor's custom field, with what it accepts; None for a field that the vendor has for
            everybody.
    """

    name: str
    column: str
    type: ColumnType
    label: str
    value_kind: ValueKind = "text"
    max_chars: int | None = None
    drop_invalid: bool = False
    custom_field: VendorField | None = None

    @property
    def holds(self) -> str:
        """What the vendor's field holds, and after a blank the vendor's id of it, if the vendor tells one."""
        return (
            f"{self.value_kind} {self.custom_field.id}"
            if self.custom_field is not None and self.custom_field.id
            else self.value_kind
        )


@dataclass(frozen=True, slots=True)
class ResolvedMapping:
    """Field mapping, held against files and vendor."""

    email: str
    columns: tuple[MappedColumn, ...]
    mapped: MappedFields
    date_format: str = "%Y-%m-%d"


@dataclass(frozen=True, slots=True)
class CleanResult:
    """What cleaning counted: rows of the segment, and values changed or left out, by field and why."""

    profiles: int
    warnings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowSql:
    """What is sent of a clean row, as SQL.

    Attributes:
        item: the vendor's JSON of it, and a comma behind it.
        hash: the same where the same would be sent.
    """

    item: str
    hash: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a plan holds, as `plan.json` keeps it.

    Attributes:
        profiles: rows of the segment.
        upsert_rows: rows to be sent.
        batches: names of the batches, in the order of the record batches of `upserts.arrow`.
        not_sent: rows that are not sent, by outcome and reason.
        warnings: values changed or left out, by field and why.
        removal_batches: names of the batches of leavers, in the order of the record batches of `removals.arrow`.
        leaver_counts: how many people the removals are about, and what becomes of those who are not sent: `kept`,
            `absent`.
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


@dataclass(frozen=True, slots=True)
class Estimate:
    """Effort that a plan takes at the vendor.

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
        segment_part: which of several mapped segments of the export this is; empty if the task is not mapped.
        sharer_bit: this export's bit in the ledger's sharers.
        is_shared: other exports use the audience too, or have used it.
        mapping_fingerprint: hash of field mapping and vendor fields.
        fields: type, and the vendor's id where it has one, by the vendor's field that the export feeds.
        held_after_rejection: rows that are not sent because the vendor rejected them lately.
        consent: profiles by value of the consent column: yes, no, empty, unclear.
        suppression: counts of each suppression list.
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
    fields: Mapping[str, str] = field(default_factory=dict)
    held_after_rejection: int = 0
    guards: tuple[GuardResult, ...] = ()
    consent: Mapping[str, int] = field(default_factory=dict)
    suppression: tuple[Mapping[str, Any], ...] = ()
    estimate: Estimate = field(default_factory=lambda: Estimate(0, 0, 0.0, 0, 0))
    reverted_version: int = 0
    restores: Mapping[str, Any] = field(default_factory=dict)
