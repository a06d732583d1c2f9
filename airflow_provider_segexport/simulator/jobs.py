"""Asynchronous jobs of a vendor. A job ends at a time on the simulated clock, or goes through scripted states."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(slots=True)
class Job:
    """An accepted job; `work(moment)` executes it and returns its final state."""

    id: str
    begun: float
    due: float
    state: str
    work: Callable[[float], str] | None
    script: deque[str] = field(default_factory=deque)
    ended: float | None = None

    @property
    def active(self) -> bool:
        """Whether the job has not reached a final state."""
        return self.work is not None

    def end(self, state: str, moment: float) -> None:
        """Set the final state, and release the work with its rows."""
        self.state, self.work, self.ended = state, None, moment


class Jobs:
    """The jobs of one kind.

    A job without a script ends at its due time. A job with a script changes its state at each poll. Only a job that
    ends in the state `done` takes effect.

    Args:
        running: state of a job that runs.
        done: state of a job that took effect.
        waiting: state of a job that has not begun; None if the vendor has no such state.
    """

    def __init__(self, running: str, done: str, waiting: str | None = None) -> None:
        self.running = running
        self.done = done
        self._unfinished = (waiting or running, running)
        self._jobs: dict[str, Job] = {}
        self._active: dict[str, Job] = {}
        self._due: list[tuple[float, int, Job]] = []
        self._order = count()
        self._scripts: deque[list[str]] = deque()

    def script(self, scripts: Sequence[Sequence[str]]) -> None:
        """Assign one script to each of the next jobs: the states that successive polls return. [] removes all."""
        if not scripts:
            self._scripts.clear()
        self._scripts.extend(list(states) for states in scripts)

    def add(
        self,
        job_id: str,
        now: float,
        seconds: float,
        work: Callable[[float], str],
        script: Sequence[str] = (),
    ) -> Job:
        """Accept a job.

        Args:
            job_id: id of the job.
            now: time of acceptance.
            seconds: duration; ignored if the job has a script.
            work: executes the job at the given time and returns its final state.
            script: states that successive polls return; a script assigned by `script()` takes precedence.

        Returns:
            The job, in its first state.
        """
        states = self._scripts.popleft() if self._scripts else list(script)
        job = Job(job_id, now, inf, self._unfinished[0], work, deque(states))
        self._jobs[job_id] = self._active[job_id] = job
        if not states:
            self._schedule(job, now + seconds)
        return job

    def settle(self, now: float) -> None:
        """Finish all jobs that are due, in the order of their due times."""
        while self._due and self._due[0][0] <= now:
            due, _, job = heappop(self._due)
            if job.active:
                self._finish(job, self.done, due)

    def active(self, now: float) -> int:
        """Return the number of unfinished jobs."""
        self.settle(now)
        return len(self._active)

    def poll(self, job_id: str, now: float) -> Job | None:
        """Poll a job: a scripted job enters its next state. Return None if the job is unknown."""
        self.settle(now)
        job = self._jobs.get(job_id)
        if job and job.active and job.script:
            state = job.script.popleft()
            if state not in self._unfinished:
                self._finish(job, state, now)
            else:
                job.state = state
                if not job.script:
                    self._schedule(job, now)  # the script has no final state: the next poll finishes the job
        return job

    def forget(self, job_id: str) -> None:
        """Delete a finished job, as vendors do after some days."""
        self._jobs.pop(job_id, None)

    def _schedule(self, job: Job, due: float) -> None:
        job.due = due
        heappush(self._due, (due, next(self._order), job))

    def _finish(self, job: Job, state: str, moment: float) -> None:
        """End a job; its work is executed only if `state` is the successful one."""
        work = job.work
        job.end(work(moment) if work and state == self.done else state, moment)
        self._active.pop(job.id, None)
