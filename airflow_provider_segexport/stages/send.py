"""Sends batches with bounded calls and jobs in flight: `batches -> replies`. Knows nothing of what a reply means.

The loop that decides runs in one thread; only the calls run in others. Whatever ends the loop, all calls that are in
flight are waited for and told, so that no verdict is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_segexport.errors import BatchRejected, GuardTripped, JobSlotsFull, SegexportError
from airflow_provider_segexport.http.in_flight import InFlight
from airflow_provider_segexport.model import Batch, BatchReply, BatchResult, JobId, JobState
from airflow_provider_segexport.vendors.base import Limits

__all__ = ["InFlight", "SendCallbacks", "Stopped", "send"]

Answer = BatchReply | BatchRejected

MANY = 8
"""Jobs a connection. With fewer, those that are there have hardly begun when there is room for no more."""


@dataclass(frozen=True, slots=True)
class SendCallbacks:
    """What the loop calls.

    Attributes:
        upsert: one batch out, a reply back; runs in several threads.
        poll: states of tickets; where a call tells of one, it runs in several threads with a part of them each.
        collect: the verdict of a finished job; runs in several threads.
        record_sending: told before batches go out, in the deciding thread.
        record_reply: told of each answer; returns batches that are to go out instead (halves, rows to send again).
        before_poll: told before jobs are looked at.
        first_rows: rows that may be in jobs before a guard has verdicts to judge by; None for no such bound.
    """

    upsert: Callable[[Batch], BatchReply]
    poll: Callable[[list[str]], Mapping[str, JobState]]
    collect: Callable[[Batch, str], BatchReply]
    record_sending: Callable[[list[Batch]], None]
    record_reply: Callable[[Batch, Answer], list[Batch]]
    before_poll: Callable[[], None] = lambda: None
    first_rows: Callable[[], int | None] = lambda: None


class Stopped(Exception):
    """The loop ended before everything had a verdict; `error` says why."""

    def __init__(self, error: SegexportError) -> None:
        super().__init__(str(error))
        self.error = error


def send(
    in_flight: InFlight,
    calls: SendCallbacks,
    limits: Limits,
    *,
    pause: Callable[[int], bool],
    stop: Callable[[], SegexportError | None],
) -> list[str]:
    """Run until all is settled, or until `pause` says to leave: then the tickets still in flight are returned.

    Args:
        in_flight: what is to be sent; what is left in it afterwards was not attempted.
        calls: the vendor's operations and the bookkeeping.
        limits: calls and jobs in flight.
        pause: called with the number of jobs when there is nothing to do but wait; returns True when it is time to
            poll, or False to leave.
        stop: an error that ends the sending, found by the bookkeeping.
    """
    halt = _found_before(in_flight, stop())
    with ThreadPoolExecutor(limits.max_concurrency, thread_name_prefix="segexport") as pool:
        try:
            while not in_flight.done:
                _launch(in_flight, calls, limits, pool, halted=halt is not None)
                if in_flight.running or in_flight.collecting or in_flight.poll:
                    _gather(in_flight, calls, limits)
                elif in_flight.jobs:
                    if not pause(len(in_flight.jobs)):
                        _leave_if(halt, waits=True)
                        return list(in_flight.jobs)
                    _land(in_flight, calls, _look(in_flight, calls, limits, pool))
                elif in_flight.slots_full:
                    _leave_if(in_flight.slots_full)  # none of the jobs is ours: nothing here will free a slot
                halt = halt or stop()
                if not in_flight.busy:  # what is at the vendor gets its verdict first: it was sent
                    _leave_if(halt)
        except SegexportError as error:
            _finish(in_flight, calls)
            raise Stopped(error) from error
        except BaseException:  # a kill, a full disk: the pool waits for its calls anyway
            for future in (*in_flight.running, *in_flight.collecting):
                future.cancel()
            _finish(in_flight, calls)
            raise
    return []


def _found_before(in_flight: InFlight, error: SegexportError | None) -> SegexportError | None:
    """Return what earlier tries have found; with it only jobs that run get a verdict. It ends no run that is done.

    Raises:
        Stopped: batches are left, and no job runs.
    """
    if error is not None and in_flight.adopt() and not in_flight.jobs:
        raise Stopped(error)
    return error


def _leave_if(error: SegexportError | None, *, waits: bool = False) -> None:
    """What the bookkeeping found leaves by the same door as a call's own error.

    A guard `waits`: it trips again when the jobs that run have a verdict.
    """
    if error is not None and not (waits and isinstance(error, GuardTripped)):
        raise error


def _launch(
    in_flight: InFlight, calls: SendCallbacks, limits: Limits, pool: ThreadPoolExecutor, *, halted: bool
) -> None:
    """Fill what is free: lanes, and job slots where the vendor has jobs. Verdicts go first; `halted`, nothing else."""
    lanes = in_flight.concurrency
    while in_flight.ended and len(in_flight.running) + len(in_flight.collecting) < lanes.limit:
        ticket = in_flight.ended.popleft()
        in_flight.collecting[lanes.submit(pool.submit(calls.collect, in_flight.jobs[ticket], ticket))] = ticket
    if halted:
        in_flight.adopt()
        return
    leaving: list[Batch] = []
    most = calls.first_rows() if limits.max_jobs else None
    in_flight.polled = in_flight.polled and len(in_flight.jobs) > limits.max_jobs // 2
    if _fills(in_flight, limits):
        calls.before_poll()
        in_flight.polled, in_flight.poll = True, lanes.submit(pool.submit(calls.poll, list(in_flight.jobs)))
    free = lanes.limit - len(in_flight.collecting) - (in_flight.poll is not None)
    while not in_flight.slots_full and len(in_flight.running) + len(leaving) < free:
        if limits.max_jobs and len(in_flight.jobs) + len(in_flight.running) + len(leaving) >= limits.max_jobs:
            break
        if most is not None and _rows(in_flight) + sum(map(len, leaving)) >= most:
            break
        known = len(in_flight.jobs)
        batch = in_flight.next()
        if batch is not None:
            leaving.append(batch)
        elif len(in_flight.jobs) == known:
            break
    calls.record_sending(leaving)
    for batch in leaving:
        in_flight.running[lanes.submit(pool.submit(calls.upsert, batch))] = batch


def _rows(in_flight: InFlight) -> int:
    """Rows at the vendor without a verdict."""
    return sum(map(len, in_flight.running.values())) + sum(map(len, in_flight.jobs.values()))


def _fills(in_flight: InFlight, limits: Limits) -> bool:
    """Whether it is time to look for ended jobs before there is no room for another one, and all connections wait."""
    if (
        limits.poll_one_per_call
        or limits.max_jobs < MANY * limits.max_concurrency
        or in_flight.polled
        or in_flight.exhausted
    ):
        return False
    busy = in_flight.poll or in_flight.ended or in_flight.collecting
    return not busy and len(in_flight.jobs) >= limits.max_jobs - 2 * limits.max_concurrency


def _gather(in_flight: InFlight, calls: SendCallbacks, limits: Limits) -> None:
    """Take the answers that are there. An error is raised after all of them are told."""
    failure: SegexportError | None = None
    for future in in_flight.concurrency.completed(limits.max_concurrency):
        if future in in_flight.collecting:
            failure = _collected(in_flight, calls, future) or failure
            continue
        if future is in_flight.poll:
            in_flight.poll = None
            failure = _looked(in_flight, calls, future) or failure
            continue
        batch = in_flight.running.pop(future)
        try:
            reply: Answer = future.result()
        except BatchRejected as refused:
            reply = refused
        except JobSlotsFull as full:
            in_flight.waiting.appendleft(batch)
            in_flight.slots_full = full
            continue
        except SegexportError as error:
            in_flight.waiting.appendleft(batch)
            failure = failure or error
            continue
        _tell(in_flight, calls, batch, reply)
    if failure is not None:
        raise failure


def _collected(in_flight: InFlight, calls: SendCallbacks, future: Future[BatchReply]) -> SegexportError | None:
    """Tell the verdict on a job. One that cannot be read stays in flight; the error is returned."""
    ticket = in_flight.collecting.pop(future)
    answer: Answer
    try:
        answer = future.result()
    except BatchRejected as refused:
        answer = refused
    except SegexportError as error:
        return error
    _tell(in_flight, calls, in_flight.jobs[ticket], answer)
    del in_flight.jobs[ticket]
    return None


def _tell(in_flight: InFlight, calls: SendCallbacks, batch: Batch, reply: Answer) -> None:
    instead = calls.record_reply(batch, reply)
    if isinstance(reply, BatchRejected):
        in_flight.waiting.extendleft(reversed(instead))  # halves at once, down to the bad row: few are open at a time
    else:
        in_flight.waiting.extend(instead)
    if isinstance(reply, JobId):
        batch.release()
        in_flight.jobs[reply.id] = batch


def _look(
    in_flight: InFlight, calls: SendCallbacks, limits: Limits, pool: ThreadPoolExecutor
) -> Iterator[tuple[str, JobState]]:
    """Ask for the jobs' states; where a call tells of one alone, over all connections."""
    calls.before_poll()
    tickets = list(in_flight.jobs)
    if not limits.poll_one_per_call:
        yield from calls.poll(tickets).items()
        return
    parts = [part for first in range(limits.max_concurrency) if (part := tickets[first :: limits.max_concurrency])]
    for states in [*pool.map(calls.poll, parts)]:
        yield from states.items()


def _looked(in_flight: InFlight, calls: SendCallbacks, look: Future[Mapping[str, JobState]]) -> SegexportError | None:
    """Take what a look has told while batches went out; an error is returned."""
    try:
        _land(in_flight, calls, look.result().items())
    except SegexportError as error:
        return error
    return None


def _land(in_flight: InFlight, calls: SendCallbacks, states: Iterable[tuple[str, JobState]]) -> None:
    """Settle the jobs that ended with all rows taken, and note the others that ended."""
    for ticket, state in states:
        if state is JobState.RUNNING:
            continue
        in_flight.slots_full = None
        if state is JobState.ACCEPTED:
            _tell(in_flight, calls, in_flight.jobs[ticket], BatchResult())
            del in_flight.jobs[ticket]
        else:
            in_flight.ended.append(ticket)


def _finish(in_flight: InFlight, calls: SendCallbacks) -> None:
    """Wait for the calls in flight, and tell what they brought; a second error says nothing new."""
    for future, batch in list(in_flight.running.items()):
        try:
            _tell(in_flight, calls, batch, future.result())
        except BatchRejected as refused:
            _tell(in_flight, calls, batch, refused)
        except (SegexportError, CancelledError):
            in_flight.waiting.appendleft(batch)
    in_flight.running.clear()
    for future in list(in_flight.collecting):
        with suppress(CancelledError):
            _collected(in_flight, calls, future)
