"""How long a worker waits between two looks at the vendor's jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_segexport.ports.pace import next_look

FIRST_LOOK_S = 0.5
GRACE_S = 5.0
"""So long a worker looks itself before it hands the waiting to the triggerer: most small jobs are done by then."""


@dataclass(slots=True)
class Patient:
    """Decides between looking again and leaving, each time that there is nothing to do but wait.

    Attributes:
        interval_s: the longest time between two looks; the first ones come sooner.
        leaves: hand the waiting to the triggerer after the grace.
        just_back: jobs have ended already: look at once.
        sleep: lets time pass.
        for_vendor: the seconds that calls have waited for the vendor so far.
        calls: how many calls went out so far.
        beat: logs a line where none was logged for long.
    """

    interval_s: float
    leaves: bool = False
    just_back: bool = False
    sleep: Callable[[float], None] = time.sleep
    for_vendor: Callable[[], float] = lambda: 0.0
    calls: Callable[[], int] = lambda: 0
    beat: Callable[..., None] = lambda *_: None
    _wait_s: float = FIRST_LOOK_S
    _waited_s: float = 0.0
    _seen_s: float = 0.0
    _seen_calls: int = 0

    def __call__(self, jobs: int) -> bool:
        """Wait and return True to look; False to leave. `jobs` are in flight.

        A look is one call a job at most. More calls than that since the last one: jobs have ended, and others have
        taken their place, whose first looks come sooner again.
        """
        before_calls, self._seen_calls = self._seen_calls, self.calls()
        if self._seen_calls - before_calls > jobs:
            self._wait_s = FIRST_LOOK_S
            self._seen_s = self.for_vendor()  # batches waited for the quota, and not looks
        if self.just_back:
            self.just_back = False
            return True
        if self.leaves and self._waited_s >= GRACE_S:
            return False
        before, self._seen_s = self._seen_s, self.for_vendor()
        wait = next_look(min(self._wait_s, self.interval_s), self._seen_s - before)
        self.sleep(wait)
        self._waited_s += wait
        self.beat("Waiting for jobs at the vendor (jobs=%d waited_s=%.0f)", jobs, self._waited_s)
        self._wait_s *= 1.5
        return True
