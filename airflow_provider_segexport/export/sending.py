"""Sends what is planned and not yet settled; finds out first what became of calls that had no answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from airflow_provider_segexport.contract import Limits, Removal, Vendor
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError, Superseded
from airflow_provider_segexport.export.late import is_late, watched, without_leavers
from airflow_provider_segexport.export.order import Job, Waiting
from airflow_provider_segexport.export.overdue import BoundedPause, oldest_at
from airflow_provider_segexport.export.recent import Recent
from airflow_provider_segexport.model import Batch, Kind, Operation, Reply, Target
from airflow_provider_segexport.ports.journal import State
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.segment import Planned
from airflow_provider_segexport.stages import guard, send, settle
from airflow_provider_segexport.stages.guard import SETTLED_BEFORE_JUDGING

log = logging.getLogger(__name__)


def bookkeeper(job: Job, planned: Planned, folder: RunFolder, *, read_back: bool = False) -> settle.Bookkeeper:
    """The books of a run's upserts, or of its removals."""
    kind = folder.kind
    total = len(planned.batches if kind is Kind.UPSERT else planned.removals)
    phase = "sending" if kind is Kind.UPSERT else "removing"
    before = sum(entry.state is State.SETTLED for entry in folder.journal.states().values())
    revives = job.vendor.revive is not None and kind is Kind.UPSERT
    accepted, refused = settle.tally(folder.journal.states())
    watch = guard.rejects(job.order.guard("rejects_share"), log.warning) if kind is Kind.UPSERT else None
    return settle.Bookkeeper(
        folder,
        returners=_once(folder.returners) if revives else None,
        most_rejects=watch,
        settled_before=accepted + refused,
        rejects_before=settle.rejects(folder) if watch is not None and refused else 0,
        read_back=read_back,
        tell=lambda batches: job.world.tell({"phase": phase, "settled": before + batches, "batches": total}),
    )


def _once(find: Callable[[], frozenset[int]]) -> Callable[[], frozenset[int]]:
    """Looked up when it is first asked for, and kept."""
    found: list[frozenset[int]] = []

    def look() -> frozenset[int]:
        if not found:
            found.append(find())
        return found[0]

    return look


def send_all(job: Job, planned: Planned, planned_at: float, target: Target, books: settle.Bookkeeper) -> Waiting | None:
    """Send the upserts; what is waited for, where jobs run on."""
    vendor, folder = job.vendor, job.world.folder
    adopt(job, planned, target, books)
    pending = settle.remaining(folder, planned.batches)
    if is_late(job, planned_at):
        pending = without_leavers(job, target, pending, books.answered)
    answered = watched(job, target, planned_at, books.answered)
    calls = calls_of(job, vendor, target, lambda batch: _call(job, target, batch), books, answered=answered)
    return flown(job, send.Flight(pending), calls, vendor.limits, books)


def calls_of(  # noqa: PLR0913 - what the loop's calls are made of
    job: Job,
    jobs: Vendor | Removal,
    target: Target,
    call: Callable[[Batch], Operation[Reply]],
    books: settle.Bookkeeper,
    *,
    answered: Callable[[Batch, send.Answer], list[Batch]],
) -> send.Calls:
    """The loop's calls, of imports or of removals."""
    recent = Recent(job.send, job.vendor.within)

    def upsert(batch: Batch) -> Reply:
        books.folder.journal.sync()  # the intent is on the disk before the call leaves
        return job.drive(call(batch))

    return send.Calls(
        upsert=upsert,
        poll=lambda tickets: job.drive(jobs.poll(target, tickets), recent.polling),
        collect=lambda batch, ticket: job.drive(jobs.collect(target, batch, ticket), recent.collecting),
        sending=books.sending,
        answered=answered,
        looking=recent.forget,
        first_rows=partial(_first_rows, books),
    )


def _first_rows(books: settle.Bookkeeper) -> int | None:
    """Rows that may go out before the guard on rejects has verdicts to judge by."""
    if books.most_rejects is None or books.settled_before + books.accepted + books.refused >= SETTLED_BEFORE_JUDGING:
        return None
    return SETTLED_BEFORE_JUDGING


def _call(job: Job, target: Target, batch: Batch) -> Operation[Reply]:
    """The call that carries a batch, by what it is for."""
    if batch.kind is Kind.REVIVE and job.vendor.revive is not None:
        return job.vendor.revive(target, batch)
    return job.vendor.upsert(target, batch)


def flown(job: Job, flight: send.Flight, calls: send.Calls, limits: Limits, books: settle.Bookkeeper) -> Waiting | None:
    """Let it go out; an error leaves as the call's own."""
    try:
        tickets = send.send(flight, calls, limits, pause=BoundedPause(job, books.folder), stop=books.why_stop)
    except send.Stopped as stopped:
        raise stopped.error from None
    if not tickets:
        return None
    more = bool(flight.waiting) or not flight.exhausted
    enough = (len(tickets) + 1) // 2 if more else len(tickets)
    return Waiting(tuple(tickets), enough, kind=books.folder.kind, since=oldest_at(books.folder))


def adopt(job: Job, planned: Planned, target: Target, books: settle.Bookkeeper) -> None:
    """Find the jobs of calls that had no answer, where the vendor lists its jobs, before anything is sent twice."""
    lookup, folder = job.vendor.lookup, job.world.folder
    states = folder.journal.states()
    unknown = {name: entry for name, entry in states.items() if entry.state is State.SENDING}
    if lookup is None or not unknown:
        return
    listed = settle.remaining(folder, planned.batches)
    batches = [one for one in listed if isinstance(one, Batch) and one.name in unknown]
    if not batches:
        return
    known = frozenset(entry.ticket for entry in states.values() if entry.ticket)
    try:
        found = job.drive(lookup(target, batches, min(entry.at for entry in unknown.values()), known))
    except Superseded:
        raise
    except SegexportError as error:
        log.warning("Calls without an answer could not be looked up, and go out again: %s", error)
        return
    for batch in batches:
        if batch.name in found:
            books.submitted(batch, found[batch.name].id)
    log.info("%d of %s without an answer had reached the vendor.", len(found), counted(len(batches), "call"))
