"""Sends batches with bounded calls and jobs in flight: `batches -> replies`. Knows nothing of what a reply means.

The loop that decides runs in one thread; only the calls run in others. Whatever ends the loop, all calls that are in
flight are waited for and told, so that no verdict is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_segexport.contract import Limits
from airflow_provider_segexport.errors import BatchRefused, GuardTripped, SegexportError, SlotsFull
from airflow_provider_segexport.model import Batch, JobState, Reply, Settled, Ticket
from airflow_provider_segexport.ports.flight import Flight

__all__ = ["Calls", "Flight", "Stopped", "send"]

Answer = Reply | BatchRefused

MANY = 8
"""Jobs a connection. With fewer, those that are there have hardly begun when there is room for no more."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What the loop calls.

    Attributes:
        upsert: one batch out, a reply back; runs in several threads.
        poll: states of tickets; where a call tells of one, it runs in several threads with a part of them each.
        collect: the verdict of a finished job; runs in several threads.
        sending: told before batches go out, in the deciding thread.
        answered: told of each answer; returns batches that are to go out instead (halves, rows to send again).
        looking: told before jobs are looked at.
        first_rows: rows that may be in jobs before a guard has verdicts to judge by; None for no such bound.
    """

    upsert: Callable[[Batch], Reply]
    poll: Callable[[list[str]], Mapping[str, JobState]]
    collect: Callable[[Batch, str], Reply]
    sending: Callable[[list[Batch]], None]
    answered: Callable[[Batch, Answer], list[Batch]]
    looking: Callable[[], None] = lambda: None
    first_rows: Callable[[], int | None] = lambda: None


class Stopped(Exception):
    """The loop ended before everything had a verdict; `error` says why."""

    def __init__(self, error: SegexportError) -> None:
        super().__init__(str(error))
        self.error = error


def send(
    flight: Flight,
    calls: Calls,
    limits: Limits,
    *,
    pause: Callable[[int], bool],
    stop: Callable[[], SegexportError | None],
) -> list[str]:
    """Run until all is settled, or until `pause` says to leave: then the tickets still in flight are returned.

    Args:
        flight: what is to be sent; what is left in it afterwards was not attempted.
        calls: the vendor's operations and the bookkeeping.
        limits: calls and jobs in flight.
        pause: called with the number of jobs when there is nothing to do but wait; returns True when it is time to
            poll, or False to leave.
        stop: an error that ends the sending, found by the bookkeeping.
    """
    halt = _found_before(flight, stop())
    with ThreadPoolExecutor(limits.connections, thread_name_prefix="segexport") as pool:
        try:
            while not flight.done:
                _launch(flight, calls, limits, pool, halted=halt is not None)
                if flight.running or flight.collecting or flight.look:
                    _gather(flight, calls, limits)
                elif flight.tickets:
                    if not pause(len(flight.tickets)):
                        _leave_if(halt, waits=True)
                        return list(flight.tickets)
                    _land(flight, calls, _look(flight, calls, limits, pool))
                elif flight.slots_full:
                    _leave_if(flight.slots_full)  # none of the jobs is ours: nothing here will free a slot
                halt = halt or stop()
                if not flight.busy:  # what is at the vendor gets its verdict first: it was sent
                    _leave_if(halt)
        except SegexportError as error:
            _finish(flight, calls)
            raise Stopped(error) from error
        except BaseException:  # a kill, a full disk: the pool waits for its calls anyway
            for future in (*flight.running, *flight.collecting):
                future.cancel()
            _finish(flight, calls)
            raise
    return []


def _found_before(flight: Flight, error: SegexportError | None) -> SegexportError | None:
    """Return what earlier tries have found; with it only jobs that run get a verdict. It ends no run that is done.

    Raises:
        Stopped: batches are left, and no job runs.
    """
    if error is not None and flight.adopt() and not flight.tickets:
        raise Stopped(error)
    return error


def _leave_if(error: SegexportError | None, *, waits: bool = False) -> None:
    """What the bookkeeping found leaves by the same door as a call's own error.

    A guard `waits`: it trips again when the jobs that run have a verdict.
    """
    if error is not None and not (waits and isinstance(error, GuardTripped)):
        raise error


def _launch(flight: Flight, calls: Calls, limits: Limits, pool: ThreadPoolExecutor, *, halted: bool) -> None:
    """Fill what is free: lanes, and job slots where the vendor has jobs. Verdicts go first; `halted`, nothing else."""
    lanes = flight.lanes
    while flight.ended and len(flight.running) + len(flight.collecting) < lanes.open:
        ticket = flight.ended.popleft()
        flight.collecting[lanes.out(pool.submit(calls.collect, flight.tickets[ticket], ticket))] = ticket
    if halted:
        flight.adopt()
        return
    leaving: list[Batch] = []
    most = calls.first_rows() if limits.jobs else None
    flight.looked = flight.looked and len(flight.tickets) > limits.jobs // 2
    if _fills(flight, limits):
        calls.looking()
        flight.looked, flight.look = True, lanes.out(pool.submit(calls.poll, list(flight.tickets)))
    free = lanes.open - len(flight.collecting) - (flight.look is not None)
    while not flight.slots_full and len(flight.running) + len(leaving) < free:
        if limits.jobs and len(flight.tickets) + len(flight.running) + len(leaving) >= limits.jobs:
            break
        if most is not None and _rows(flight) + sum(map(len, leaving)) >= most:
            break
        known = len(flight.tickets)
        batch = flight.next()
        if batch is not None:
            leaving.append(batch)
        elif len(flight.tickets) == known:
            break
    calls.sending(leaving)
    for batch in leaving:
        flight.running[lanes.out(pool.submit(calls.upsert, batch))] = batch


def _rows(flight: Flight) -> int:
    """Rows at the vendor without a verdict."""
    return sum(map(len, flight.running.values())) + sum(map(len, flight.tickets.values()))


def _fills(flight: Flight, limits: Limits) -> bool:
    """Whether it is time to look for ended jobs before there is no room for another one, and all connections wait."""
    if limits.one_by_one or limits.jobs < MANY * limits.connections or flight.looked or flight.exhausted:
        return False
    busy = flight.look or flight.ended or flight.collecting
    return not busy and len(flight.tickets) >= limits.jobs - 2 * limits.connections


def _gather(flight: Flight, calls: Calls, limits: Limits) -> None:
    """Take the answers that are there. An error is raised after all of them are told."""
    failure: SegexportError | None = None
    for future in flight.lanes.back(limits.connections):
        if future in flight.collecting:
            failure = _collected(flight, calls, future) or failure
            continue
        if future is flight.look:
            flight.look = None
            failure = _looked(flight, calls, future) or failure
            continue
        batch = flight.running.pop(future)
        try:
            reply: Answer = future.result()
        except BatchRefused as refused:
            reply = refused
        except SlotsFull as full:
            flight.waiting.appendleft(batch)
            flight.slots_full = full
            continue
        except SegexportError as error:
            flight.waiting.appendleft(batch)
            failure = failure or error
            continue
        _tell(flight, calls, batch, reply)
    if failure is not None:
        raise failure


def _collected(flight: Flight, calls: Calls, future: Future[Reply]) -> SegexportError | None:
    """Tell the verdict on a job. One that cannot be read stays in flight; the error is returned."""
    ticket = flight.collecting.pop(future)
    answer: Answer
    try:
        answer = future.result()
    except BatchRefused as refused:
        answer = refused
    except SegexportError as error:
        return error
    _tell(flight, calls, flight.tickets[ticket], answer)
    del flight.tickets[ticket]
    return None


def _tell(flight: Flight, calls: Calls, batch: Batch, reply: Answer) -> None:
    instead = calls.answered(batch, reply)
    if isinstance(reply, BatchRefused):
        flight.waiting.extendleft(reversed(instead))  # halves at once, down to the bad row: few are open at a time
    else:
        flight.waiting.extend(instead)
    if isinstance(reply, Ticket):
        batch.let_go()
        flight.tickets[reply.id] = batch


def _look(flight: Flight, calls: Calls, limits: Limits, pool: ThreadPoolExecutor) -> Iterator[tuple[str, JobState]]:
    """Ask for the jobs' states; where a call tells of one alone, over all connections."""
    calls.looking()
    tickets = list(flight.tickets)
    if not limits.one_by_one:
        yield from calls.poll(tickets).items()
        return
    parts = [part for first in range(limits.connections) if (part := tickets[first :: limits.connections])]
    for states in [*pool.map(calls.poll, parts)]:
        yield from states.items()


def _looked(flight: Flight, calls: Calls, look: Future[Mapping[str, JobState]]) -> SegexportError | None:
    """Take what a look has told while batches went out; an error is returned."""
    try:
        _land(flight, calls, look.result().items())
    except SegexportError as error:
        return error
    return None


def _land(flight: Flight, calls: Calls, states: Iterable[tuple[str, JobState]]) -> None:
    """Settle the jobs that ended with all rows taken, and note the others that ended."""
    for ticket, state in states:
        if state is JobState.RUNNING:
            continue
        flight.slots_full = None
        if state is JobState.ACCEPTED:
            _tell(flight, calls, flight.tickets[ticket], Settled())
            del flight.tickets[ticket]
        else:
            flight.ended.append(ticket)


def _finish(flight: Flight, calls: Calls) -> None:
    """Wait for the calls in flight, and tell what they brought; a second error says nothing new."""
    for future, batch in list(flight.running.items()):
        try:
            _tell(flight, calls, batch, future.result())
        except BatchRefused as refused:
            _tell(flight, calls, batch, refused)
        except (SegexportError, CancelledError):
            flight.waiting.appendleft(batch)
    flight.running.clear()
    for future in list(flight.collecting):
        with suppress(CancelledError):
            _collected(flight, calls, future)
