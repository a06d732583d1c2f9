"""Stops a run that a signal interrupts: `timeout, kill or Ctrl-C -> no further call, the exception of its handler`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.session import VendorSession

SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)
"""Signals with which Airflow ends a task at its `execution_timeout` (SIGALRM) or when it is killed (SIGTERM), and
Ctrl-C."""


@contextmanager
def stops_at_signals(session: VendorSession) -> Iterator[None]:
    """Stop the session's calls at a signal, and let the block end with the exception of the signal's handler.

    Calls in other threads wait and try again, and do not see that exception. DuckDB replaces it by a RuntimeError if it
    is raised during a query, and Python drops it in a destructor.

    Args:
        session: makes the calls of the block.
    """
    raised: list[BaseException] = []
    is_main = threading.current_thread() is threading.main_thread()  # the only thread in which handlers can be set
    handlers = {number: handler for number in SIGNALS if is_main and callable(handler := signal.getsignal(number))}

    def stop(number: int, frame: FrameType | None) -> None:
        session.request_stop()
        try:
            handlers[signal.Signals(number)](number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    for number in handlers:
        signal.signal(number, stop)
    try:
        yield
    except BaseException:
        if raised:
            raise raised[0] from None
        raise
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)
