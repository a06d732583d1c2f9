"""Rate limit windows, counted on the simulated clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateResult:
    """Whether a call is within the limit, and the values for the rate limit headers.

    `reset` is the time at which the window ends, in seconds since the epoch.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: float


class FixedWindow:
    """Limit of `limit` calls in each window of `seconds`; windows are aligned to the epoch."""

    def __init__(self, limit: int, seconds: float = 60.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self._window = -1
        self._used = 0

    def take(self, now: float) -> RateResult:
        """Count one call if it is within the limit."""
        window = int(now // self.seconds)
        if window != self._window:
            self._window, self._used = window, 0
        allowed = self._used < self.limit
        self._used += allowed
        reset = (window + 1) * self.seconds
        return RateResult(allowed, self.limit, self.limit - self._used, reset)


class RollingWindow:
    """Limit of `limit` calls in any `seconds` (sliding window)."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._taken: deque[float] = deque()

    def used(self, now: float) -> int:
        """Return the number of calls in the window that ends at `now`."""
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return len(self._taken)

    def take(self, now: float) -> RateResult:
        """Count one call if it is within the limit."""
        allowed = self.used(now) < self.limit
        if allowed:
            self._taken.append(now)
        reset = self._taken[0] + self.seconds if self._taken else now
        return RateResult(allowed, self.limit, self.limit - len(self._taken), reset)
