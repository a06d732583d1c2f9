"""Ends a run: `plan, journal -> ledger, report`. Also runs after a failure, with what was done until then."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export import collect_optouts, doubts
from airflow_provider_segexport.export.audience import CREATED_AS
from airflow_provider_segexport.export.config import ExportContext, Phase, may_finish_after_response
from airflow_provider_segexport.export.experiments import account_facts
from airflow_provider_segexport.model import PROOF_NOT_APPLIED, Audience, ProofState
from airflow_provider_segexport.stages import readback, record, report, update_ledger
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.local_copies import uploads
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.proof_columns import CONSENTED_AT_COLUMN
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.side_by_side import side_by_side
from airflow_provider_segexport.vendors.audience_names import is_missing
from airflow_provider_segexport.vendors.links import page_link

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run.

    Attributes:
        error: why the run stopped early, or why the plan of a dry run could not be carried out; None without an error.
        waiting: whether the run continues when its jobs have ended.
        superseded: whether the plan is discarded, so that the next try makes a new one.
        plan_hash: hash of the plan of a dry run; empty for any other run.
        comparison_only: whether a dry run compares an older snapshot, because of `on_stale="verify"`.
        preview: a few items of a dry run with masked values.
    """

    error: SegexportError | None = None
    waiting: bool = False
    superseded: bool = False
    plan_hash: str = ""
    comparison_only: bool = False
    preview: Sequence[Any] = ()

    @property
    def dry_run(self) -> bool:
        """Whether the plan was only reported."""
        return bool(self.plan_hash)

    @property
    def finished(self) -> bool:
        """Whether the run did all that it was configured to do."""
        return (self.error is None or self.dry_run) and not self.waiting

    def as_report(self) -> dict[str, Any]:
        """Return the report's entries; those of dry runs and discarded plans only where they apply."""
        entries: dict[str, Any] = {"dry_run": self.dry_run, "error": str(self.error) if self.error else None}
        if self.error:
            entries["error_code"] = self.error.error_code
        if self.dry_run:
            entries |= {"comparison_only": self.comparison_only, "plan_hash": self.plan_hash}
            entries |= {"preview": list(self.preview)}
        if self.superseded:
            entries["superseded"] = True
        return entries


def attribute_unnamed(context: ExportContext, planned: Plan, audience: Audience) -> None:
    """If the vendor reported only a count of rejected rows, read the audience back to find out which rows they are.

    Args:
        context: the run.
        planned: the run's plan.
        audience: the audience to read back.
    """
    if readback.unattributed_count(context.environment.run_folder):
        with engine() as sql:
            context.run_operation(context.vendor.list_members(audience, readback.Pages(sql)))
            readback.attribute(sql, context.environment.run_folder, planned.batches)


def finish(
    context: ExportContext, planned: Plan, facts: PlanFacts, audience: Audience, end: RunEnd | None = None
) -> dict[str, Any]:
    """Write the ledger's next version and the report.

    Args:
        context: the run.
        planned: the run's plan. If it is not frozen, the ledger is not changed.
        facts: facts of the plan.
        audience: the audience, as the vendor described it last.
        end: the end of the run; None for success.

    Returns:
        The report.
    """
    context.environment.on_phase(Phase.REPORT)
    end = end or RunEnd()
    folder = context.environment.run_folder
    ledger, is_committed = context.ledger(audience), False
    with uploads(folder.path), engine() as sql:
        reasons = report.write_rejects(sql, folder, facts.files)
        unapplied = report.write_proof_warnings(sql, folder) if facts.proof else 0
        accepted, _ = record.count_rows(folder.journal.states())
        counts = report.count(planned, accepted - readback.unattributed_count(folder), reasons)
        removals = report.write_removals(sql, folder, planned)
        if not (end.waiting or end.superseded) and folder.has_plan():
            _commit(context, sql, planned, facts, ledger, finished=end.finished)
            is_committed = True
    ledger = ledger.pinned()
    version = ledger.version()
    entries = _run_entries(context, planned, facts, audience) | _plan_entries(facts) | end.as_report()
    entries |= {"ledger_version": version, "removals": removals, "finished": end.finished}
    if facts.proof:
        entries |= {"consent_proof": dict(facts.proof), "warnings": _with_proofs(planned, facts, unapplied)}
    entries |= _audience_entries(audience)
    if optouts := collect_optouts.written(folder):
        entries["optouts"] = optouts
    summary = report.summarize(counts, reasons, entries)
    write_state = partial(_write_state, context, ledger)
    is_recorded = not (end.dry_run or end.waiting or is_missing(audience))
    record_run = partial(_record_history, ledger, summary) if is_recorded else bool
    # `bool` and `AudienceState` do nothing: they return an empty value.
    state, _ = side_by_side(ledger.path, write_state if is_committed else AudienceState, record_run)
    log.info("Writing the report (run_folder=%s ledger_version=%d)", folder.path, version)
    folder.write_summary(summary)  # after a finished report a retry starts a new plan
    if is_committed and end.finished and context.config.fetch_optouts:
        collect_optouts.note_reading(context, ledger, entries["ended_at"], version)
    if end.finished and not _jobs_left(context, folder):
        doubts.drop_rows(state, folder)
    return summary


def _write_state(context: ExportContext, ledger: Ledger) -> AudienceState:
    """Record in the audience's state that the run has ended, unless its jobs may run.

    Args:
        context: the run.
        ledger: of the audience, pinned after the run's version was written.

    Returns:
        The state as it was written.
    """
    folder = context.environment.run_folder
    state = AudienceState.of(ledger.path, ledger.names)
    if state.open_run_folder == str(folder.path) and not _jobs_left(context, folder):
        state = replace(state, open_run_folder="")
    state.write(ledger.path, ledger.fence, ledger.names)
    return state


def _jobs_left(context: ExportContext, folder: RunFolder) -> bool:
    """Return whether jobs of this run may still run at the vendor; the audience's next run waits for them."""
    unsettled = {State.SUBMITTED}
    if may_finish_after_response(context):
        unsettled.add(State.SENDING)
    return any(
        entry.state in unsettled for part in (folder, folder.removals) for entry in part.journal.states().values()
    )


def _record_history(ledger: Ledger, summary: Mapping[str, Any]) -> None:
    """Add the run to the audience's history. If the history cannot be written, the run does not fail."""
    try:
        history.record_run(ledger.path, summary, members=ledger.members())
    except OSError as error:
        log.warning("Recording the run in the history failed (ledger=%s error=%s)", ledger.path, type(error).__name__)


def abandon(context: ExportContext, planned: Plan, facts: PlanFacts, audience: Audience, error: SegexportError) -> None:
    """Discard a plan that cannot be carried out any more; the next try makes a new one in the next run folder.

    Args:
        context: the run.
        planned: the plan to discard.
        facts: facts of that plan.
        audience: the audience, as the plan keeps it.
        error: why the plan is discarded; shown in the report.
    """
    finish(context, planned, facts, audience, RunEnd(error, superseded=True))


def _commit(  # noqa: PLR0913 - a version of the ledger needs each
    context: ExportContext, sql: Engine, planned: Plan, facts: PlanFacts, ledger: Ledger, *, finished: bool
) -> int:
    commit = LedgerCommit.of_plan(
        facts,
        context.config.run,
        context.environment.clock(),
        profiles=planned.profiles,
        finished=finished,
        keep_left=context.vendor.import_readds_leavers,
    )
    batches = update_ledger.PlanBatches(planned.batches, planned.removal_batches)
    return update_ledger.update_ledger(sql, ledger, context.environment.run_folder, batches, commit)


def _run_entries(context: ExportContext, planned: Plan, facts: PlanFacts, audience: Audience) -> dict[str, Any]:
    """Return the report's entries on the run: vendor, audience, configuration, times and HTTP traffic."""
    environment, config = context.environment, context.config
    http_before = (environment.run_folder.summary() or {}).get("http", {})
    ended = environment.clock()
    return {
        "vendor": facts.vendor,
        "audience": audience.audience,
        "audience_name": audience.audience_name,
        "audience_link": page_link(context.vendor, audience),
        "account": audience.account_name,
        "contact_headroom": audience.contact_headroom,
        "account_facts": account_facts(context, audience),
        "conn_id": config.conn_id,
        "export_name": facts.export_name,
        "segment": config.shown_segment,
        "mode": facts.mode,
        "as_of": facts.as_of,
        "run": config.run,
        "started_at": facts.started_at,
        "ended_at": ended,
        "seconds": round(ended - facts.started_at, 3),
        "http": {
            name: round(value + http_before.get(name, 0), 3) for name, value in asdict(environment.http.traffic).items()
        },
        "batches": len(planned.batches),
        "warnings": planned.warnings,
        "run_folder": str(environment.run_folder.path),
        "versions": report.versions(),
    }


def _audience_entries(audience: Audience) -> dict[str, Any]:
    """Return the report's entries on an audience that the run creates or has created; none for any other."""
    if is_missing(audience):
        return {"audience": "", "audience_link": "", "audience_missing": True}
    return {"audience_created": True} if CREATED_AS in audience.extra else {}


def _with_proofs(planned: Plan, facts: PlanFacts, unapplied: int) -> Mapping[str, Mapping[str, int]]:
    """Return the report's warnings, with the proofs of consent that do not count.

    Args:
        planned: the plan.
        facts: of the plan.
        unapplied: rows that the vendor has accepted without their proof.
    """
    silent = {ProofState.WITH_PROOF, ProofState.NO_MOMENT}
    counts = {state: number for state, number in facts.proof.items() if number and state not in silent}
    counts |= {PROOF_NOT_APPLIED: unapplied} if unapplied else {}
    return {**planned.warnings, CONSENTED_AT_COLUMN: counts} if counts else planned.warnings


def _plan_entries(facts: PlanFacts) -> dict[str, Any]:
    """Return the report's entries on how the plan was made."""
    entries: dict[str, Any] = {"estimate": asdict(facts.estimate)}
    if facts.reverted_version:
        return entries | {"reverted_version": facts.reverted_version}
    return entries | {
        "guards": [asdict(guard) for guard in facts.guards],
        "consent": dict(facts.consent),
        "suppression": list(facts.suppression),
        "held_after_rejection": facts.held_after_rejection,
    }
