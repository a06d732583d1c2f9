"""Counting calls against a limit, on the simulator's clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call fits, and what the vendor's headers say about it."""

    allowed: bool
    limit: int
    remaining: int
    reset: float


class FixedWindow:
    """`limit` calls in each window of `seconds`, windows aligned to the epoch."""

    def __init__(self, limit: int, seconds: float = 60.0) -> None:
        self.limit = limit
        self.seconds = seconds
        self._window = -1
        self._used = 0

    def take(self, now: float) -> Verdict:
        """Count one call."""
        window = int(now // self.seconds)
        if window != self._window:
            self._window, self._used = window, 0
        allowed = self._used < self.limit
        self._used += allowed
        reset = (window + 1) * self.seconds
        return Verdict(allowed, self.limit, self.limit - self._used, reset)


class RollingWindow:
    """`limit` calls in any `seconds`."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._taken: deque[float] = deque()

    def used(self, now: float) -> int:
        """Count the calls that still weigh."""
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return len(self._taken)

    def take(self, now: float) -> Verdict:
        """Count one call."""
        allowed = self.used(now) < self.limit
        if allowed:
            self._taken.append(now)
        reset = self._taken[0] + self.seconds if self._taken else now
        return Verdict(allowed, self.limit, self.limit - len(self._taken), reset)
