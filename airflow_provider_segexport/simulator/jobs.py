"""Work a vendor accepts now and does later: on the clock, or as a script says."""

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
    """Accepted work; `work(moment)` does it and returns the state it ends in."""

    id: str
    begun: float
    due: float
    state: str
    work: Callable[[float], str] | None
    script: deque[str] = field(default_factory=deque)
    ended: float | None = None

    @property
    def active(self) -> bool:
        """Not in a final state yet."""
        return self.work is not None

    def end(self, state: str, moment: float) -> None:
        """Enter a final state and let go of the rows."""
        self.state, self.work, self.ended = state, None, moment


class Jobs:
    """The jobs of one kind; a job is done at its due time, or at the look its script names."""

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
        """Give the next accepted jobs one script each: the states that successive looks see. None removes all."""
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
        """Accept work that takes `seconds`; a script, when there is one, overrules them."""
        states = self._scripts.popleft() if self._scripts else list(script)
        job = Job(job_id, now, inf, self._unfinished[0], work, deque(states))
        self._jobs[job_id] = self._active[job_id] = job
        if not states:
            self._plan(job, now + seconds)
        return job

    def settle(self, now: float) -> None:
        """Do all work that has come due, in the order in which it came due."""
        while self._due and self._due[0][0] <= now:
            due, _, job = heappop(self._due)
            if job.active:
                self._finish(job, self.done, due)

    def active(self, now: float) -> int:
        """Count the jobs that are not finished."""
        self.settle(now)
        return len(self._active)

    def look(self, job_id: str, now: float) -> Job | None:
        """Return a job as a poll sees it; a poll moves a scripted job one state on."""
        self.settle(now)
        job = self._jobs.get(job_id)
        if job and job.active and job.script:
            state = job.script.popleft()
            if state not in self._unfinished:
                self._finish(job, state, now)
            else:
                job.state = state
                if not job.script:
                    self._plan(job, now)  # a script that ends while running: done by the next look
        return job

    def forget(self, job_id: str) -> None:
        """Drop a finished job, as vendors do after some days."""
        self._jobs.pop(job_id, None)

    def _plan(self, job: Job, due: float) -> None:
        job.due = due
        heappush(self._due, (due, next(self._order), job))

    def _finish(self, job: Job, state: str, moment: float) -> None:
        """End a job; only the good end has an effect."""
        work = job.work
        job.end(work(moment) if work and state == self.done else state, moment)
        self._active.pop(job.id, None)
