"""Counts the calls of one account in an SQLite file.

pyrate-limiter counts the calls. This module runs it inside a transaction, so that a call counts against all its scopes
or none, and only one process counts at a time.
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
from airflow_provider_segexport.ratelimit.clocks import MAX_DAY_LEAD_S, Machine, MachineOffsets, StoreTime, join
from airflow_provider_segexport.ratelimit.store import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import LOCK_TIMEOUT_S, BaseQuotaStore
from airflow_provider_segexport.ratelimit.windows import WindowState
from airflow_provider_segexport.storage.durable import make_folder
from airflow_provider_segexport.vendors.base import Limits

log = logging.getLogger(__name__)

UNWRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

CREATE_STATES = """create table if not exists window_states (scope text primary key,
    calls integer not null, until real not null, calls_since integer not null, limit_seen integer not null)"""

CREATE_CLOCKS = """create table if not exists clocks (machine text primary key,
    first real not null, second real not null, third real not null)"""
"""The fields of `MachineOffsets` by machine. The row with an empty machine has the fields of the newest `StoreTime`."""

MAX_LAG_S = 0.5
"""Seconds by which a machine may be behind the file's time before it adopts that time."""


class _Connection(sqlite3.Connection):
    """A connection that ignores commits of pyrate-limiter's buckets, because several counts form one transaction."""

    def commit(self) -> None:
        """Do nothing: `SqliteQuotaStore._transaction` commits."""


class SqliteQuotaStore(BaseQuotaStore):
    """Counts one account's calls in a folder that its tasks share.

    Args:
        folder: the folder of the account's file.
        account: the account's key, which is the file's name.
        limits: the rates to count against.
        backfill: reserve calls for scheduled runs.
        machine: as in `BaseQuotaStore`.
    """

    _day_lead_s = MAX_DAY_LEAD_S

    def __init__(
        self, folder: str, account: str, limits: Limits, *, backfill: bool = False, machine: Machine | None = None
    ) -> None:
        super().__init__(limits, backfill=backfill, machine=machine)
        sliding = [rate.seconds for rates in self._rates.values() for rate in rates if not rate.fixed_window]
        self._longest_window_s = max(sliding, default=0.0)
        self._path = pathlib.Path(folder) / f"{account}.sqlite"
        self._connection: _Connection | None = None
        self._inode: int | None = None
        self._offsets: MachineOffsets | None = None
        self._stored_offsets: MachineOffsets | None = None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Lock the file. If another process holds the lock for too long, the attempt fails and is retried."""
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
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                self._disconnect()  # a file that was deleted stays open, and cannot be written
                if not _is_damage(error) or self._inode != _inode(self._path):  # another process has replaced the file
                    raise RetryableError(f"The rate limit store {self._path} cannot be reached ({error}).") from None
                # A power failure truncated the file, or another version wrote it. At most one day's counts are lost.
                self._path.unlink(missing_ok=True)
                self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)
                raise RetryableError(
                    f"The rate limit store {self._path} was damaged ({error}). It was deleted; the next attempt "
                    "creates a new store."
                ) from None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _time(self, local: float) -> StoreTime:
        """Return the file's time, which advances with the machines' uptime.

        The offsets of a machine that joins, or that is behind the others, are committed immediately. A transaction that
        ends with a wait would discard them, and the next transaction would begin at the same time.
        """
        machine = self._machine
        if machine is None:
            return StoreTime(local, local)
        sql = "select machine, first, second, third from clocks where machine in ('', ?)"
        rows = {name: fields for name, *fields in self._opened.execute(sql, [machine.id])}
        last = StoreTime(*rows[""][:2]) if "" in rows else None
        uptime, wall = machine.uptime(), machine.wall()
        stored = self._stored_offsets = MachineOffsets(*rows[machine.id]) if machine.id in rows else None
        offsets = stored or join(uptime, wall, last, self._longest_window_s)
        moment = offsets.read(uptime, last)
        self._offsets = offsets.after(moment, uptime, wall)
        if stored is None or self._offsets.sliding - offsets.sliding > MAX_LAG_S:
            self._write_clocks({machine.id: astuple(self._offsets)})
            self._opened.execute("commit")
            self._opened.execute("begin immediate")
            return self._time(local)
        return moment

    def _keep_time(self, moment: StoreTime) -> None:
        if self._machine is None or self._offsets is None:
            return
        clocks: dict[str, Sequence[float]] = {"": (moment.now, moment.day_now, 0.0)}
        if self._offsets != self._stored_offsets:
            clocks[self._machine.id] = astuple(self._offsets)
        self._write_clocks(clocks)

    def _write_clocks(self, clocks: Mapping[str, Sequence[float]]) -> None:
        rows = [(name, *fields) for name, fields in clocks.items()]
        self._opened.executemany("replace into clocks values (?, ?, ?, ?)", rows)

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

    def _move_call(self, table: str, call_id: str, counted_ms: int, time_ms: int) -> None:
        del counted_ms
        self._opened.execute(f"update '{table}' set item_timestamp = ? where name = ?", [time_ms, call_id])

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

        With `synchronous = off`, only a power failure can lose data, not a killed process. A rollback journal works on
        disks that several machines share, unlike a write-ahead log.
        """
        connection = sqlite3.connect(
            path, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        self._inode = _inode(self._path)
        try:
            for pragma in ("journal_mode = persist", "synchronous = off"):
                connection.execute(f"pragma {pragma}")
            connection.execute(CREATE_STATES)
            connection.execute(CREATE_CLOCKS)

            def bucket(rates: list[BucketRate], table: str, algorithm: LogAlgorithm | None) -> SQLiteBucket:
                connection.execute(f"create table if not exists '{table}' (name varchar, item_timestamp integer)")
                connection.execute(f"create index if not exists 'of_{table}' on '{table}' (item_timestamp)")
                return SQLiteBucket(rates, connection, table, algorithm=algorithm)

            self._open_buckets(bucket)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _inode(path: pathlib.Path) -> int | None:
    """Return the number by which the file system knows a file; None if there is none, or its folder cannot be read."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _is_damage(error: Exception) -> bool:
    """Return whether an error means a damaged file: not a database, other tables, or text that is not UTF-8.

    Other errors, such as another process's lock or a full disk, may be temporary.
    """
    code = getattr(error, "sqlite_errorcode", None)
    return not isinstance(error, sqlite3.OperationalError) or code is None or code & 0xFF == sqlite3.SQLITE_ERROR
