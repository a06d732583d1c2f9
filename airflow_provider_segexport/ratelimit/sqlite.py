"""Counts the calls of one account in an SQLite file: `call -> now, or how long to wait`.

The counting is pyrate-limiter's; the transaction around it is ours, so that a call counts for all its pools or for
none, and so that processes take turns.
"""

from __future__ import annotations

import logging
import pathlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

from pyrate_limiter import Rate as Count
from pyrate_limiter import RateItem, SQLiteBucket
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.ratelimit.limiter import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import BUSY_S, QuotaBook
from airflow_provider_segexport.ratelimit.windows import WindowState
from airflow_provider_segexport.storage.durable import make_folder
from airflow_provider_segexport.vendors.base import Limits

log = logging.getLogger(__name__)

UNWRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

NOTES = """create table if not exists notes (pool text primary key,
    calls integer not null, until real not null, since integer not null, most integer not null)"""


class _Connection(sqlite3.Connection):
    """Each of pyrate-limiter's buckets commits for itself; here several counts are one transaction."""

    def commit(self) -> None:
        """Wait for the transaction's end."""


class QuotaFile(QuotaBook):
    """One account's counts in a folder that its tasks share."""

    def __init__(self, folder: str, name: str, limits: Limits, *, backfill: bool = False) -> None:
        super().__init__(limits, backfill=backfill)
        self._path = pathlib.Path(folder) / f"{name}.sqlite"
        self._connection: _Connection | None = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """A file that another holds for long is a reason to come later."""
        with self._lock:
            try:
                connection = self._connection = self._connection or self._open()
                connection.execute("begin immediate")
                try:
                    yield
                except BaseException:
                    connection.rollback()
                    raise
                if connection.in_transaction:
                    connection.execute("commit")
            except sqlite3.OperationalError as error:
                raise RetryableError(f"The count of calls in {self._path} cannot be reached ({error}).") from None
            except sqlite3.DatabaseError as error:  # cut off by a power failure: what it knew is worth a day at most
                self._discard()
                raise RetryableError(
                    f"The count of calls in {self._path} was damaged ({error}); it starts anew."
                ) from None

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._path.unlink(missing_ok=True)

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        del call, item
        self._in_turn.rollback()

    def _notes(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        marks = ", ".join("?" * len(names))
        found = self._in_turn.execute(f"select * from notes where pool in ({marks})", list(names))
        return {name: fields for name, *fields in found}

    def _keep(self, notes: Mapping[str, WindowState]) -> None:
        rows = [(name, *astuple(note)) for name, note in notes.items()]
        self._in_turn.executemany("replace into notes values (?, ?, ?, ?, ?)", rows)

    def _move(self, table: str, call: QuotaCall, stamp: int) -> None:
        self._in_turn.execute(f"update '{table}' set item_timestamp = ? where name = ?", [stamp, call.mark])

    def _forget_after(self, table: str, stamp: int) -> None:
        self._in_turn.execute(f"delete from '{table}' where item_timestamp > ?", [stamp])

    @property
    def _in_turn(self) -> sqlite3.Connection:
        assert self._connection is not None  # noqa: S101 - a turn has opened it
        return self._connection

    def _open(self) -> _Connection:
        try:
            make_folder(self._path.parent)
            return self._prepared(str(self._path))
        except OSError as error:
            why = type(error).__name__
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in UNWRITABLE:
                raise
            why = str(error)
        log.warning("Calls are counted for this process only: %s cannot be written (%s).", self._path, why)
        return self._prepared(":memory:")

    def _prepared(self, path: str) -> _Connection:
        """A connection with its tables. No write is waited for: a crash loses nothing, only a power failure might.

        A rollback journal works on disks that machines share, which a write-ahead log does not.
        """
        connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            for pragma in ("journal_mode = persist", "synchronous = off"):
                connection.execute(f"pragma {pragma}")
            connection.execute(NOTES)

            def bucket(counts: list[Count], table: str, algorithm: LogAlgorithm | None) -> SQLiteBucket:
                connection.execute(f"create table if not exists '{table}' (name varchar, item_timestamp integer)")
                connection.execute(f"create index if not exists 'of_{table}' on '{table}' (item_timestamp)")
                return SQLiteBucket(counts, connection, table, algorithm=algorithm)

            self._open_buckets(bucket)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
