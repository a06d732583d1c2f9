"""Sends the planned batches without a result, after looking up the jobs of calls that got no response."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from airflow_provider_segexport.errors import SegexportError, Superseded
from airflow_provider_segexport.export.config import ExportContext, PendingJobs
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at
from airflow_provider_segexport.export.poll_cache import PollResponseCache
from airflow_provider_segexport.export.reverify import drop_leavers, is_stale_plan, reverify_resends
from airflow_provider_segexport.model import Audience, Batch, BatchKind, BatchReply, Operation
from airflow_provider_segexport.stages import guards, record, send
from airflow_provider_segexport.stages.guards import MIN_SETTLED_ROWS
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import Limits, Removal, Vendor

log = logging.getLogger(__name__)


def recorder(
    context: ExportContext, planned: Plan, folder: RunFolder, *, read_back: bool = False
) -> record.BatchRecorder:
    """Return the recorder of a run's upserts or removals.

    Args:
        context: the run.
        planned: the run's plan.
        folder: the part of the run folder that holds the batches; its kind says whether they are removals.
        read_back: whether results count only after the audience is read back, because the vendor confirms no removal.
    """
    kind = folder.kind
    total = len(planned.batches if kind is BatchKind.UPSERT else planned.removal_batches)
    phase = "sending" if kind is BatchKind.UPSERT else "removing"
    settled_batches = sum(entry.state is State.SETTLED for entry in folder.journal.states().values())
    resubscribes = context.vendor.resubscribe_removed is not None and kind is BatchKind.UPSERT
    action = "Sending upserts" if kind is BatchKind.UPSERT else "Sending removals"
    log.info("%s (batches=%d with_result=%d)", action, total, settled_batches)
    accepted, rejected = record.count_rows(folder.journal.states())
    reject_watch = (
        guards.reject_watch(context.config.guard("max_rejected_share"), log.warning)
        if kind is BatchKind.UPSERT
        else None
    )
    return record.BatchRecorder(
        folder,
        returning=functools.cache(folder.returning) if resubscribes else None,
        check_rejected=reject_watch,
        settled_before=accepted + rejected,
        rejects_before=record.rejects(folder) if reject_watch is not None and rejected else 0,
        read_back=read_back,
        on_settled=lambda batches: context.environment.on_progress(
            {"phase": phase, "settled": settled_batches + batches, "batches": total}
        ),
    )


def send_all(
    context: ExportContext, planned: Plan, planned_at: float, audience: Audience, recorder: record.BatchRecorder
) -> PendingJobs | None:
    """Send the upserts.

    Args:
        context: the run.
        planned: the run's plan.
        planned_at: when planning began, epoch seconds.
        audience: the audience to send to.
        recorder: the recorder of the run's upserts.

    Returns:
        The jobs to wait for; None if every batch has a result.
    """
    vendor, folder = context.vendor, context.environment.run_folder
    pending = record.remaining(folder, planned.batches)
    if is_stale_plan(context, planned_at):
        pending = drop_leavers(context, audience, pending, recorder.record_reply)
    record_reply = reverify_resends(context, audience, planned_at, recorder.record_reply)

    def call(batch: Batch) -> Operation[BatchReply]:
        folder.journal.sync(batch.id)  # the intent is stored before the call is sent
        return _call(context, audience, batch)

    calls = callbacks(context, vendor, audience, call, recorder, record_reply=record_reply)
    with folder.journal.sending(planned.batches, vendor.limits.batch_rows):
        return run_send_loop(context, send.InFlight(pending), calls, vendor.limits, recorder)


def callbacks(  # noqa: PLR0913 - the send loop needs each
    context: ExportContext,
    operations: Vendor | Removal,
    audience: Audience,
    call: Callable[[Batch], Operation[BatchReply]],
    recorder: record.BatchRecorder,
    *,
    record_reply: Callable[[Batch, send.Reply], list[Batch]],
) -> send.SendCallbacks:
    """Return the send loop's callbacks, for imports or for removals.

    Args:
        context: the run.
        operations: the vendor's operations that poll jobs and collect their results.
        audience: the audience to send to.
        call: returns the operation that sends a batch.
        recorder: records the batches before they are sent.
        record_reply: records the reply to a batch, and returns the batches to send next.
    """
    responses = PollResponseCache(context.send, context.vendor.embedded_job_reads)

    return send.SendCallbacks(
        upsert=lambda batch: context.run_operation(call(batch)),
        poll=lambda job_ids: context.run_operation(operations.poll(audience, job_ids), responses.poll),
        collect=lambda batch, job_id: context.run_operation(
            operations.collect(audience, batch, job_id), responses.collect
        ),
        record_sending=recorder.record_sending,
        record_reply=record_reply,
        before_poll=responses.clear,
        first_rows=functools.partial(_first_rows, recorder),
    )


def _first_rows(recorder: record.BatchRecorder) -> int | None:
    """Return how many rows may have no result until the guard on rejected rows can measure; None for no limit."""
    settled = recorder.settled_before + recorder.accepted + recorder.rejected
    if recorder.check_rejected is None or settled >= MIN_SETTLED_ROWS:
        return None
    return MIN_SETTLED_ROWS - settled


def _call(context: ExportContext, audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """Return the operation that sends a batch of upserts, or of people to resubscribe."""
    if batch.kind is BatchKind.REVIVE and context.vendor.resubscribe_removed is not None:
        return context.vendor.resubscribe_removed(audience, batch)
    return context.vendor.upsert(audience, batch)


def run_send_loop(
    context: ExportContext,
    in_flight: send.InFlight,
    calls: send.SendCallbacks,
    limits: Limits,
    recorder: record.BatchRecorder,
) -> PendingJobs | None:
    """Send the batches until each has a result or a job.

    Args:
        context: the run.
        in_flight: the batches to send.
        calls: sends, polls and records.
        limits: the limits of the vendor's imports or removals.
        recorder: stops the loop if too many rows are rejected.

    Returns:
        The running jobs; None if every batch has a result. If batches are still to be sent, the run resumes when half
        of the jobs have ended.

    Raises:
        SegexportError: the error of the call that failed.
    """
    folder = recorder.folder
    try:
        job_ids = send.send(in_flight, calls, limits, pause=BoundedPause(context, folder), stop=recorder.abort_error)
    except send.Stopped as stopped:
        raise stopped.error from None
    if not job_ids:
        return None
    has_more = bool(in_flight.waiting) or not in_flight.exhausted
    min_done = (len(job_ids) + 1) // 2 if has_more else len(job_ids)
    return PendingJobs(tuple(job_ids), min_done, kind=folder.kind, since=oldest_at(folder))


def adopt_lost_jobs(context: ExportContext, planned: Plan, audience: Audience, recorder: record.BatchRecorder) -> None:
    """If the vendor lists its jobs, find the jobs of calls that had no response, so that no batch is sent twice.

    Args:
        context: the run.
        planned: the run's plan.
        audience: the audience whose jobs are listed.
        recorder: records the jobs as submitted.
    """
    find_lost_jobs, folder = context.vendor.find_lost_jobs, context.environment.run_folder
    states = folder.journal.states()
    unanswered = {name: entry for name, entry in states.items() if entry.state is State.SENDING}
    if find_lost_jobs is None or not unanswered:
        return
    pending = record.remaining(folder, planned.batches)
    batches = [batch for batch in pending if isinstance(batch, Batch) and batch.id in unanswered]
    if not batches:
        return
    journaled = frozenset(entry.job_id for entry in states.values() if entry.job_id)
    since = min(entry.written_at for entry in unanswered.values())
    try:
        jobs = context.run_operation(find_lost_jobs(audience, batches, since, journaled))
    except Superseded:
        raise
    except SegexportError as error:
        log.warning("Looking up unanswered calls failed, so they are sent again (calls=%d): %s", len(batches), error)
        return
    for batch in batches:
        if batch.id in jobs:
            recorder.record_submitted(batch, jobs[batch.id].id)
    log.info("Adopting jobs of unanswered calls (calls=%d jobs=%d)", len(batches), len(jobs))
