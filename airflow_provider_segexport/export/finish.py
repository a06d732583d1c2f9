"""Adds up, writes the ledger and the report: `plan, journal -> report`. Runs at every end, also at a failure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export import collect_optouts
from airflow_provider_segexport.export.config import ExportContext, works_later
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.stages import readback, record, report, update_ledger
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.ledger import REVERTED_VERSION, Ledger
from airflow_provider_segexport.storage.ledger_facts import KEPT_IN_PLAN, LedgerCommit
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder

log = logging.getLogger(__name__)


def name(context: ExportContext, planned: Plan, audience: Audience) -> None:
    """Read the audience back and name the rows that the vendor has only counted as not taken, where there are any."""
    if readback.unattributed_count(context.environment.run_folder):
        with engine() as sql:
            context.run_operation(context.vendor.list_members(audience, readback.Pages(sql)))
            readback.attribute(sql, context.environment.run_folder, planned.batches)


def finish(  # noqa: PLR0913 - what a report is made of
    context: ExportContext,
    planned: Plan,
    facts: Mapping[str, Any],
    audience: Audience,
    error: SegexportError | None = None,
    *,
    waiting: bool = False,
) -> dict[str, Any]:
    """The report of a run as far as it came. A plan that is not carried out leaves the ledger alone."""
    folder = context.environment.run_folder
    looked_only = bool(facts.get("dry_run"))
    ledger = context.ledger(audience)
    with engine() as sql:
        reasons = report.write_rejects(sql, folder, facts["files"])
        accepted, _ = record.count_rows(folder.journal.states())
        counts = report.count(planned, accepted - readback.unattributed_count(folder), reasons)
        removals = report.write_removals(sql, folder, planned)
        version = ledger.version()
        if folder.has_plan() and not (waiting or facts.get("superseded")):
            version = _commit(context, sql, planned, facts, ledger, finished=error is None)
            state = AudienceState.of(ledger.path)
            if error is None:
                state = state.sent(context.config.export_name, facts.get("fields", {}))
            if state.open_run_folder == str(folder.path) and not _jobs_left(context, folder):
                state = replace(state, open_run_folder="")
            state.write(ledger.path, ledger.fence)
    told = _facts(context, planned, facts, audience, error or facts.get("error"))
    told |= {"ledger_version": version, "removals": removals, "finished": error is None and not waiting}
    if found := collect_optouts.written(folder):
        told["optouts"] = found
    summary = report.summarize(counts, reasons, told)
    if not (looked_only or waiting):
        _record_history(ledger, summary)
    folder.write_summary(summary)  # the last write of the run: from here on a retry would begin anew
    if summary["finished"] and not _jobs_left(context, folder):
        _drop_bodies(folder)
    return summary


def _drop_bodies(folder: RunFolder) -> None:
    """Remove what held every profile. A store that does not let it go fails no run that has ended."""
    try:
        folder.drop_bodies()
    except OSError as error:
        log.warning("The planned rows could not be removed (folder=%s error=%s).", folder.path, type(error).__name__)


def _jobs_left(context: ExportContext, folder: RunFolder) -> bool:
    """Whether jobs of this run may still run at the vendor: the next run of the audience waits for them."""
    open_ = {State.SUBMITTED, State.SENDING} if works_later(context) else {State.SUBMITTED}
    return any(entry.state in open_ for part in (folder, folder.removals) for entry in part.journal.states().values())


def _record_history(ledger: Ledger, summary: Mapping[str, Any]) -> None:
    """Tell it to people who look at the audience; that it cannot be told fails no run."""
    try:
        history.record_run(ledger.path, summary, members=ledger.members())
    except OSError as error:
        log.warning("The run could not be written down in %s (%s).", ledger.path, type(error).__name__)


def abandon(
    context: ExportContext, planned: Plan, facts: dict[str, Any], audience: Audience, why: SegexportError
) -> None:
    """Close a run folder whose plan is of no use any more; the next try begins another."""
    finish(context, planned, {**facts, "superseded": True}, audience, why)


def _commit(  # noqa: PLR0913 - what a ledger's version is made of
    context: ExportContext, sql: Engine, planned: Plan, facts: Mapping[str, Any], ledger: Ledger, *, finished: bool
) -> int:
    origin = LedgerCommit(
        facts["as_of"],
        context.config.run,
        planned.profiles,
        finished=finished,
        started_at=facts["started_at"],
        ended_at=context.environment.clock(),
        count_in_flight_as_sent=not finished,
        keep_left=context.vendor.import_readds_leavers,
        **{name: facts[name] for name in KEPT_IN_PLAN if name in facts},
    )
    return update_ledger.update_ledger(
        sql,
        ledger,
        context.environment.run_folder,
        update_ledger.PlanBatches(planned.batches, planned.removal_batches),
        origin,
    )


def _facts(
    context: ExportContext,
    planned: Plan,
    facts: Mapping[str, Any],
    audience: Audience,
    error: SegexportError | str | None,
) -> dict[str, Any]:
    """Who, what, when, how much."""
    before = (context.environment.run_folder.summary() or {}).get("http", {})
    ended, config = context.environment.clock(), context.config
    traffic = asdict(context.environment.http.traffic)
    told: dict[str, Any] = {
        "vendor": facts["vendor"],
        "audience": audience.audience,
        "audience_name": audience.audience_name,
        "audience_link": context.vendor.audience_link(audience),
        "account": audience.account_name,
        "contact_headroom": audience.contact_headroom,
        "conn_id": config.conn_id,
        "export_name": facts.get("export_name", config.export_name),
        "segment": config.shown_segment,
        "mode": facts["mode"],
        "as_of": facts["as_of"],
        "run": config.run,
        "dry_run": bool(facts.get("dry_run")),
        "error": str(error) if error else None,
        "started_at": facts["started_at"],
        "ended_at": ended,
        "seconds": round(ended - facts["started_at"], 3),
        "http": {key: round(value + before.get(key, 0), 3) for key, value in traffic.items()},
        "batches": len(planned.batches),
        "warnings": planned.warnings,
        "run_folder": str(context.environment.run_folder.path),
        "versions": report.versions(),
    }
    kept = (
        "guards",
        "consent",
        "suppression",
        "estimate",
        "held_after_rejection",
        "comparison_only",
        "superseded",
        REVERTED_VERSION,
        "plan_hash",
    )
    return told | {name: facts[name] for name in kept if name in facts}
