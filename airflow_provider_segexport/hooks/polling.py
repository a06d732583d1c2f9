"""Decides how long a worker waits between two polls of the vendor's jobs, and when the task is deferred."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from airflow_provider_segexport.ratelimit.limiter import next_poll_s

FIRST_POLL_S = 0.5
"""Seconds before the first poll: a job with few rows is done by then."""

POLL_BACKOFF = 1.5
"""Factor by which the time between polls grows up to `interval_s`."""

DEFER_AFTER_S = 5.0
"""Seconds for which a worker polls before it defers: most small jobs are done by then."""


@dataclass(slots=True)
class JobPollPolicy:
    """Decides whether a run that waits for jobs polls again or leaves its worker.

    Attributes:
        interval_s: the longest time between two polls, in seconds; the first polls come sooner.
        may_defer: leave the worker after `DEFER_AFTER_S`, so that the triggerer waits.
        resumed: the run has resumed after a deferral, so the first poll is due at once.
        sleep: waits some seconds.
        vendor_wait_s: returns how many seconds calls have waited for the vendor so far.
        calls_made: returns how many calls were made so far.
        heartbeat: logs a line if none was logged for some minutes.
    """

    interval_s: float
    may_defer: bool = False
    resumed: bool = False
    sleep: Callable[[float], None] = time.sleep
    vendor_wait_s: Callable[[], float] = lambda: 0.0
    calls_made: Callable[[], int] = lambda: 0
    heartbeat: Callable[..., None] = lambda *_: None
    _next_wait_s: float = field(default=FIRST_POLL_S, init=False)
    _waited_s: float = field(default=0.0, init=False)
    _vendor_wait_before_s: float = field(default=0.0, init=False)
    _calls_before: int = field(default=0, init=False)

    def __call__(self, jobs: int) -> bool:
        """Wait and return True to poll, or return False to leave the worker.

        Polling takes at most one call per job. If more calls were made since the last poll, jobs have ended and new
        ones were started, so the waits start again at `FIRST_POLL_S`.

        Args:
            jobs: number of running jobs.
        """
        before, self._calls_before = self._calls_before, self.calls_made()
        if self._calls_before - before > jobs:
            self._next_wait_s = FIRST_POLL_S
            self._vendor_wait_before_s = self.vendor_wait_s()  # new batches waited for the quota, not polls
        if self.resumed:
            self.resumed = False
            return True
        if self.may_defer and self._waited_s >= DEFER_AFTER_S:
            return False
        vendor_wait_before_s, self._vendor_wait_before_s = self._vendor_wait_before_s, self.vendor_wait_s()
        wait_s = next_poll_s(min(self._next_wait_s, self.interval_s), self._vendor_wait_before_s - vendor_wait_before_s)
        self.sleep(wait_s)
        self._waited_s += wait_s
        self.heartbeat("Waiting for jobs at the vendor (jobs=%d waited_s=%.0f)", jobs, self._waited_s)
        self._next_wait_s *= POLL_BACKOFF
        return True
