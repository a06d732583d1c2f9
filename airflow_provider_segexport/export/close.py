"""Adds up, writes the ledger and the report: `plan, journal -> report`. Runs at every end, also at a failure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export import optouts
from airflow_provider_segexport.export.order import Job, works_later
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports import audiences
from airflow_provider_segexport.ports.engine import Engine, engine
from airflow_provider_segexport.ports.journal import State
from airflow_provider_segexport.ports.ledger import UNDOES, Ledger
from airflow_provider_segexport.ports.origin import KEPT_IN_PLAN, Origin
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import commit, readback, report, settle

log = logging.getLogger(__name__)


def name(job: Job, planned: Planned, target: Target) -> None:
    """Read the audience back and name the rows that the vendor has only counted as not taken, where there are any."""
    if readback.unnamed(job.world.folder):
        with engine() as sql:
            job.drive(job.vendor.members(target, readback.Pages(sql)))
            readback.name_them(sql, job.world.folder, planned.batches)


def close(  # noqa: PLR0913 - what a report is made of
    job: Job,
    planned: Planned,
    facts: Mapping[str, Any],
    target: Target,
    error: SegexportError | None = None,
    *,
    waiting: bool = False,
) -> dict[str, Any]:
    """The report of a run as far as it came. A plan that is not carried out leaves the ledger alone."""
    folder = job.world.folder
    looked_only = bool(facts.get("dry_run"))
    ledger = job.ledger(target)
    with engine() as sql:
        reasons = report.write_rejects(sql, folder, facts["files"])
        accepted, _ = settle.tally(folder.journal.states())
        counts = report.count(planned, accepted - readback.unnamed(folder), reasons)
        removals = report.write_removals(sql, folder, planned)
        version = ledger.version()
        if folder.frozen() and not (waiting or facts.get("superseded")):
            version = _commit(job, sql, planned, facts, ledger, finished=error is None)
            standing = Standing.of(ledger.place)
            if error is None:
                standing = standing.sent(job.order.export, facts.get("fields", {}))
            if standing.open == str(folder.place) and not _jobs_left(job, folder):
                standing = replace(standing, open="")
            standing.write(ledger.place, ledger.fence)
    told = _facts(job, planned, facts, target, error or facts.get("error"))
    told |= {"ledger_version": version, "removals": removals, "finished": error is None and not waiting}
    if found := optouts.written(folder):
        told["optouts"] = found
    summary = report.summarize(counts, reasons, told)
    if not (looked_only or waiting):
        _show(ledger, summary)
    folder.write_summary(summary)  # the last write of the run: from here on a retry would begin anew
    if summary["finished"] and not _jobs_left(job, folder):
        _drop_bodies(folder)
    return summary


def _drop_bodies(folder: RunFolder) -> None:
    """Remove what held every profile. A store that does not let it go fails no run that has ended."""
    try:
        folder.drop_bodies()
    except OSError as error:
        log.warning("The planned rows could not be removed (folder=%s error=%s).", folder.place, type(error).__name__)


def _jobs_left(job: Job, folder: RunFolder) -> bool:
    """Whether jobs of this run may still run at the vendor: the next run of the audience waits for them."""
    open_ = {State.SUBMITTED, State.SENDING} if works_later(job) else {State.SUBMITTED}
    return any(entry.state in open_ for part in (folder, folder.removals) for entry in part.journal.states().values())


def _show(ledger: Ledger, summary: Mapping[str, Any]) -> None:
    """Tell it to people who look at the audience; that it cannot be told fails no run."""
    try:
        audiences.record(ledger.place, summary, members=ledger.members())
    except OSError as error:
        log.warning("The run could not be written down in %s (%s).", ledger.place, type(error).__name__)


def give_up(job: Job, planned: Planned, facts: dict[str, Any], target: Target, why: SegexportError) -> None:
    """Close a run folder whose plan is of no use any more; the next try begins another."""
    close(job, planned, {**facts, "superseded": True}, target, why)


def _commit(  # noqa: PLR0913 - what a ledger's version is made of
    job: Job, sql: Engine, planned: Planned, facts: Mapping[str, Any], ledger: Ledger, *, finished: bool
) -> int:
    origin = Origin(
        facts["as_of"],
        job.order.run,
        planned.profiles,
        finished=finished,
        started_at=facts["started_at"],
        ended_at=job.world.clock(),
        in_flight=not finished,
        keeps_left=job.vendor.readds_leavers,
        **{name: facts[name] for name in KEPT_IN_PLAN if name in facts},
    )
    return commit.commit(sql, ledger, job.world.folder, commit.Names(planned.batches, planned.removals), origin)


def _facts(
    job: Job, planned: Planned, facts: Mapping[str, Any], target: Target, error: SegexportError | str | None
) -> dict[str, Any]:
    """Who, what, when, how much."""
    before = (job.world.folder.summary() or {}).get("traffic", {})
    ended, order = job.world.clock(), job.order
    traffic = asdict(job.world.send.traffic)
    told: dict[str, Any] = {
        "vendor": facts["vendor"],
        "audience": target.audience,
        "audience_name": target.audience_name,
        "audience_link": job.vendor.audience_link(target),
        "account": target.account_name,
        "headroom": target.headroom,
        "conn_id": order.conn_id,
        "export": facts.get("export", order.export),
        "segment": order.shown_segment,
        "mode": facts["mode"],
        "as_of": facts["as_of"],
        "run": order.run,
        "dry_run": bool(facts.get("dry_run")),
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
    kept = ("guards", "consent", "suppression", "plan", "waiting", "verified", "superseded", UNDOES, "mark")
    return told | {name: facts[name] for name in kept if name in facts}
