"""Adds up, writes the ledger and the report: `plan, journal -> report`. Runs at every end, also at a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import commit, readback, report, settle


def name(job: Job, planned: Planned, target: Target) -> None:
    """Read the audience back and name the rows that the vendor has only counted as not taken, where there are any."""
    if readback.unnamed(job.world.folder):
        with engine() as sql:
            job.drive(job.vendor.members(target, readback.Pages(sql)))
            readback.name_them(sql, job.world.folder, planned.batches)


def close(
    job: Job, planned: Planned, facts: Mapping[str, Any], target: Target, error: SegexportError | None = None
) -> dict[str, Any]:
    """The report of a run as far as it came."""
    folder = job.world.folder
    with engine() as sql:
        reasons = report.write_rejects(sql, folder, facts["files"])
        accepted, _ = settle.tally(folder.journal.states())
        counts = report.count(planned, accepted - readback.unnamed(folder), reasons)
        version = _commit(job, sql, planned, facts, target, finished=error is None)
    summary = report.summarize(
        counts, reasons, {**_facts(job, planned, facts, target, error), "ledger_version": version}
    )
    folder.write_summary(summary)
    return summary


def _commit(  # noqa: PLR0913 - what a ledger's version is made of
    job: Job, sql: Engine, planned: Planned, facts: Mapping[str, Any], target: Target, *, finished: bool
) -> int:
    ledger = Ledger.of(job.world.root, job.vendor.name, target)
    origin = commit.Origin(facts["as_of"], job.order.run, planned.profiles, finished=finished)
    return commit.commit(sql, ledger, job.world.folder, planned.batches, origin)


def _facts(
    job: Job, planned: Planned, facts: Mapping[str, Any], target: Target, error: SegexportError | None
) -> dict[str, Any]:
    """Who, what, when, how much."""
    before = (job.world.folder.summary() or {}).get("traffic", {})
    ended = job.world.clock()
    traffic = asdict(job.world.send.traffic)
    return {
        "vendor": facts["vendor"],
        "audience": target.audience,
        "audience_name": target.audience_name,
        "account": target.account_name,
        "mode": facts["mode"],
        "as_of": facts["as_of"],
        "run": job.order.run,
        "finished": error is None,
        "error": str(error) if error else None,
        "started_at": facts["started_at"],
        "ended_at": ended,
        "seconds": round(ended - facts["started_at"], 3),
        "traffic": {key: round(value + before.get(key, 0), 3) for key, value in traffic.items()},
        "batches": len(planned.batches),
        "warnings": planned.warnings,
        "report": str(job.world.folder.place),
        "versions": report.versions(),
    }
