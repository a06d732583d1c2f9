"""Recovers an unfinished run by writing its results into the ledger: `run folder, jobs -> ledger`.

Otherwise a newer run would plan against an outdated ledger: people that the unfinished run added would never be
removed, and values that it changed would count as unchanged. Its jobs may still run at the vendor, and a job that ends
after the newer run's jobs would overwrite their values. So the newer run plans only after every job has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import DamagedState, JobsTooLong, UnexpectedResponse
from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.export.config import ExportContext, PendingJobs, may_finish_after_response
from airflow_provider_segexport.export.experiments import undo_unfinished
from airflow_provider_segexport.export.finish import attribute_unnamed
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at, running
from airflow_provider_segexport.export.removing import confirm, removal_of
from airflow_provider_segexport.export.sending import adopt_lost_jobs, callbacks
from airflow_provider_segexport.model import Audience, Batch
from airflow_provider_segexport.stages import readback, record, send, update_ledger
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.paths import list_names
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import Removal, Vendor

log = logging.getLogger(__name__)

UNANSWERED_WAIT_S = 120.0
"""Seconds that a newer run waits after a call without a response, because the call may have become a job whose id is
unknown. According to the vendors' documentation, an import of one call takes less time."""


def recover(context: ExportContext, ledger: Ledger, state: AudienceState) -> AudienceState | PendingJobs:
    """Write the results of an unfinished run into the ledger.

    Args:
        context: the newer run.
        ledger: the audience's ledger.
        state: the audience's state, which names the unfinished run's folder in `open_run_folder`.

    Returns:
        The audience state afterwards, or the jobs to wait for. Rows without a result count as perhaps in the audience
        with unknown content, so a later run sends or removes them again.

    Raises:
        DamagedState: the unfinished run's folder is gone or damaged.
    """
    if state.open_run_folder and state.is_planned:
        check_plan(RunFolder(context.environment.resolve(state.open_run_folder)))
    if not state.open_run_folder or state.open_run_folder == str(context.environment.run_folder.path):
        return doubts.settle(context, ledger, state, state.open_run_folder)
    folder = RunFolder(context.environment.resolve(state.open_run_folder))
    frozen = folder.plan()
    if frozen is None:
        doubts.check_not_gone(folder)
        log.info("Recovering a run that stopped before its first call (folder=%s)", state.open_run_folder)
    else:
        folder.verify()
        planned, facts = frozen
        unfinished = replace(context, environment=replace(context.environment, run_folder=folder))
        jobs = _collect_results(unfinished, planned, facts.audience)
        if jobs is not None:
            return jobs
        undo_unfinished(unfinished, facts.audience)
        _write(context, ledger, state, folder)
        if any(doubt.folder == state.open_run_folder for doubt in state.doubts):
            doubts.note(folder, all_of_it=False)
    settled = replace(state, open_run_folder="")
    settled.write(ledger.path, ledger.fence)
    # Last, because a call of an older run may have arrived after the unfinished run's call with the same rows.
    return doubts.settle(context, ledger, settled, state.open_run_folder)


def check_plan(folder: RunFolder) -> None:
    """Check that the frozen plan of a run still exists.

    Raises:
        DamagedState: the plan is missing. If the journal is missing, too, the run would otherwise look like a run that
            was killed before it sent anything.
    """
    if list_names(folder.path) and not folder.has_plan():
        raise DamagedState(str(folder.path / "plan.json"), "it is gone, although its run may have sent rows")


def _collect_results(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    """Collect the results of every job of the unfinished run; send nothing.

    Args:
        context: the newer run, with the unfinished run's folder in its environment.
        planned: the unfinished run's plan.
        audience: the audience, as that plan keeps it.

    Returns:
        The jobs to wait for; None if every job has ended, or if the results cannot be read.
    """
    folder = context.environment.run_folder
    for part in (folder, folder.removals):
        part.journal.clock = context.environment.clock
    try:
        jobs = _imports(context, planned, audience) or _removals(context, planned, audience)
    except (JobsTooLong, UnexpectedResponse) as error:
        log.warning("Collecting the results of an unfinished run failed: %s", error)
        return None
    if jobs is None:
        _wait_for_unanswered_calls(context)
    else:
        log.info("Waiting for jobs of an unfinished run (folder=%s jobs=%d)", folder.path, len(jobs.job_ids))
    return jobs


def _wait_for_unanswered_calls(context: ExportContext) -> None:
    """Wait until any import that a call without a response may have started has ended."""
    folder = context.environment.run_folder
    entries = [*folder.journal.states().values(), *folder.removals.journal.states().values()]
    sent_at = (entry.may_leave_until for entry in entries if entry.state is State.SENDING)
    last = max(sent_at, default=0.0)
    seconds = last + UNANSWERED_WAIT_S - context.environment.clock()
    if may_finish_after_response(context) and last and seconds > 0:
        log.info("Waiting for unanswered calls of an unfinished run (seconds=%.0f)", seconds)
        context.environment.sleep(min(seconds, UNANSWERED_WAIT_S))


def _imports(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    recorder = record.BatchRecorder(context.environment.run_folder)
    adopt_lost_jobs(context, planned, audience, recorder)
    vendor = context.vendor
    reading = replace(vendor, collect=vendor.collect_without_changes or vendor.collect)
    jobs = _collect_ended(context, reading, audience, planned.batches, recorder)
    if jobs is None:
        attribute_unnamed(context, planned, audience)
    return jobs


def _removals(context: ExportContext, planned: Plan, audience: Audience) -> PendingJobs | None:
    if not planned.removal_batches:
        return None
    removal, folder = removal_of(context), context.environment.run_folder.removals
    recorder = record.BatchRecorder(folder, read_back=not removal.confirms)
    jobs = _collect_ended(context, removal, audience, planned.removal_batches, recorder)
    if jobs is None and readback.unattributed_count(folder):
        confirm(context, planned, audience)
    return jobs


def _collect_ended(
    context: ExportContext,
    operations: Vendor | Removal,
    audience: Audience,
    batches: Sequence[str],
    recorder: record.BatchRecorder,
) -> PendingJobs | None:
    """Record the results of the jobs that have ended, and return the running jobs. No row is sent again."""
    folder = recorder.folder
    if not running(folder):
        return None
    pending = [part for part in record.remaining(folder, tuple(batches)) if isinstance(part, tuple)]
    calls = callbacks(
        context, operations, audience, _refuse_call, recorder, record_reply=partial(_record_only, recorder)
    )
    try:
        job_ids = send.send(
            send.InFlight(iter(pending)),
            calls,
            operations.limits,
            pause=BoundedPause(context, folder),
            stop=lambda: None,
        )
    except send.Stopped as stopped:
        raise stopped.error from None
    if not job_ids:
        return None
    return PendingJobs(tuple(job_ids), len(job_ids), kind=folder.kind, since=oldest_at(folder))


def _record_only(recorder: record.BatchRecorder, batch: Batch, answer: send.Reply) -> list[Batch]:
    """Record a batch result, and return no batch to send next."""
    recorder.record_reply(batch, answer)
    return []


def _refuse_call(batch: Batch) -> Any:
    """Raise, because no batch of an unfinished run is sent."""
    raise AssertionError(f"Batch {batch.id} of an unfinished run would be sent.")


def _write(context: ExportContext, ledger: Ledger, state: AudienceState, folder: RunFolder) -> None:
    """Write the results of the unfinished run into the ledger."""
    frozen = folder.plan()
    assert frozen is not None  # noqa: S101 - its caller has read it
    planned, facts = frozen
    commit = LedgerCommit.of_plan(
        facts,
        state.run,
        context.environment.clock(),
        profiles=planned.profiles,
        keep_left=context.vendor.import_readds_leavers,
    )
    batches = update_ledger.PlanBatches(planned.batches, planned.removal_batches)
    with engine() as sql:
        version = update_ledger.update_ledger(sql, ledger, folder, batches, commit)
    log.info("Writing an unfinished run into the ledger (run=%s version=%d)", state.run, version)
