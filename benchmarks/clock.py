"""A fast clock that all processes of this machine share."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class FastClock:
    """Epoch seconds that pass `speed` times as fast since a time of the machine's monotonic clock."""

    begun: float
    start: float
    speed: float

    def now(self) -> float:
        """Return the current time in epoch seconds."""
        return self.start + (time.monotonic() - self.begun) * self.speed

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.start += seconds
