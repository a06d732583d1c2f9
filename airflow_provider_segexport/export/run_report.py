"""Reads the report of one run, or the progress of a run that has not ended: `run folder -> report`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow_provider_segexport.export.runs import outcome
from airflow_provider_segexport.storage.journal_entries import State, upserted_rows
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder


def read_report(folder: StoragePath) -> dict[str, Any]:
    """Return a run's report with its `outcome`; for a run without a report, the figures of its plan and journal.

    Raises:
        DamagedState: report or plan have changed since they were written, or another version wrote them.
        OSError: the folder cannot be read.
    """
    run = RunFolder(folder, lenient=True)
    summary = run.summary()
    if summary is not None:
        return {"outcome": outcome(summary), **summary}
    frozen = run.plan(check_journals=False)
    if frozen is None:
        return {"outcome": "not planned", "run_folder": str(folder)}
    return _so_far(run, *frozen)


def _so_far(run: RunFolder, planned: Plan, facts: PlanFacts) -> dict[str, Any]:
    """Return the progress of a run that has not ended. Another process may be writing its journal."""
    entries = run.journal.states().values()
    counts = planned.counts_so_far(*upserted_rows(entries))
    with_result = sum(entry.is_planned and entry.state in {State.SETTLED, State.SPLIT} for entry in entries)
    return {
        "outcome": "open",
        "vendor": facts.vendor,
        "audience": facts.audience.audience,
        "audience_name": facts.audience.audience_name,
        "account": facts.audience.account_name,
        "export_name": facts.export_name,
        "mode": facts.mode,
        "as_of": facts.as_of,
        "started_at": facts.started_at,
        "counts": {"profiles": planned.profiles, **counts},
        "reasons": {outcome: dict(reasons) for outcome, reasons in planned.not_sent.items()},
        "batches": len(planned.batches),
        "batches_with_result": with_result,
        "jobs": sorted(entry.job_id for entry in entries if entry.state is State.SUBMITTED),
        "guards": [asdict(guard) for guard in facts.guards],
        "estimate": asdict(facts.estimate),
        "run_folder": str(run.path),
    }
