"""Send batches with a bounded number of calls and jobs in flight: `batches -> replies`. Does not interpret replies.

The loop decides in one thread; only the calls run in others. Whatever ends the loop, it waits for all calls in flight
and records their replies, so that no result is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from airflow_provider_segexport.errors import BatchRejected, GuardTripped, JobSlotsFull, SegexportError
from airflow_provider_segexport.http.in_flight import InFlight
from airflow_provider_segexport.model import Batch, BatchReply, BatchResult, JobId, JobState
from airflow_provider_segexport.vendors.base import Limits

__all__ = ["InFlight", "SendCallbacks", "Stopped", "send"]

Reply = BatchReply | BatchRejected

MIN_JOBS_PER_CONNECTION = 8
"""Minimum jobs per connection for polling early to pay off. With fewer, the oldest jobs still run when the slots fill
up."""


@dataclass(frozen=True, slots=True)
class SendCallbacks:
    """The functions that the loop calls.

    Attributes:
        upsert: sends one batch and returns the reply; runs in several threads.
        poll: takes ids of jobs, and returns their states by id. If a call reads one job only, it runs in several
            threads.
        collect: takes a batch and the id of its finished job, and returns the result; runs in several threads.
        record_sending: takes batches before they are sent; runs in the thread of the loop.
        record_reply: takes a batch and its reply; returns the batches to send next (halves, rows to retry).
        before_poll: called before jobs are polled.
        first_rows: returns how many rows may be without a result until the guard on rejected rows has enough results to
            measure; None for no limit.
    """

    upsert: Callable[[Batch], BatchReply]
    poll: Callable[[list[str]], Mapping[str, JobState]]
    collect: Callable[[Batch, str], BatchReply]
    record_sending: Callable[[list[Batch]], None]
    record_reply: Callable[[Batch, Reply], list[Batch]]
    before_poll: Callable[[], None] = lambda: None
    first_rows: Callable[[], int | None] = lambda: None


class Stopped(Exception):
    """The loop ended before every batch had a result because of `error`."""

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
    """Send until every batch is settled, or until `pause` returns False.

    Args:
        in_flight: the batches to send. Batches that it holds afterwards were not attempted.
        calls: the vendor's operations, and the functions that record their replies.
        limits: maximum calls and jobs in flight.
        pause: called with the number of jobs when the loop can only wait; returns True when it is time to poll, or
            False to return early.
        stop: returns an error that the recording found and that ends the sending; None to go on.

    Returns:
        The ids of jobs that still run; empty if every batch is settled.

    Raises:
        Stopped: an error ended the loop.
    """
    halt = _error_before(in_flight, stop())
    with ThreadPoolExecutor(limits.max_concurrency, thread_name_prefix="segexport") as pool:
        try:
            while not in_flight.done:
                _submit(in_flight, calls, limits, pool, halted=halt is not None)
                if in_flight.running or in_flight.collecting or in_flight.poll:
                    _collect_done(in_flight, calls, limits)
                elif in_flight.jobs:
                    if not pause(len(in_flight.jobs)):
                        _raise_if(halt, waits=True)
                        return list(in_flight.jobs)
                    _apply_states(in_flight, calls, _poll(in_flight, calls, limits, pool))
                elif in_flight.slots_full:
                    _raise_if(in_flight.slots_full)  # none of the jobs is this run's, so waiting frees no slot
                halt = halt or stop()
                if not in_flight.busy:  # what was sent gets its result first
                    _raise_if(halt)
        except SegexportError as error:
            _finish(in_flight, calls)
            raise Stopped(error) from error
        except BaseException:  # a kill, a full disk; the pool waits for its calls anyway
            for future in (*in_flight.running, *in_flight.collecting):
                future.cancel()
            _finish(in_flight, calls)
            raise
    return []


def _error_before(in_flight: InFlight, error: SegexportError | None) -> SegexportError | None:
    """Return the error that earlier attempts have found, because of which only the results of jobs are collected.

    A run whose batches all have a result does not fail because of it.

    Raises:
        Stopped: batches without a result remain, and no job runs.
    """
    if error is not None and in_flight.adopt() and not in_flight.jobs:
        raise Stopped(error)
    return error


def _raise_if(error: SegexportError | None, *, waits: bool = False) -> None:
    """Raise an error that the recording found.

    While jobs run (`waits`), a tripped guard is not raised, because it trips again when the jobs have a result.
    """
    if error is not None and not (waits and isinstance(error, GuardTripped)):
        raise error


def _submit(
    in_flight: InFlight, calls: SendCallbacks, limits: Limits, pool: ThreadPoolExecutor, *, halted: bool
) -> None:
    """Submit calls up to the limits of concurrency and job slots. Job results go first; if `halted`, nothing else."""
    concurrency = in_flight.concurrency
    while in_flight.ended and len(in_flight.running) + len(in_flight.collecting) < concurrency.limit:
        job_id = in_flight.ended.popleft()
        in_flight.collecting[concurrency.submit(pool.submit(calls.collect, in_flight.jobs[job_id], job_id))] = job_id
    if halted:
        in_flight.adopt()
        return
    sending: list[Batch] = []
    max_rows = calls.first_rows() if limits.max_jobs else None
    in_flight.polled = in_flight.polled and len(in_flight.jobs) > limits.max_jobs // 2
    if _is_early_poll_due(in_flight, limits):
        calls.before_poll()
        in_flight.polled, in_flight.poll = True, concurrency.submit(pool.submit(calls.poll, list(in_flight.jobs)))
    free = concurrency.limit - len(in_flight.collecting) - (in_flight.poll is not None)
    while not in_flight.slots_full and len(in_flight.running) + len(sending) < free:
        if limits.max_jobs and len(in_flight.jobs) + len(in_flight.running) + len(sending) >= limits.max_jobs:
            break
        if max_rows is not None and _open_rows(in_flight) + sum(map(len, sending)) >= max_rows:
            break
        jobs_before = len(in_flight.jobs)
        batch = in_flight.next()
        if batch is not None:
            sending.append(batch)
        elif len(in_flight.jobs) == jobs_before:
            break
    calls.record_sending(sending)
    for batch in sending:
        in_flight.running[concurrency.submit(pool.submit(calls.upsert, batch))] = batch


def _open_rows(in_flight: InFlight) -> int:
    """Return the number of rows at the vendor without a result."""
    return sum(map(len, in_flight.running.values())) + sum(map(len, in_flight.jobs.values()))


def _is_early_poll_due(in_flight: InFlight, limits: Limits) -> bool:
    """Return whether to poll now, before the job slots are full and all connections must wait."""
    if (
        limits.poll_one_per_call
        or limits.max_jobs < MIN_JOBS_PER_CONNECTION * limits.max_concurrency
        or in_flight.polled
        or in_flight.exhausted
    ):
        return False
    busy = in_flight.poll or in_flight.ended or in_flight.collecting
    return not busy and len(in_flight.jobs) >= limits.max_jobs - 2 * limits.max_concurrency


def _collect_done(in_flight: InFlight, calls: SendCallbacks, limits: Limits) -> None:
    """Record the replies of finished calls. An error is raised after all of them are recorded."""
    failure: SegexportError | None = None
    for future in in_flight.concurrency.completed(limits.max_concurrency):
        if future in in_flight.collecting:
            failure = _collect_job(in_flight, calls, future) or failure
            continue
        if future is in_flight.poll:
            in_flight.poll = None
            failure = _collect_poll(in_flight, calls, future) or failure
            continue
        batch = in_flight.running.pop(future)
        try:
            reply: Reply = future.result()
        except BatchRejected as rejection:
            reply = rejection
        except JobSlotsFull as full:
            in_flight.waiting.appendleft(batch)
            in_flight.slots_full = full
            continue
        except SegexportError as error:
            in_flight.waiting.appendleft(batch)
            failure = failure or error
            continue
        _record(in_flight, calls, batch, reply)
    if failure is not None:
        raise failure


def _collect_job(in_flight: InFlight, calls: SendCallbacks, future: Future[BatchReply]) -> SegexportError | None:
    """Record the result of a job. If it cannot be read, the job stays in flight and the error is returned."""
    job_id = in_flight.collecting.pop(future)
    reply: Reply
    try:
        reply = future.result()
    except BatchRejected as rejection:
        reply = rejection
    except SegexportError as error:
        return error
    _record(in_flight, calls, in_flight.jobs[job_id], reply)
    del in_flight.jobs[job_id]
    return None


def _record(in_flight: InFlight, calls: SendCallbacks, batch: Batch, reply: Reply) -> None:
    """Record a reply, and queue the batches to send next."""
    next_batches = calls.record_reply(batch, reply)
    if isinstance(reply, BatchRejected):
        in_flight.waiting.extendleft(reversed(next_batches))  # first, so that few halves wait at a time
    else:
        in_flight.waiting.extend(next_batches)
    if isinstance(reply, JobId):
        batch.release()
        in_flight.jobs[reply.id] = batch


def _poll(
    in_flight: InFlight, calls: SendCallbacks, limits: Limits, pool: ThreadPoolExecutor
) -> Iterator[tuple[str, JobState]]:
    """Yield id and state of each job. If a call reads one job only, all connections are used."""
    calls.before_poll()
    job_ids = list(in_flight.jobs)
    if not limits.poll_one_per_call:
        yield from calls.poll(job_ids).items()
        return
    parts = [part for first in range(limits.max_concurrency) if (part := job_ids[first :: limits.max_concurrency])]
    for states in [*pool.map(calls.poll, parts)]:
        yield from states.items()


def _collect_poll(
    in_flight: InFlight, calls: SendCallbacks, poll: Future[Mapping[str, JobState]]
) -> SegexportError | None:
    """Apply the job states of a poll that ran while batches were sent; an error is returned."""
    try:
        _apply_states(in_flight, calls, poll.result().items())
    except SegexportError as error:
        return error
    return None


def _apply_states(in_flight: InFlight, calls: SendCallbacks, states: Iterable[tuple[str, JobState]]) -> None:
    """Settle the jobs that ended with all rows accepted; queue the other ended jobs to have their results read."""
    for job_id, state in states:
        if state is JobState.RUNNING:
            continue
        in_flight.slots_full = None
        if state is JobState.ACCEPTED:
            _record(in_flight, calls, in_flight.jobs[job_id], BatchResult())
            del in_flight.jobs[job_id]
        else:
            in_flight.ended.append(job_id)


def _finish(in_flight: InFlight, calls: SendCallbacks) -> None:
    """Wait for the calls in flight and record their replies; further errors of calls are dropped.

    A call without a recorded reply counts as unanswered, and the result of such a job is read again.
    """
    for future, batch in list(in_flight.running.items()):
        try:
            reply: Reply = future.result()
        except BatchRejected as rejection:
            reply = rejection
        except Exception:  # noqa: BLE001 - also one that this package does not know, or a cancelled call
            in_flight.waiting.appendleft(batch)
            continue
        _record(in_flight, calls, batch, reply)
    in_flight.running.clear()
    for future in list(in_flight.collecting):
        with suppress(Exception):
            _collect_job(in_flight, calls, future)
