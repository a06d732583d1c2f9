"""Checks right before each call that this writer of an audience still holds the newest fencing token.

Vendors do not support fencing tokens, so the writer itself must check. The HTTP client checks after every wait and
before each attempt (`check_fence`). The connection checks again if time has passed before the first byte is sent
(`recheck_fence`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

CHECK_VALID_S = 1.0
"""Seconds for which a check is valid while a call is on its way to the socket. A process that takes over an audience
waits longer than this before its first call."""

MAX_RECHECKS = 3
"""Maximum checks before one part of a call, if the store takes longer than `CHECK_VALID_S` to respond."""


class Fence(Protocol):
    """The lock of an audience for one writer; implemented by `storage.lease.Lease`."""

    @property
    def number(self) -> int:
        """The fencing token, which increases with every acquisition; 0 without a lease."""

    @property
    def writer_token(self) -> str:
        """Identifies the process, also among attempts of the same task."""

    def check(self) -> None:
        """Check that this writer holds the newest token.

        Raises:
            Superseded: another writer holds it.
        """


@dataclass(frozen=True, slots=True)
class Unfenced:
    """A fence without a lease, for runs that only read and for tests of a single writer."""

    number: int = 0
    writer_token: str = ""

    def check(self) -> None:
        """Do nothing, because there is no lease to lose."""


NO_FENCE = Unfenced()


class _ThreadFence(threading.local):
    """The check before this thread's calls, and the time of its last success by both clocks (`_clocks`)."""

    check: Callable[[], None] | None = None
    checked_at: tuple[float, float] = (0.0, 0.0)


_thread = _ThreadFence()


@contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Call `check` before every call that this thread sends until the block ends."""
    outer, _thread.check = _thread.check, check
    try:
        yield
    finally:
        _thread.check = outer


def fenced_also(check: Callable[[], None]) -> AbstractContextManager[None]:
    """Call `check` before every call that this thread sends, after the check of the surrounding `fenced` block."""
    outer = _thread.check

    def both() -> None:
        if outer is not None:
            outer()
        check()

    return fenced(both)


def check_fence() -> None:
    """Check that a call may be sent now.

    Raises:
        Superseded: another run has taken the audience over.
    """
    if _thread.check is not None:
        started_at = _clocks()
        _thread.check()
        _thread.checked_at = started_at


def recheck_fence() -> None:
    """Check again if the last check is old: the process was suspended, a clock jumped, or connecting took long.

    Raises:
        Superseded: another run has taken the audience over.
    """
    for _ in range(MAX_RECHECKS):
        if _thread.check is None or all(
            0 <= now - then < CHECK_VALID_S for now, then in zip(_clocks(), _thread.checked_at, strict=True)
        ):
            return
        check_fence()


def _clocks() -> tuple[float, float]:
    """Return monotonic and epoch seconds: the monotonic clock stops while a machine sleeps, the other may be set."""
    return time.monotonic(), time.time()
