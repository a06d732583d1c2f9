"""The types of a verification's report, as `summary.json` and the return value of `hook.verify` hold it.

The reference in the documentation is generated from these types.
"""

from __future__ import annotations

from typing import Any, TypedDict

from airflow_provider_segexport.export.report_schema import OptOutsEntry
from airflow_provider_segexport.http.client import Traffic


class PeopleCounts(TypedDict):
    """People by kind. All except `not_ours` add up to the people who are or may be members according to the ledger.

    Attributes:
        in_sync: members by the ledger that the vendor has as mailable members.
        missing: members by the ledger that are not in the audience and have not opted out.
        left: the same at Constant Contact, where a person who is gone may have left by themselves.
        opted_out: members by the ledger that have opted out at the vendor.
        barred: members by the ledger that an export withholds; they are not compared.
        unsettled: people whose result is open, who were added less than ten minutes before, or who are in the plan of a
            run that has not ended.
        changed: people who would count as drift, but a run has changed them since the reading began.
        not_read: members by the ledger that are not in the sample.
        not_ours: people in the audience that the ledger does not have as members; null if a sample was read.
    """

    in_sync: int
    missing: int
    left: int
    opted_out: int
    barred: int
    unsettled: int
    changed: int
    not_read: int
    not_ours: int | None


class ValueCounts(TypedDict):
    """Members whose values were compared.

    Attributes:
        compared: people whose content the ledger has as delivered, and whose record was read.
        different: people with at least one value that differs at the vendor.
        by_field: people by the vendor's key of the field whose value differs.
    """

    compared: int
    different: int
    by_field: dict[str, int]


class SegmentCounts(TypedDict):
    """How the segment and the ledger differ.

    Attributes:
        people: people in the segment with a valid address.
        exported: people of the segment that the ledger has as members.
        not_exported: people of the segment that the ledger does not have as members.
        not_in_segment: members by the ledger that are not in the segment.
    """

    people: int
    exported: int
    not_exported: int
    not_in_segment: int


class ReadingEstimate(TypedDict):
    """Effort of the reading, estimated before it begins.

    Attributes:
        reads_all: whether the whole audience is read.
        people: people in the audience or in the sample.
        calls: API calls without those for the lists of opt-outs, whose length no vendor reports.
        calls_whole: API calls of reading the whole audience.
        estimated_minutes: at the vendor's documented quotas, if nothing else slows the reading down.
        quota_left: calls that the account has left today; null if the vendor does not report it.
    """

    reads_all: bool
    people: int
    calls: int
    calls_whole: int
    estimated_minutes: float
    quota_left: int | None


class VerifyReport(TypedDict):
    """The report of a verification.

    Attributes:
        mode: `verify`.
        vendor: name of the vendor, which is the connection type.
        audience: id of the audience.
        audience_name: name of the audience.
        audience_link: address of the audience's page at the vendor.
        account: name of the account.
        conn_id: id of the Airflow connection.
        run: the run's identity: DAG, task, run and map index.
        as_of: when the reading began, ISO 8601.
        started_at: when the reading began, epoch seconds.
        ended_at: when the report was written, epoch seconds.
        seconds: from `started_at` to `ended_at`.
        http: HTTP traffic of the last try.
        segment_path: the segment's paths; empty without a segment.
        sampled: people that were read one by one; null if the whole audience was read.
        vendor_members: people in the audience, as they were read; null for a sample.
        people: people by kind.
        match_rate: the match rate, from 0 to 1; null if the ledger has no members to compare.
        match_rate_interval: bounds of the match rate (Wilson, 95 %); null if the whole audience was read.
        values: members whose values were compared.
        segment: how the segment and the ledger differ; null without a segment.
        drift: path of `drift.parquet` and its number of rows.
        optouts: path of `optouts.parquet` and its number of rows.
        optouts_learnt: opt-outs that were new to the ledger.
        repair: whether missing people were to be sent again.
        repaired: missing people that the next run sends again.
        open_run: a run of the audience that has not ended; empty if there is none. The ledger is then not changed.
        estimate: effort of the reading.
        compared_version: the ledger's version when the reading began.
        ledger_version: the ledger's newest version afterwards.
        run_folder: path of the run folder.
        versions: versions of the packages that processed the rows.
        dry_run: false.
        error: null.
        finished: true.
    """

    mode: str
    vendor: str
    audience: str
    audience_name: str
    audience_link: str
    account: str
    conn_id: str
    run: str
    as_of: str
    started_at: float
    ended_at: float
    seconds: float
    http: Traffic
    segment_path: str
    sampled: int | None
    vendor_members: int | None
    people: PeopleCounts
    match_rate: float | None
    match_rate_interval: list[float] | None
    values: ValueCounts
    segment: SegmentCounts | None
    drift: OptOutsEntry
    optouts: OptOutsEntry
    optouts_learnt: int
    repair: bool
    repaired: int
    open_run: str
    estimate: ReadingEstimate
    compared_version: int
    ledger_version: int
    run_folder: str
    versions: dict[str, str]
    dry_run: bool
    error: Any
    finished: bool


VERIFY_TYPES = (VerifyReport, PeopleCounts, ValueCounts, SegmentCounts, ReadingEstimate)
"""The types, in the order of the reference."""
