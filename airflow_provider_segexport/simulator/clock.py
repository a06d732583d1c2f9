"""Clocks of the simulator. Vendor rules take the time from a clock, so that a test can advance it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_EASTERN = timezone(timedelta(hours=-5))
MANUAL_START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clock(Protocol):
    """The simulated time, in seconds since the epoch."""

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the simulated time forward."""
        ...


class RunningClock:
    """Clock that starts at the machine's time and runs `speed` times as fast."""

    def __init__(self, speed: float = 1.0, ticks: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._ticks = ticks
        self._first_tick = ticks()
        self._start = time.time()

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return self._start + (self._ticks() - self._first_tick) * self.speed

    def advance(self, seconds: float) -> None:
        """Move the simulated time forward; the clock continues to run."""
        self._start += seconds


class ManualClock:
    """Clock that moves only when `advance` is called."""

    def __init__(self, start: float = MANUAL_START) -> None:
        self._now = start

    def now(self) -> float:
        """Return the simulated time in seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the simulated time forward."""
        self._now += seconds


@lru_cache(maxsize=4096)  # contacts of one import have the same timestamps
def iso(moment: float) -> str:
    """Format seconds since the epoch as `2026-01-01T00:00:00.000Z`."""
    stamp = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return stamp.removesuffix("+00:00") + "Z"


def iso_seconds(moment: float) -> str:
    """Format seconds since the epoch as `2026-01-01T00:00:00Z`."""
    return iso(moment)[:19] + "Z"


@lru_cache(maxsize=4096)
def local_iso(moment: float) -> str:
    """Format seconds since the epoch as `2025-12-31T19:00:00-05:00`, the time of an account in the east of the USA."""
    return datetime.fromtimestamp(moment, _EASTERN).isoformat(timespec="seconds")


def http_date(moment: float) -> str:
    """Format seconds since the epoch as an HTTP `Date` header."""
    return formatdate(moment, usegmt=True)
