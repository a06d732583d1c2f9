"""The time of a rate limit store, independent of errors in the clocks of the machines that use it.

A server reports its time in each transaction. An SQLite file has no clock, so it stores a time that advances with the
uptime of the machines.
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
"""Seconds by which the wall clocks of two machines may differ without an effect on the counts of sliding windows."""

REMEASURE_S = 86_400.0
"""Seconds after which a machine's wall clock is compared with its uptime again."""

MAX_DAY_LEAD_S = 93_600.0
"""Times of a daily limit that are more than 26 hours ahead are ignored, because a clock that is more than a day fast
must not stop the account until that day."""

ROUNDING_S = 1e-5
"""Offsets that differ by fewer seconds are equal. Epoch seconds are exact to about a microsecond."""

CLOCK_TOLERANCE_S = 0.02
"""Clocks that differ by no more than these seconds count as equal. Redis reports the time when it began to serve its
clients, which is milliseconds earlier."""


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE = Path("/proc/self/ns/time")


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine and its clocks.

    Attributes:
        id: identical for all processes that read the same `uptime` clock.
        wall: returns epoch seconds. The clock may jump, and may differ from those of other machines.
        uptime: returns seconds since a fixed moment in the past. The clock never jumps.
    """

    id: str
    wall: Callable[[], float]
    uptime: Callable[[], float]


@cache
def this_machine() -> Machine:
    """Return this machine since its last boot. If the kernel has no uptime clock, the wall clock counts as uptime."""
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
        now: the time for sliding windows. In an SQLite file it may differ from every wall clock.
        day_now: the time for limits that reset at fixed times.
    """

    now: float
    day_now: float


@dataclass(frozen=True, slots=True)
class MachineOffsets:
    """Offsets that convert a machine's uptime to a file's time.

    Attributes:
        sliding: uptime plus this offset is `StoreTime.now`.
        wall: uptime plus this offset is the machine's wall clock, as measured.
        measured_at: uptime at the time of that measurement.
    """

    sliding: float
    wall: float
    measured_at: float

    def read(self, uptime: float, last: StoreTime | None) -> StoreTime:
        """Return the time of a transaction. It is never before that of the last transaction.

        Args:
            uptime: the machine's current uptime.
            last: newest times in the file; None if it has none.
        """
        now, day = uptime + self.sliding, uptime + self.wall
        if last is None:
            return StoreTime(now, day)
        return StoreTime(max(last.now, now), last.day_now if 0 < last.day_now - day <= MAX_DAY_LEAD_S else day)

    def after(self, moment: StoreTime, uptime: float, wall: float) -> MachineOffsets:
        """Return the offsets to store after a transaction.

        If another machine is ahead in the file's time, this machine continues from that time. Otherwise its time would
        not advance until it had caught up.

        Args:
            moment: the transaction's time.
            uptime: the machine's uptime at that time.
            wall: the machine's wall clock at that time.
        """
        is_old = not 0 <= uptime - self.measured_at < REMEASURE_S
        sliding = moment.now - uptime
        if not is_old and abs(sliding - self.sliding) < ROUNDING_S:
            return self
        wall_offset, measured_at = (wall - uptime, uptime) if is_old else (self.wall, self.measured_at)
        return MachineOffsets(sliding, wall_offset, measured_at)


def join(uptime: float, wall: float, last: StoreTime | None, longest_window_s: float) -> MachineOffsets:
    """Return the offsets of a machine that is not in the file yet.

    The time since the file's last call is uncertain, because two wall clocks may differ. If it may be shorter than the
    longest window, no time counts as elapsed, so no call is deleted too early.

    Args:
        uptime: uptime of the machine that joins.
        wall: the machine's wall clock.
        last: newest times in the file; None if it has none.
        longest_window_s: the longest sliding window in seconds.
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
        machine: None if `local` does not come from this machine's clock. `local` is then corrected by the difference
            of the two clocks, unless the duration of the query alone can explain it.
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
