"""The types of a run's report, as `summary.json` and the return value of `hook.export` hold it.

The reference in the documentation is generated from these types. A dataclass in it is a JSON object.
"""

from __future__ import annotations

from typing import Any, TypedDict

from airflow_provider_segexport.guards import GuardResult
from airflow_provider_segexport.http.client import Traffic
from airflow_provider_segexport.stages.report import Counts
from airflow_provider_segexport.storage.plan import Estimate


class RemovalCounts(TypedDict):
    """People to be removed by outcome. The outcomes add up to `planned`.

    Attributes:
        planned: people in the audience, according to the ledger, who are no longer in the segment.
        removed: people that the vendor removed.
        already_gone: people who were not in the audience any more.
        kept: people who stay, for example because another export has a claim.
        rejected: people that the vendor did not remove.
        not_attempted: people that the run did not reach.
    """

    planned: int
    removed: int
    already_gone: int
    kept: int
    rejected: int
    not_attempted: int


class OptOutsEntry(TypedDict):
    """The file of opt-outs that the run saw.

    Attributes:
        path: path of `optouts.parquet`.
        count: rows of the file.
    """

    path: str
    count: int


class EveryReport(TypedDict):
    """The keys that every report has; `Report` documents them."""

    vendor: str
    audience: str
    audience_name: str
    audience_link: str
    account: str
    contact_headroom: int | None
    account_facts: dict[str, dict[str, Any]]
    conn_id: str
    export_name: str
    segment: str
    mode: str
    as_of: str
    run: str
    started_at: float
    ended_at: float
    seconds: float
    http: Traffic
    batches: int
    warnings: dict[str, dict[str, int]]
    run_folder: str
    versions: dict[str, str]
    estimate: Estimate
    dry_run: bool
    error: str | None
    ledger_version: int
    removals: RemovalCounts
    finished: bool
    counts: Counts
    reasons: dict[str, dict[str, int]]


class Report(EveryReport, total=False):
    """The report of a run.

    Attributes:
        vendor: name of the vendor, which is the connection type.
        audience: id of the audience; empty if it does not exist yet.
        audience_name: name of the audience.
        audience_link: address of the audience's page at the vendor.
        account: name of the account.
        contact_headroom: contacts that the account can still take; null if the vendor does not report it.
        account_facts: how the account behaves, by what an experiment or a probe has shown: `value` and
            `learnt_at` (epoch seconds) by fact.
        conn_id: id of the Airflow connection.
        export_name: name of the export.
        segment: the segment's paths, without query strings.
        mode: sync mode; `undo` for an undo.
        as_of: the snapshot's time, ISO 8601.
        run: the run's identity: DAG, task, run and map index.
        started_at: when planning began, epoch seconds.
        ended_at: when the report was written, epoch seconds.
        seconds: from `started_at` to `ended_at`.
        http: HTTP traffic.
        batches: batches of the plan.
        warnings: values that the vendor does not keep as they are: count by field and cause.
        run_folder: path of the run folder.
        versions: versions of the packages that processed the rows.
        estimate: effort of the plan.
        dry_run: whether the plan was only reported.
        error: why the run stopped; null for success.
        ledger_version: the ledger's newest version after the run; 0 if there is none.
        removals: people to be removed, by outcome.
        finished: whether the run did all that it was configured to do.
        counts: profiles by outcome.
        reasons: rows by outcome and reason.
        error_code: code of the error, such as `guard-tripped`; only if the run stopped.
        guards: results of the guards; not in the report of an undo.
        consent: rows by value of the consent column; not in the report of an undo.
        consent_proof: rows that may be sent by state of their proof of consent; only with `subscribe="with_proof"`.
        suppression: counts of each suppression list; not in the report of an undo.
        held_after_rejection: rows that are not sent because the vendor rejected them lately; not for an undo.
        reverted_version: the ledger version that an undo took back; only for an undo.
        optouts: the file of opt-outs; only if the run got far enough to write it.
        audience_created: true if the export created the audience.
        audience_missing: true if the audience does not exist, in a dry run that would create it.
        superseded: true if the plan was discarded; the next try makes a new one.
        comparison_only: of a dry run: whether it compares an older snapshot (`on_stale="verify"`).
        plan_hash: of a dry run: hash of the plan, for `expected_plan`.
        preview: of a dry run: a few items as the vendor would get them, with masked values; empty for an undo.
    """

    error_code: str
    guards: list[GuardResult]
    consent: dict[str, int]
    consent_proof: dict[str, int]
    suppression: list[dict[str, Any]]
    held_after_rejection: int
    reverted_version: int
    optouts: OptOutsEntry
    audience_created: bool
    audience_missing: bool
    superseded: bool
    comparison_only: bool
    plan_hash: str
    preview: list[Any]


REPORT_TYPES = (Report, Counts, RemovalCounts, Estimate, GuardResult, Traffic, OptOutsEntry)
"""The types, in the order of the reference."""
