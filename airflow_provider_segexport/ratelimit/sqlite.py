"""Counts the calls of one account in an SQLite file.

pyrate-limiter counts the calls. The transaction around it is ours, so that a call counts for all its scopes or for
none, and so that only one process counts at a time.
"""

from __future__ import annotations

import logging
import pathlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

from pyrate_limiter import Rate as BucketRate
from pyrate_limiter import RateItem, SQLiteBucket
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.ratelimit.store import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import LOCK_TIMEOUT_S, BaseQuotaStore
from airflow_provider_segexport.ratelimit.windows import WindowState
from airflow_provider_segexport.storage.durable import make_folder
from airflow_provider_segexport.vendors.base import Limits

log = logging.getLogger(__name__)

UNWRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

CREATE_STATES = """create table if not exists window_states (scope text primary key,
    calls integer not null, until real not null, calls_since integer not null, limit_seen integer not null)"""


class _Connection(sqlite3.Connection):
    """A connection that ignores the commits of pyrate-limiter's buckets, because several counts are one transaction."""

    def commit(self) -> None:
        """Do nothing: `SqliteQuotaStore._transaction` commits."""


class SqliteQuotaStore(BaseQuotaStore):
    """Counts one account's calls in a folder that its tasks share.

    Args:
        folder: the folder of the account's file.
        account: the account's key, which is the file's name.
        limits: the rates to count against.
        backfill: leave room for scheduled runs.
    """

    def __init__(self, folder: str, account: str, limits: Limits, *, backfill: bool = False) -> None:
        super().__init__(limits, backfill=backfill)
        self._path = pathlib.Path(folder) / f"{account}.sqlite"
        self._connection: _Connection | None = None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Lock the file. If another process holds it for long, the attempt fails and is retried."""
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
                raise RetryableError(f"The rate limit store {self._path} cannot be reached ({error}).") from None
            except sqlite3.DatabaseError as error:
                # A power failure cut the file. At most the counts of one day are lost.
                self._disconnect()
                self._path.unlink(missing_ok=True)
                raise RetryableError(
                    f"The rate limit store {self._path} was damaged ({error}). It was deleted; the next attempt makes "
                    "a new one."
                ) from None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        del call, item
        self._opened.rollback()

    def _read_states(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        placeholders = ", ".join("?" * len(names))
        rows = self._opened.execute(f"select * from window_states where scope in ({placeholders})", list(names))
        return {name: fields for name, *fields in rows}

    def _write_states(self, states: Mapping[str, WindowState]) -> None:
        rows = [(name, *astuple(state)) for name, state in states.items()]
        self._opened.executemany("replace into window_states values (?, ?, ?, ?, ?)", rows)

    def _move_call(self, table: str, call: QuotaCall, time_ms: int) -> None:
        self._opened.execute(f"update '{table}' set item_timestamp = ? where name = ?", [time_ms, call.call_id])

    def _delete_after(self, table: str, time_ms: int) -> None:
        self._opened.execute(f"delete from '{table}' where item_timestamp > ?", [time_ms])

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None  # noqa: S101 - `_transaction` has opened it
        return self._connection

    def _open(self) -> _Connection:
        try:
            make_folder(self._path.parent)
            return self._connect(str(self._path))
        except OSError as error:
            reason = type(error).__name__
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode not in UNWRITABLE:
                raise
            reason = str(error)
        log.warning(
            "Counting calls for this process only, because the rate limit store is not writable (path=%s, reason=%s)",
            self._path,
            reason,
        )
        return self._connect(":memory:")

    def _connect(self, path: str) -> _Connection:
        """Open a connection and create the tables.

        `synchronous = off`: a killed process loses nothing; only a power failure may. A rollback journal works on disks
        that several machines share, unlike a write-ahead log.
        """
        connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            for pragma in ("journal_mode = persist", "synchronous = off"):
                connection.execute(f"pragma {pragma}")
            connection.execute(CREATE_STATES)

            def bucket(rates: list[BucketRate], table: str, algorithm: LogAlgorithm | None) -> SQLiteBucket:
                connection.execute(f"create table if not exists '{table}' (name varchar, item_timestamp integer)")
                connection.execute(f"create index if not exists 'of_{table}' on '{table}' (item_timestamp)")
                return SQLiteBucket(rates, connection, table, algorithm=algorithm)

            self._open_buckets(bucket)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
