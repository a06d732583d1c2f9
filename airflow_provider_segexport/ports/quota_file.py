"""Counts the calls of one account in an SQLite file: `call -> now, or how long to wait`.

The counting is pyrate-limiter's; the transaction around it is ours, so that a call counts for all its pools or for
none, and so that processes take turns.
"""

from __future__ import annotations

import logging
import pathlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from pyrate_limiter import FixedWindow, RateItem, SQLiteBucket
from pyrate_limiter import Rate as Count

from airflow_provider_segexport.contract import Limits
from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import Allowance, Rate
from airflow_provider_segexport.ports.pace import ALL, Call

log = logging.getLogger(__name__)

SHARE = 0.97
"""What we use of a quota. A window of ours is longer than the vendor's by the rest, because calls that leave a minute
apart may arrive closer together."""

PARTS, MANY, MINUTES = 4, 40, (30, 300)
"""A window of so many seconds that takes many calls is used in parts: not all in its first seconds, after which every
other program that uses the account would find it shut for the rest of it, and nobody waits for long."""

RESETS = "_resets"
"""How the name of a table ends whose rates start over at fixed times; the others are called as their pool."""

BUSY_S = 30.0
SWEEP_S = 30.0
AHEAD_S = 60.0
"""Counts that lie further ahead are from a clock that has been set back since."""


MOST_UNSEEN = 4
"""How many tasks' calls are taken to be on their way at most."""

UNWRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}

TOLD = """create table if not exists told
    (pool text primary key, calls integer not null, until real not null, since integer not null)"""
"""What the vendor says is left of a pool until when, and the calls that went out since that moment passed."""

TAKEN = """insert into told values (:pool, 0, 0, 1) on conflict (pool) do update set
    calls = calls - (until > :now), since = since + (until <= :now)"""


class _Connection(sqlite3.Connection):
    """Each of pyrate-limiter's buckets commits for itself; here several counts are one transaction."""

    def commit(self) -> None:
        """Wait for the transaction's end."""


class QuotaFile:
    """One account's counts, by pools; opened when the first call is counted."""

    def __init__(self, folder: str, name: str, limits: Limits) -> None:
        self._path = pathlib.Path(folder) / f"{name}.sqlite"
        self._rates = {ALL: limits.rates, **limits.pools}
        self._slack = {
            pool: min(rate.seconds for rate in rates) * (1 / SHARE - 1)
            for pool, every in self._rates.items()
            if (rates := [rate for rate in every if not rate.resets])
        }
        self._connections = limits.connections
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._buckets: dict[str, list[SQLiteBucket]] = {}
        self._swept = float("-inf")

    def take(self, call: Call) -> float:
        """Count a call for all its pools and return 0; or count nothing and return the seconds until it may fit."""
        now = call.left
        with self._transaction() as connection:
            due = abs(now - self._swept) > SWEEP_S
            if due:
                self._sweep(connection, now)
            wait = max(self._closed(connection, pool, now) for pool in call.pools)
            if wait <= 0:
                item = RateItem(call.mark, int(now * 1000))
                wait = max((_put(bucket, item) for bucket in self._of(call)), default=0.0)
            if wait > 0:
                connection.rollback()
                return wait
            for pool in call.pools:
                connection.execute(TAKEN, {"pool": pool, "now": now})
            self._swept = now if due else self._swept
        return 0.0

    def landed(self, call: Call, now: float, quickest: float) -> None:
        """Count a call that took long from when it may have reached the vendor, not from when it left.

        Our windows are longer than the vendor's: up to so many seconds it makes no difference.
        """
        stamps = {pool: now - max(quickest, self._slack[pool]) for pool in call.pools if pool in self._slack}
        late = {pool: int(stamp * 1000) for pool, stamp in stamps.items() if stamp > call.left}
        if not late:
            return
        with suppress(TryAgain), self._transaction() as connection:
            for pool, stamp in late.items():
                connection.execute(f"update '{pool}' set item_timestamp = ? where name = ?", [stamp, call.mark])

    def _of(self, call: Call) -> Iterator[SQLiteBucket]:
        """The buckets that a call counts in."""
        for pool in call.pools:
            yield from self._buckets.get(pool, ())

    def told(self, pool: str, allowance: Allowance, now: float) -> None:
        """Keep what the vendor says. Within its window the least that was told holds, less what went out since.

        The first answer of a window does not know of the calls that are still on their way.
        """
        with suppress(TryAgain), self._transaction() as connection:  # an answer is not lost for a count
            sql = "select calls, until, since from told where pool = ?"
            calls, until, since = connection.execute(sql, [pool]).fetchone() or (0, 0.0, 0)
            left = allowance.calls
            if until <= now:
                unseen = since - 1 if since else self._connections - 1
                calls, until = left - min(unseen, MOST_UNSEEN * self._connections), allowance.until
            elif left <= 0:
                until = allowance.until if calls > 0 else max(until, allowance.until)
            row = [pool, max(0, min(calls, left)), until]
            connection.execute("replace into told values (?, ?, ?, 0)", row)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._path.unlink(missing_ok=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One process and one thread at a time; a file that another holds for long is a reason to come later."""
        with self._lock:
            try:
                connection = self._connection = self._connection or self._open()
                connection.execute("begin immediate")
                try:
                    yield connection
                except BaseException:
                    connection.rollback()
                    raise
                if connection.in_transaction:
                    connection.execute("commit")
            except sqlite3.OperationalError as error:
                raise TryAgain(f"The count of calls in {self._path} cannot be reached ({error}).") from None
            except sqlite3.DatabaseError as error:  # cut off by a power failure: what it knew is worth a day at most
                self._discard()
                raise TryAgain(f"The count of calls in {self._path} was damaged ({error}); it starts anew.") from None

    def _closed(self, connection: sqlite3.Connection, pool: str, now: float) -> float:
        """Seconds until the vendor opens a pool again; 0 while it is open."""
        sql = "select until from told where pool = ? and calls <= 0 and until > ?"
        found = connection.execute(sql, [pool, now]).fetchone()
        return float(found[0]) - now if found else 0.0

    def _sweep(self, connection: sqlite3.Connection, now: float) -> None:
        """Forget calls that no window holds any more, and those that have not happened yet."""
        for bucket in (bucket for buckets in self._buckets.values() for bucket in buckets):
            bucket.leak(int(now * 1000))
            connection.execute(f"delete from '{bucket.table}' where item_timestamp > ?", [int((now + AHEAD_S) * 1000)])

    def _open(self) -> _Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
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
            connection.execute(TOLD)
            self._buckets = {pool: _buckets(connection, pool, rates) for pool, rates in self._rates.items()}
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _buckets(connection: sqlite3.Connection, pool: str, rates: Sequence[Rate]) -> list[SQLiteBucket]:
    """One bucket for the rates over any span, and one for those that start over at fixed times."""
    sliding = [_part(rate) for rate in rates if not rate.resets]
    resetting = [Count(max(1, int(rate.calls * SHARE)), round(rate.seconds * 1000)) for rate in rates if rate.resets]
    found = []
    for counts, table, algorithm in ((sliding, pool, None), (resetting, pool + RESETS, FixedWindow())):
        if counts:
            connection.execute(f"create table if not exists '{table}' (name varchar, item_timestamp integer)")
            connection.execute(f"create index if not exists 'of_{table}' on '{table}' (item_timestamp)")
            found.append(SQLiteBucket(counts, connection, table, algorithm=algorithm))
    return found


def _part(rate: Rate) -> Count:
    """A rate as it is counted: whole, or what a part of its window may take."""
    evenly = MINUTES[0] <= rate.seconds <= MINUTES[1] and rate.calls >= MANY and rate.calls % PARTS == 0
    parts = PARTS if evenly else 1
    return Count(rate.calls // parts, round(rate.seconds * 1000 / SHARE / parts))


def _put(bucket: SQLiteBucket, item: RateItem) -> float:
    """Count a call; the seconds to wait where it does not fit."""
    if bucket.put(item):
        return 0.0
    waiting = bucket.waiting(item)
    return max(waiting if isinstance(waiting, int) else 1, 1) / 1000
