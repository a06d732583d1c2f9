"""DuckDB instances that are used again: opening one takes as long as all that a run of two dozen people does with it.

An export opens six of them. Each engine of a test gets an instance that is as empty and configured as a new one.
"""

from __future__ import annotations

import contextlib
import os
import threading
from types import SimpleNamespace
from typing import Any

import duckdb

from airflow_provider_segexport.storage import duckdb_engine
from airflow_provider_segexport.storage.duckdb_engine import quoted

CHANGEABLE = ("memory_limit", "threads", "temp_directory")
"""Settings that an open instance takes; a temporary directory only until the first data has spilled into it."""

_lock = threading.Lock()
_free: dict[tuple[Any, ...], list[Any]] = {}


class ReusedConnection:
    """A connection whose `close` empties its instance and leaves it to the next engine."""

    def __init__(self, connection: Any, key: tuple[Any, ...]) -> None:
        self._connection, self._key, self._reusable = connection, key, True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def register_filesystem(self, filesystem: Any) -> None:
        """Register it; an instance keeps a file system as long as it lives."""
        self._reusable = False
        self._connection.register_filesystem(filesystem)

    def close(self) -> None:
        if self._reusable:
            with contextlib.suppress(duckdb.Error):
                empty(self._connection)
                with _lock:
                    _free.setdefault(self._key, []).append(self._connection)
                return
        self._connection.close()


def empty(connection: Any) -> None:
    """Drop what an engine has made. Raises if a transaction has failed."""
    for kind in ("view", "table"):
        names = connection.execute(f"select {kind}_name from duckdb_{kind}s() where not internal").fetchall()
        for (name,) in names:
            connection.execute(f"drop {kind} if exists {quoted(name)} cascade")


def connect(config: dict[str, Any]) -> ReusedConnection:
    """Return a kept instance with this configuration, or a new one."""
    changed = {name: config[name] for name in CHANGEABLE}
    # A process of its own after a fork has none of the threads of its parent's instances.
    key = (os.getpid(), *sorted((name, str(value)) for name, value in config.items() if name not in changed))
    with _lock:
        connection = _free[key].pop() if _free.get(key) else None
    if connection is not None:
        try:
            for name, value in changed.items():
                connection.execute(f"set global {name} = '{value}'")
        except duckdb.Error:
            connection.close()
        else:
            return ReusedConnection(connection, key)
    return ReusedConnection(duckdb.connect(config=config), key)


@contextlib.contextmanager
def kept_engines() -> Any:
    """Let the engines of this process use instances again."""
    real = duckdb_engine.duckdb
    duckdb_engine.duckdb = SimpleNamespace(connect=connect, Error=duckdb.Error)  # type: ignore[assignment]
    try:
        yield
    finally:
        duckdb_engine.duckdb = real
        with _lock:
            for key, connections in _free.items():
                if key[0] == os.getpid():
                    for connection in connections:
                        connection.close()
            _free.clear()
