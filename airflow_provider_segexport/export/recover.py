"""Brings into the ledger what a run has done that ended before it could: `its run folder, its jobs -> ledger`.

Another run would plan against a ledger that does not know of it: people that it put in would never be taken out, and
values that it changed would pass for unchanged. Its jobs may still run at the vendor. A job that ends later than the
newer run's would undo what that one did, so every job has ended before anything is planned.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import DamagedState, JobsTooLong, UnexpectedResponse
from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.export.config import ExportContext, PendingJobs, works_later
from airflow_provider_segexport.export.finish import name
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at, running
from airflow_provider_segexport.export.removing import confirm, removal_of
from airflow_provider_segexport.export.sending import adopt_lost_jobs, callbacks
from airflow_provider_segexport.model import Audience, Batch
from airflow_provider_segexport.stages import readback, record, send, update_ledger
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import KEPT_IN_PLAN, LedgerCommit
from airflow_provider_segexport.storage.paths import list_names
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder, audience_from_facts
from airflow_provider_segexport.vendors.base import Removal, Vendor

log = logging.getLogger(__name__)

UNANSWERED_S = 120.0
"""Seconds after a call without an answer in which a newer run plans nothing. The call may have become a job that cannot
be found; with the vendors' documents an import of one call takes less than this."""


def recover(context: ExportContext, ledger: Ledger, state: AudienceState) -> AudienceState | PendingJobs:
    """Settle a run that did not come to its end.

    Args:
        context: the run that comes after it.
        ledger: of the audience.
        state: names the run folder of the unfinished run in `open`.

    Returns:
        The standing afterwards, or the jobs that are waited for. Rows whose fate stays unknown count as perhaps in the
        audience, with unknown content, so that they are sent or taken out again where that is due.
    """
    if not state.open_run_folder or state.open_run_folder == str(context.environment.run_folder.path):
        return doubts.settle(context, ledger, state, state.open_run_folder)
    folder = RunFolder(context.environment.resolve(state.open_run_folder))
    found = folder.plan()
    if found is None:
        if not list_names(folder.path):
            raise DamagedState(state.open_run_folder, "it is gone, and it says whom an unfinished run has sent")
        log.info("An unfinished run was stopped before its first call (folder=%s).", state.open_run_folder)
    else:
        folder.verify()
        planned, facts = found
        waiting = _wait(
            replace(context, environment=replace(context.environment, run_folder=folder)),
            planned,
            audience_from_facts(facts["audience_facts"]),
        )
        if waiting is not None:
            return waiting
        _write(context, ledger, state, folder)
        if any(doubt.folder == state.open_run_folder for doubt in state.doubts):
            doubts.note(folder, all_of_it=False)
    settled = replace(state, open_run_folder="")
    settled.write(ledger.path, ledger.fence)
    # Afterwards, because a call of an older run may have landed after the unfinished run's call of the same rows.
    return doubts.settle(context, ledger, settled, state.open_run_folder)


def _wait(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    """Find out what became of every job of the unfinished run, whose folder is `job.world.folder`; send nothing."""
    folder = context.environment.run_folder
    for part in (folder, folder.removals):
        part.journal.clock = context.environment.clock
    try:
        waiting = _imports(context, planned, audience) or _removals(context, planned, audience)
    except (JobsTooLong, UnexpectedResponse) as error:
        log.warning("What became of a job of an unfinished run cannot be found out: %s", error)
        return None
    if waiting is None:
        _let_pass(context)
    else:
        log.info("Waiting for jobs of an unfinished run (folder=%s jobs=%d).", folder.path, len(waiting.job_ids))
    return waiting


def _let_pass(context: ExportContext) -> None:
    """Let what a call without an answer may have begun come to its end."""
    folder = context.environment.run_folder
    entries = [*folder.journal.states().values(), *folder.removals.journal.states().values()]
    last = max((entry.written_at for entry in entries if entry.state is State.SENDING), default=0.0)
    seconds = last + UNANSWERED_S - context.environment.clock()
    if works_later(context) and last and seconds > 0:
        log.info("Waiting for calls of an unfinished run that had no answer (seconds=%.0f).", seconds)
        context.environment.sleep(min(seconds, UNANSWERED_S))


def _imports(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    books = record.BatchRecorder(context.environment.run_folder)
    adopt_lost_jobs(context, planned, audience, books)
    waiting = _ended(context, context.vendor, audience, planned.batches, books)
    if waiting is None:
        name(context, planned, audience)
    return waiting


def _removals(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    if not planned.removal_batches:
        return None
    removal, folder = removal_of(context), context.environment.run_folder.removals
    books = record.BatchRecorder(folder, read_back=not removal.confirms)
    waiting = _ended(context, removal, audience, planned.removal_batches, books)
    if waiting is None and readback.unattributed_count(folder):
        confirm(context, planned, audience)
    return waiting


def _ended(
    context: ExportContext,
    jobs: Vendor | Removal,
    audience: Audience,
    batches: Sequence[str],
    recorder: record.BatchRecorder,
) -> PendingJobs | None:
    """Settle the jobs that have ended, and wait for the others; what a verdict asks to send again is not sent."""
    folder = recorder.folder
    if not running(folder):
        return None
    pending = [part for part in record.remaining(folder, tuple(batches)) if isinstance(part, tuple)]
    calls = callbacks(context, jobs, audience, _never, recorder, answered=partial(_note, recorder))
    try:
        tickets = send.send(
            send.InFlight(iter(pending)),
            calls,
            jobs.limits,
            pause=BoundedPause(context, folder),
            stop=lambda: None,
        )
    except send.Stopped as stopped:
        raise stopped.error from None
    return PendingJobs(tuple(tickets), len(tickets), kind=folder.kind, since=oldest_at(folder)) if tickets else None


def _note(recorder: record.BatchRecorder, batch: Batch, answer: send.Answer) -> list[Batch]:
    """Write a verdict down; nothing goes out in the batch's place."""
    recorder.record_reply(batch, answer)
    return []


def _never(batch: Batch) -> Any:
    """No call carries a batch of an unfinished run."""
    raise AssertionError(f"Batch {batch.id} of an unfinished run would be sent.")


def _write(context: ExportContext, ledger: Ledger, state: AudienceState, folder: RunFolder) -> None:
    """Bring what the unfinished run did into the ledger."""
    found = folder.plan()
    assert found is not None  # noqa: S101 - its caller has read it
    planned, facts = found
    origin = LedgerCommit(
        facts["as_of"],
        state.run,
        planned.profiles,
        finished=False,
        started_at=facts["started_at"],
        ended_at=context.environment.clock(),
        count_in_flight_as_sent=True,
        keep_left=context.vendor.import_readds_leavers,
        **{name: facts[name] for name in KEPT_IN_PLAN if name in facts},
    )
    with engine() as sql:
        version = update_ledger.update_ledger(
            sql, ledger, folder, update_ledger.PlanBatches(planned.batches, planned.removal_batches), origin
        )
    log.info("Writing an unfinished run into the ledger (run=%s version=%d).", state.run, version)
