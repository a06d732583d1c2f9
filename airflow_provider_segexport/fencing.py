"""The fencing token: whether this writer of an audience is still the newest, asked right before each call leaves.

A vendor knows no fencing token, so the writer itself must find out. The sender asks after every wait and before each
attempt (`ask`), and the connection asks once more if time has passed until the first byte leaves (`ask_again`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

FRESH_S = 1.0
"""Seconds for which an answer of the store counts while a call is on its way to the socket. A takeover waits longer
than this before its first call."""

MOST_ASKED = 3
"""A store whose answers take longer than `FRESH_S` is asked so often at most for one part of a call."""


class Fence(Protocol):
    """What holds an audience for one writer."""

    @property
    def number(self) -> int:
        """The token: the number of the newest taking, which rises with every taking; 0 without a lease."""

    @property
    def mark(self) -> str:
        """Tells the process from all others, also from another try of the same task."""

    def check(self) -> None:
        """Pass while this writer is the newest; `Superseded` when it is not."""


@dataclass(frozen=True, slots=True)
class Unfenced:
    """A writer without a lease: one that only looks, and tests of a single writer."""

    number: int = 0
    mark: str = ""

    def check(self) -> None:
        """Pass."""


NO_FENCE = Unfenced()


class _Leaving(threading.local):
    """The check of the thread's calls, and when it passed last, by both clocks."""

    check: Callable[[], None] | None = None
    at: tuple[float, float] = (0.0, 0.0)


_leaving = _Leaving()


@contextmanager
def fenced(check: Callable[[], None]) -> Iterator[None]:
    """Let every call that this thread sends in here ask first."""
    before, _leaving.check = _leaving.check, check
    try:
        yield
    finally:
        _leaving.check = before


def ask() -> None:
    """Ask whether a call may leave now.

    Raises:
        Superseded: another run has taken the audience over.
    """
    if _leaving.check is not None:
        began = _clocks()
        _leaving.check()
        _leaving.at = began


def ask_again() -> None:
    """Ask again if the last answer is old: the process was suspended, a clock jumped, or the connection took its time.

    Raises:
        Superseded: another run has taken the audience over.
    """
    for _ in range(MOST_ASKED):
        if _leaving.check is None or all(
            0 <= now - then < FRESH_S for now, then in zip(_clocks(), _leaving.at, strict=True)
        ):
            return
        ask()


def _clocks() -> tuple[float, float]:
    """The monotonic clock stands still while a machine sleeps, and the other one may be set."""
    return time.monotonic(), time.time()
