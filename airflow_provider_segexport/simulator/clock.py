"""Time, passed in: no rule of a vendor reads the machine's clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

MANUAL_START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clock(Protocol):
    """Seconds since the epoch, as the vendors see them."""

    def now(self) -> float:
        """Return the present moment."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the present moment forward."""
        ...


class RunningClock:
    """Starts at the machine's time and runs `speed` times as fast."""

    def __init__(self, speed: float = 1.0, ticks: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._ticks = ticks
        self._begun = ticks()
        self._start = time.time()

    def now(self) -> float:
        """Return the present moment."""
        return self._start + (self._ticks() - self._begun) * self.speed

    def advance(self, seconds: float) -> None:
        """Move the present moment forward, on top of what passes by itself."""
        self._start += seconds


class ManualClock:
    """Does not move until `advance` is called."""

    def __init__(self, start: float = MANUAL_START) -> None:
        self._now = start

    def now(self) -> float:
        """Return the present moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the present moment forward."""
        self._now += seconds


@lru_cache(maxsize=4096)  # people of one import share their moments
def iso(moment: float) -> str:
    """Write a moment as `2026-01-01T00:00:00.000Z`."""
    stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return stamp.removesuffix("+00:00") + "Z"


def http_date(moment: float) -> str:
    """Write a moment as an HTTP `Date` header."""
    return formatdate(moment, usegmt=True)
