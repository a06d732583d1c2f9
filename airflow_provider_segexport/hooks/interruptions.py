"""Stops a run that a signal interrupts: `timeout, kill or Ctrl-C -> no further call, the exception of its handler`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession

SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)
"""Signals with which Airflow ends a task at its `execution_timeout` (SIGALRM) or when it is killed (SIGTERM), and
Ctrl-C."""


class _Stopping:
    """The signal handler of one block: it stops the block's session, and calls the handler that was set before.

    Attributes:
        handlers: the handlers that were set before, by signal.
        raised: the exceptions that they raised.
        has_ended: the block has ended, but the handler is still set, or another block's handler calls it.
    """

    def __init__(self, session: VendorSession) -> None:
        self.session = session
        self.handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}
        self.raised: list[BaseException] = []
        self.has_ended = False

    def set(self) -> None:
        for number in SIGNALS:
            if callable(handler := signal.getsignal(number)):
                self.handlers[number] = handler
                signal.signal(number, self)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.has_ended:
            self.session.request_stop()
        try:
            self.handlers[signal.Signals(number)](number, frame)
        except BaseException as error:
            self.raised.append(error)
            raise

    def reset(self) -> None:
        """Restore the earlier handlers, also those of other blocks that ended before this one."""
        self.has_ended = True
        for number in self.handlers:
            while isinstance(handler := signal.getsignal(number), _Stopping) and handler.has_ended:
                signal.signal(number, handler.handlers[number])


@contextmanager
def stops_at_signals(session: VendorSession) -> Iterator[None]:
    """Stop the session's calls at a signal, and let the block end with the exception of the signal's handler.

    Calls in other threads wait and try again, and do not see that exception. DuckDB replaces it by a RuntimeError if it
    is raised during a query, and Python drops it in a destructor.

    Args:
        session: makes the calls of the block.
    """
    stopping = _Stopping(session)
    if threading.current_thread() is threading.main_thread():  # the only thread in which handlers can be set
        stopping.set()
    try:
        yield
    except BaseException:
        if stopping.raised:
            raise stopping.raised[0] from None
        raise
    else:
        if stopping.raised:
            raise stopping.raised[0]
    finally:
        stopping.reset()
