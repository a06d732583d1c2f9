"""The time of a rate limit store, whatever the clocks of the machines that use it say.

A server reports its own time in each transaction. An SQLite file has no clock, so it keeps a time of its own. That time
passes as fast as the machines' uptime.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MAX_SKEW_S = 7200.0
"""Seconds by which the wall clocks of two machines may differ, without an effect on the counts of sliding windows."""

REMEASURE_S = 86_400.0
"""Seconds after which a machine's wall clock is compared with its uptime again."""

MAX_DAY_LEAD_S = 93_600.0
"""Times of a daily limit that are further ahead than these 26 hours are ignored: a clock that is off by more than a day
must not stop the account until its day comes."""

ROUNDING_S = 1e-5
"""Offsets that differ by less than these seconds are equal. Epoch seconds are exact to about a microsecond."""

CLOCK_TOLERANCE_S = 0.02
"""Clocks that differ by no more than these seconds count as equal. Redis reports the time at which it began to look at
its clients, which is milliseconds earlier."""


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE = Path("/proc/self/ns/time")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and its clocks.

    Attributes:
        id: the same for all processes whose `uptime` is the same clock.
        wall: returns epoch seconds. May jump, and may differ from other machines'.
        uptime: returns seconds since some moment of the past. Never jumps.
    """

    id: str
    wall: Callable[[], float]
    uptime: Callable[[], float]


@cache
def this_machine() -> Machine:
    """Return this machine since its last start. Where the kernel has no such clock, the wall clock counts as uptime."""
    with suppress(OSError, AttributeError):
        boot = BOOT_ID.read_text().strip()
        namespace = TIME_NAMESPACE.readlink().name if TIME_NAMESPACE.is_symlink() else ""
        clock = time.CLOCK_BOOTTIME  # goes on while the machine is suspended
        return Machine(f"{boot} {namespace}".strip(), time.time, lambda: time.clock_gettime(clock))
    return Machine(platform.node() or "unknown", time.time, time.time)


@dataclass(frozen=True, slots=True)
class StoreTime:
    """The time of one transaction, in epoch seconds.

    Attributes:
        now: of sliding windows. In an SQLite file it may differ from every wall clock.
        day_now: of limits that restart at fixed times.
    """

    now: float
    day_now: float


@dataclass(frozen=True, slots=True)
class MachineOffsets:
    """How a machine's uptime becomes a file's time.

    Attributes:
        sliding: added to the uptime for `StoreTime.now`.
        wall: added to the uptime for the machine's wall clock, as it was measured.
        measured_at: uptime of that measurement.
    """

    sliding: float
    wall: float
    measured_at: float

    def read(self, uptime: float, last: StoreTime | None) -> StoreTime:
        """Return the time of a transaction. It is never before the last one's.

        Args:
            uptime: of the machine now.
            last: newest times of the file; None if it has none.
        """
        now, day = uptime + self.sliding, uptime + self.wall
        if last is None:
            return StoreTime(now, day)
        return StoreTime(max(last.now, now), last.day_now if 0 < last.day_now - day <= MAX_DAY_LEAD_S else day)

    def after(self, moment: StoreTime, uptime: float, wall: float) -> MachineOffsets:
        """Return the offsets to store after a transaction.

        Another machine may be ahead in the file's time. This machine joins it, so its time goes on from there and does
        not stand still until it has caught up.

        Args:
            moment: the transaction's time.
            uptime: of the machine at that time.
            wall: its wall clock.
        """
        is_old = not 0 <= uptime - self.measured_at < REMEASURE_S
        sliding = moment.now - uptime
        if not is_old and abs(sliding - self.sliding) < ROUNDING_S:
            return self
        wall_offset, measured_at = (wall - uptime, uptime) if is_old else (self.wall, self.measured_at)
        return MachineOffsets(sliding, wall_offset, measured_at)


def join(uptime: float, wall: float, last: StoreTime | None, longest_window_s: float) -> MachineOffsets:
    """Return the offsets of a machine that a file does not know.

    How much time has passed since the file's last call is uncertain by the difference of two wall clocks. If it may be
    less than the longest window, no time counts as passed, so no call is forgotten too early.

    Args:
        uptime: of the machine that joins.
        wall: its wall clock.
        last: newest times of the file; None if it has none.
        longest_window_s: longest sliding window in seconds.
    """
    if last is None:
        return MachineOffsets(wall - uptime, wall - uptime, uptime)
    passed = wall - last.day_now
    now = last.now + passed if passed >= longest_window_s + MAX_SKEW_S else last.now
    return MachineOffsets(now - uptime, wall - uptime, uptime)


def server_moment(
    ask: Callable[[], float], local: float, machine: Machine | None, clock: Callable[[], float] = time.time
) -> StoreTime:
    """Return the time of a transaction by a server's clock.

    Args:
        ask: returns the server's epoch seconds.
        local: epoch seconds by the caller's clock.
        machine: None if `local` is not of this machine's clock. Then the server corrects it by the difference of the
            two clocks, unless the duration of the query alone can explain that.
        clock: this machine's wall clock.
    """
    before = clock()
    server = ask()
    if machine is not None:
        return StoreTime(server, server)
    now = local + clock_offset(server, before, clock())
    return StoreTime(now, now)


def clock_offset(server_time: float, before: float, after: float) -> float:
    """Return the seconds by which a server's clock is ahead of this machine's.

    Args:
        server_time: epoch seconds that the server reported.
        before: this machine's epoch seconds before the server was asked.
        after: this machine's epoch seconds after its response.

    Returns:
        The offset; 0 if the duration of the query alone can explain it.
    """
    offset = server_time - (before + after) / 2
    return offset if abs(offset) > (after - before) / 2 + CLOCK_TOLERANCE_S else 0.0
