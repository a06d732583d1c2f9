"""A clock that runs fast, the same one in every process of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class FastClock:
    """Epoch seconds, `speed` times as fast since a moment of the machine's monotonic clock."""

    begun: float
    start: float
    speed: float

    def now(self) -> float:
        """The present moment."""
        return self.start + (time.monotonic() - self.begun) * self.speed

    def advance(self, seconds: float) -> None:
        """Move the present moment forward."""
        self.start += seconds
