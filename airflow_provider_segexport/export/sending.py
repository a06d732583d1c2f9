"""Sends what is planned and not yet settled; finds out first what became of calls that had no answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError, Superseded
from airflow_provider_segexport.export.config import ExportContext, PendingJobs
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at
from airflow_provider_segexport.export.poll_cache import Recent
from airflow_provider_segexport.export.reverify import drop_leavers, is_stale_plan, reverify_resends
from airflow_provider_segexport.model import Audience, Batch, BatchKind, BatchReply, Operation
from airflow_provider_segexport.stages import guards, record, send
from airflow_provider_segexport.stages.guards import SETTLED_BEFORE_JUDGING
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.vendors.base import Limits, Removal, Vendor

log = logging.getLogger(__name__)


def recorder(
    context: ExportContext, planned: Plan, folder: RunFolder, *, read_back: bool = False
) -> record.BatchRecorder:
    """The books of a run's upserts, or of its removals."""
    kind = folder.kind
    total = len(planned.batches if kind is BatchKind.UPSERT else planned.removal_batches)
    phase = "sending" if kind is BatchKind.UPSERT else "removing"
    before = sum(entry.state is State.SETTLED for entry in folder.journal.states().values())
    revives = context.vendor.resubscribe_removed is not None and kind is BatchKind.UPSERT
    accepted, refused = record.count_rows(folder.journal.states())
    watch = (
        guards.reject_watch(context.config.guard("max_rejected_share"), log.warning)
        if kind is BatchKind.UPSERT
        else None
    )
    return record.BatchRecorder(
        folder,
        returning=_once(folder.returning) if revives else None,
        check_rejected=watch,
        settled_before=accepted + refused,
        rejects_before=record.rejects(folder) if watch is not None and refused else 0,
        read_back=read_back,
        on_settled=lambda batches: context.environment.on_progress(
            {"phase": phase, "settled": before + batches, "batches": total}
        ),
    )


def _once(find: Callable[[], frozenset[int]]) -> Callable[[], frozenset[int]]:
    """Looked up when it is first asked for, and kept."""
    found: list[frozenset[int]] = []

    def look() -> frozenset[int]:
        if not found:
            found.append(find())
        return found[0]

    return look


def send_all(
    context: ExportContext, planned: Plan, planned_at: float, audience: Audience, books: record.BatchRecorder
) -> PendingJobs | None:
    """Send the upserts; what is waited for, where jobs run on."""
    vendor, folder = context.vendor, context.environment.run_folder
    adopt_lost_jobs(context, planned, audience, books)
    pending = record.remaining(folder, planned.batches)
    if is_stale_plan(context, planned_at):
        pending = drop_leavers(context, audience, pending, books.record_reply)
    answered = reverify_resends(context, audience, planned_at, books.record_reply)
    calls = callbacks(
        context, vendor, audience, lambda batch: _call(context, audience, batch), books, answered=answered
    )
    return run_send_loop(context, send.InFlight(pending), calls, vendor.limits, books)


def callbacks(  # noqa: PLR0913 - what the loop's calls are made of
    context: ExportContext,
    jobs: Vendor | Removal,
    audience: Audience,
    call: Callable[[Batch], Operation[BatchReply]],
    books: record.BatchRecorder,
    *,
    answered: Callable[[Batch, send.Answer], list[Batch]],
) -> send.SendCallbacks:
    """The loop's calls, of imports or of removals."""
    recent = Recent(context.send, context.vendor.embedded_job_reads)

    def upsert(batch: Batch) -> BatchReply:
        books.folder.journal.sync()  # the intent is on the disk before the call leaves
        return context.run_operation(call(batch))

    return send.SendCallbacks(
        upsert=upsert,
        poll=lambda tickets: context.run_operation(jobs.poll(audience, tickets), recent.polling),
        collect=lambda batch, ticket: context.run_operation(jobs.collect(audience, batch, ticket), recent.collecting),
        record_sending=books.record_sending,
        record_reply=answered,
        before_poll=recent.forget,
        first_rows=partial(_first_rows, books),
    )


def _first_rows(books: record.BatchRecorder) -> int | None:
    """Rows that may go out before the guard on rejects has verdicts to judge by."""
    if books.check_rejected is None or books.settled_before + books.accepted + books.rejected >= SETTLED_BEFORE_JUDGING:
        return None
    return SETTLED_BEFORE_JUDGING


def _call(context: ExportContext, audience: Audience, batch: Batch) -> Operation[BatchReply]:
    """The call that carries a batch, by what it is for."""
    if batch.kind is BatchKind.REVIVE and context.vendor.resubscribe_removed is not None:
        return context.vendor.resubscribe_removed(audience, batch)
    return context.vendor.upsert(audience, batch)


def run_send_loop(
    context: ExportContext,
    in_flight: send.InFlight,
    calls: send.SendCallbacks,
    limits: Limits,
    books: record.BatchRecorder,
) -> PendingJobs | None:
    """Let it go out; an error leaves as the call's own."""
    try:
        tickets = send.send(in_flight, calls, limits, pause=BoundedPause(context, books.folder), stop=books.abort_error)
    except send.Stopped as stopped:
        raise stopped.error from None
    if not tickets:
        return None
    more = bool(in_flight.waiting) or not in_flight.exhausted
    enough = (len(tickets) + 1) // 2 if more else len(tickets)
    return PendingJobs(tuple(tickets), enough, kind=books.folder.kind, since=oldest_at(books.folder))


def adopt_lost_jobs(context: ExportContext, planned: Plan, audience: Audience, books: record.BatchRecorder) -> None:
    """Find the jobs of calls that had no answer, where the vendor lists its jobs, before anything is sent twice."""
    lookup, folder = context.vendor.find_lost_jobs, context.environment.run_folder
    states = folder.journal.states()
    unknown = {name: entry for name, entry in states.items() if entry.state is State.SENDING}
    if lookup is None or not unknown:
        return
    listed = record.remaining(folder, planned.batches)
    batches = [one for one in listed if isinstance(one, Batch) and one.id in unknown]
    if not batches:
        return
    known = frozenset(entry.job_id for entry in states.values() if entry.job_id)
    try:
        found = context.run_operation(
            lookup(audience, batches, min(entry.written_at for entry in unknown.values()), known)
        )
    except Superseded:
        raise
    except SegexportError as error:
        log.warning("Calls without an answer could not be looked up, and go out again: %s", error)
        return
    for batch in batches:
        if batch.id in found:
            books.record_submitted(batch, found[batch.id].id)
    log.info("%d of %s without an answer had reached the vendor.", len(found), counted(len(batches), "call"))
