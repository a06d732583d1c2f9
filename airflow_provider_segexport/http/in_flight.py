"""Tracks the batches, jobs and calls of the sending loop, and selects the next batch to send."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from airflow_provider_segexport.errors import JobSlotsFull
from airflow_provider_segexport.http.concurrency import AdaptiveConcurrency
from airflow_provider_segexport.model import Batch, BatchReply, JobState


@dataclass(slots=True)
class InFlight:
    """The state of the sending loop.

    Attributes:
        batches: the plan's batches. A batch whose job is already running has that job's id with it.
        waiting: batches to send before the next of `batches`, such as parts of a rejected batch.
        running: calls that send a batch.
        jobs: import jobs without a result, by job id.
        ended: ids of jobs that have ended, but whose result has not been read.
        collecting: calls that read the result of a job, with the job's id.
        poll: the call that reads the states of jobs while batches are sent.
        polled: the jobs were polled since the last job ended. No further poll is needed until half of them have ended.
        concurrency: how many calls may be in flight.
        exhausted: `batches` has no more batches.
        slots_full: the vendor's error if it accepts no further job; None again after one of the run's jobs has ended.
    """

    batches: Iterator[Batch | tuple[Batch, str]]
    waiting: deque[Batch] = field(default_factory=deque)
    running: dict[Future[BatchReply], Batch] = field(default_factory=dict)
    jobs: dict[str, Batch] = field(default_factory=dict)
    ended: deque[str] = field(default_factory=deque)
    collecting: dict[Future[BatchReply], str] = field(default_factory=dict)
    poll: Future[Mapping[str, JobState]] | None = None
    polled: bool = False
    concurrency: AdaptiveConcurrency = field(default_factory=AdaptiveConcurrency)
    exhausted: bool = False
    slots_full: JobSlotsFull | None = None

    def next(self) -> Batch | None:
        """Return the next batch to send; None if there is none, or if the next batch has a job, which is adopted."""
        if self.waiting:
            return self.waiting.popleft()
        entry = None if self.exhausted else next(self.batches, None)
        if entry is None:
            self.exhausted = True
        elif isinstance(entry, tuple):
            batch, job_id = entry
            self.jobs[job_id] = batch
        else:
            return entry
        return None

    def adopt(self) -> bool:
        """Adopt the jobs that are already running, and drop all other batches; return whether any work was left."""
        work_left = bool(self.waiting or self.jobs)
        self.waiting.clear()
        while not self.exhausted:
            work_left = self.next() is not None or bool(self.jobs) or work_left
        return work_left

    @property
    def busy(self) -> bool:
        """Whether a call is in flight or a job has no result yet."""
        return bool(self.running or self.jobs or self.collecting or self.poll)

    @property
    def done(self) -> bool:
        """Whether nothing is left to send and nothing is in flight."""
        return self.exhausted and not (self.waiting or self.running or self.jobs)
