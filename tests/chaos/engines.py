"""Engines that are opened once: starting one takes longer than all that a run of two dozen people does with it."""

from __future__ import annotations

import atexit
import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from airflow_provider_segexport.storage import duckdb_engine as port

_open = port.engine
_free = threading.Lock()


@functools.cache
def _shared() -> port.Engine:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(_open())


@contextmanager
def _empty(*_: object, **__: object) -> Iterator[port.Engine]:
    """The kept engine, as empty as a new one; a new one where that is in use."""
    if not _free.acquire(blocking=False):
        with _open() as another:
            yield another
        return
    engine = _shared()
    try:
        yield engine
    finally:
        for kind in ("view", "table"):
            for (name,) in engine.rows(f"select {kind}_name from duckdb_{kind}s() where not internal"):
                engine.run(f"drop {kind} if exists {port.quoted(name)} cascade")
        _free.release()


def shared_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put it in the place of the real one, wherever that has been imported to."""
    for name, module in list(sys.modules.items()):
        if name.startswith("airflow_provider_segexport.") and getattr(module, "engine", None) is _open:
            monkeypatch.setattr(module, "engine", _empty)
