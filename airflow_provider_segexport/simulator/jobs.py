"""Work a vendor accepts now and does later: on the clock, or as a script says."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(slots=True)
class Job:
    """Accepted work; `work(moment)` does it and returns the state it ends in."""

    id: str
    begun: float
    due: float
    state: str
    work: Callable[[float], str] | None
    script: deque[str] = field(default_factory=deque)

    @property
    def active(self) -> bool:
        """Not in a final state yet."""
        return self.work is not None

    def end(self, state: str) -> None:
        """Enter a final state and let go of the rows."""
        self.state, self.work = state, None


class Jobs:
    """The jobs of one kind; a job is done at its due time, or at the look its script names."""

    def __init__(self, running: str, done: str) -> None:
        self.running = running
        self.done = done
        self._jobs: dict[str, Job] = {}
        self._active: dict[str, Job] = {}
        self._scripts: deque[list[str]] = deque()

    def script(self, scripts: Iterable[Sequence[str]]) -> None:
        """Give the next accepted jobs one script each: the states that successive looks see."""
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
        due = float("inf") if states else now + seconds
        job = Job(job_id, now, due, self.running, work, deque(states))
        self._jobs[job_id] = self._active[job_id] = job
        return job

    def settle(self, now: float) -> None:
        """Do all work that has come due, in the order in which it came due."""
        due = [job for job in self._active.values() if job.due <= now]
        for job in sorted(due, key=lambda item: item.due):
            self._finish(job, self.done, job.due)

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
            if state != self.running:
                self._finish(job, state, now)
            elif not job.script:
                job.due = now  # a script that ends while running: done by the next look
        return job

    def _finish(self, job: Job, state: str, moment: float) -> None:
        """End a job; only the good end has an effect."""
        work = job.work
        job.end(work(moment) if work and state == self.done else state)
        self._active.pop(job.id, None)
