"""Injects a fault at the k-th step of a run. Steps are changes of files below its home, and calls (before and after).

An audit hook observes Python's file operations, so every new file that the code writes is a possible step.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

Kind = Literal["stop", "kill", "suspend", "disk", "away"]


_counting = threading.Lock()


class Killed(BaseException):
    """The process has been killed and can change nothing more."""


class CallsInFlight:
    """The calls in flight of an attempt.

    The clock moves only when a thread sleeps, so a call in flight during a sleep would arrive late.
    """

    def __init__(self) -> None:
        self._idle = threading.Condition()
        self._callers: set[int] = set()

    def enter(self) -> None:
        """Register this thread as a caller, before its call is counted; a repeated call has no effect."""
        with self._idle:
            self._callers.add(threading.get_ident())

    def leave(self) -> None:
        """Remove this thread: its response has arrived."""
        with self._idle:
            self._callers.discard(threading.get_ident())
            self._idle.notify_all()

    @contextmanager
    def empty(self) -> Iterator[None]:
        """Wait until no call is in flight, and block new calls inside the block."""
        with self._idle:
            self.leave()
            self._idle.wait_for(lambda: not self._callers, timeout=5)
            yield


@dataclass
class KillSwitch:
    """A fault, and the step at which it occurs.

    Attributes:
        at: the step before which the fault occurs; 0 for no fault.
        near: alternatively, text in the name of the first file at which the fault occurs.
        kind: `stop` lets nothing more happen, as a killed process; `kill` is a real SIGKILL, and `suspend` a real
            SIGSTOP; `disk` fails this write and the `more` after it because the disk is full; `away` fails reads too,
            as a store that cannot be reached.
        nap: alternatively, the fault occurs at the first wait of at least this many seconds; 0 for none.
        torn: half a line of the journal has been written when the fault occurs.
        home: only files below this folder count as steps.
    """

    home: str
    at: int = 0
    kind: Kind = "stop"
    more: int = 0
    torn: bool = False
    near: str = ""
    nap: float = 0.0
    taken: int = 0
    struck: bool = False
    last: str = ""

    @cached_property
    def road(self) -> CallsInFlight:
        """The calls in flight of the attempt; created on first use, because a lock cannot be pickled."""
        return CallsInFlight()

    def step(self, what: str, path: str = "") -> None:
        """Count a step, or raise the fault."""
        with _counting:
            self.taken += 1
            if self.near and self.near in path:
                self.at, self.near = self.taken, ""
            if not 0 < self.at <= self.taken or (self.kind == "suspend" and self.struck):
                return
            self.struck, self.last = True, self.last or what
        if self.kind == "suspend":
            suspend()
            return
        if self.kind in {"disk", "away"}:
            if path and what != "os.remove" and self.taken <= self.at + self.more:
                raise OSError(ERRORS[self.kind], os.strerror(ERRORS[self.kind]))
            return
        if self.torn and path.endswith("journal.jsonl"):
            self.torn = False
            with open(path, "a") as file:  # noqa: PTH123 - before the hook is asked again
                file.write('{"at": 17')
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise Killed

    def gate(self) -> None:
        """Register a caller before its call is counted."""
        self.road.enter()

    def waits(self, seconds: float) -> None:
        """Suspend the process at the first long wait; called without calls in flight."""
        if 0 < self.nap <= seconds and not self.struck:
            self.struck, self.last = True, "wait"
            suspend()


def suspend() -> None:
    """Stop this process until it is sent SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.05)  # another thread may have taken the signal: this one stops in here


class Between(KillSwitch):
    """Injects no fault, but calls `other` before the k-th call, without other calls in flight."""

    def __init__(self, home: str, at: int, other: Callable[[], None]) -> None:
        super().__init__(home)
        self._left = at
        self._other = other

    def gate(self) -> None:
        """Run `other` before the k-th call is counted."""
        with _counting:
            self._left -= 1
            due = self._left == 0
        if due:
            with self.road.empty():
                self._other()
        super().gate()


_current: list[KillSwitch] = []
ERRORS = {"disk": errno.ENOSPC, "away": errno.EIO}
_WRITES = frozenset("wax+")
_READS = frozenset({"os.listdir", "os.scandir"})
_CHANGES = frozenset({"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})


def _hear(event: str, details: tuple[Any, ...]) -> None:
    if not _current:
        return
    kill_switch = _current[-1]
    if event == "open":
        path, mode, flags = details
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if mode is None else _WRITES.intersection(mode)
        if not writes and kill_switch.kind != "away":
            return
    elif event in _CHANGES or (kill_switch.kind == "away" and event in _READS):
        path = details[0]
    else:
        return
    if isinstance(path, str | os.PathLike) and (text := os.fspath(path)).startswith(kill_switch.home) and not _aside.on:
        _aside.on = True
        try:
            kill_switch.step(event, text)
        finally:
            _aside.on = False


class _Aside(threading.local):
    on = False


_aside = _Aside()
_listening: list[bool] = []


def listen() -> None:
    """Install the audit hook. It stays installed, and costs little without an active kill switch."""
    if not _listening:
        _listening.append(True)
        sys.addaudithook(_hear)


@contextmanager
def strikes(kill_switch: KillSwitch) -> Any:
    """Activate a kill switch inside the block."""
    listen()
    _current.append(kill_switch)
    try:
        yield kill_switch
    finally:
        _current.remove(kill_switch)


class FaultAdapter(HTTPAdapter):
    """Sends a run's calls, with a step before each call and a step after its response."""

    def __init__(self, kill_switch: KillSwitch) -> None:
        self._kill_switch = kill_switch
        super().__init__()

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a call, with a step before it and a step after its response."""
        self._kill_switch.road.enter()
        try:
            self._kill_switch.step(f"before {request.method}")
            response = super().send(request, *args, **kwargs)
            try:
                self._kill_switch.step(f"after {request.method}")
            except Killed:
                response.close()  # as the machine would
                raise
            return response
        finally:
            self._kill_switch.road.leave()
