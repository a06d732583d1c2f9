"""What the sending loop has in flight, and what waits: `batches and jobs -> the next batch to go out`."""

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
    """What is in flight, and what waits."""

    batches: Iterator[Batch | tuple[Batch, str]]
    waiting: deque[Batch] = field(default_factory=deque)
    running: dict[Future[BatchReply], Batch] = field(default_factory=dict)
    jobs: dict[str, Batch] = field(default_factory=dict)
    ended: deque[str] = field(default_factory=deque)
    """Tickets of jobs that have ended, whose verdict is to be read."""
    collecting: dict[Future[BatchReply], str] = field(default_factory=dict)
    poll: Future[Mapping[str, JobState]] | None = None
    """A look at the jobs while batches go on going out."""
    polled: bool = False
    """Once is enough until half of the jobs have ended."""
    concurrency: AdaptiveConcurrency = field(default_factory=AdaptiveConcurrency)
    exhausted: bool = False
    slots_full: JobSlotsFull | None = None
    """What the vendor said when it took no further job; cleared when one of ours ends."""

    def next(self) -> Batch | None:
        """The next batch to go out. A batch whose job runs already is adopted on the way."""
        if self.waiting:
            return self.waiting.popleft()
        while not self.exhausted:
            found = next(self.batches, None)
            if found is None:
                self.exhausted = True
            elif isinstance(found, tuple):
                self.jobs[found[1]] = found[0]
                return None
            else:
                return found
        return None

    def adopt(self) -> bool:
        """Find the jobs that run already; no batch goes out any more. Returns whether anything was left to do."""
        left = bool(self.waiting or self.jobs)
        self.waiting.clear()
        while not self.exhausted:
            left = self.next() is not None or bool(self.jobs) or left
        return left

    @property
    def busy(self) -> bool:
        """Whether a call or a job has no verdict yet."""
        return bool(self.running or self.jobs or self.collecting or self.poll)

    @property
    def done(self) -> bool:
        """Nothing is left to send and nothing is in flight."""
        return self.exhausted and not (self.waiting or self.running or self.jobs)
