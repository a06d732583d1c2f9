"""How long a worker waits between two looks at the vendor's jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from airflow_provider_segexport.ratelimit.limiter import next_poll_s

FIRST_LOOK_S = 0.5
GRACE_S = 5.0
"""So long a worker looks itself before it hands the waiting to the triggerer: most small jobs are done by then."""


@dataclass(slots=True)
class JobPollPolicy:
    """Decides between looking again and leaving, each time that there is nothing to do but wait.

    Attributes:
        interval_s: the longest time between two looks; the first ones come sooner.
        may_defer: hand the waiting to the triggerer after the grace.
        resumed: jobs have ended already: look at once.
        sleep: lets time pass.
        vendor_wait_s: the seconds that calls have waited for the vendor so far.
        calls_made: how many calls went out so far.
        heartbeat: logs a line where none was logged for long.
    """

    interval_s: float
    may_defer: bool = False
    resumed: bool = False
    sleep: Callable[[float], None] = time.sleep
    vendor_wait_s: Callable[[], float] = lambda: 0.0
    calls_made: Callable[[], int] = lambda: 0
    heartbeat: Callable[..., None] = lambda *_: None
    _wait_s: float = FIRST_LOOK_S
    _waited_s: float = 0.0
    _seen_s: float = 0.0
    _seen_calls: int = 0

    def __call__(self, jobs: int) -> bool:
        """Wait and return True to look; False to leave. `jobs` are in flight.

        A look is one call a job at most. More calls than that since the last one: jobs have ended, and others have
        taken their place, whose first looks come sooner again.
        """
        before_calls, self._seen_calls = self._seen_calls, self.calls_made()
        if self._seen_calls - before_calls > jobs:
            self._wait_s = FIRST_LOOK_S
            self._seen_s = self.vendor_wait_s()  # batches waited for the quota, and not looks
        if self.resumed:
            self.resumed = False
            return True
        if self.may_defer and self._waited_s >= GRACE_S:
            return False
        before, self._seen_s = self._seen_s, self.vendor_wait_s()
        wait = next_poll_s(min(self._wait_s, self.interval_s), self._seen_s - before)
        self.sleep(wait)
        self._waited_s += wait
        self.heartbeat("Waiting for jobs at the vendor (jobs=%d waited_s=%.0f)", jobs, self._waited_s)
        self._wait_s *= 1.5
        return True
