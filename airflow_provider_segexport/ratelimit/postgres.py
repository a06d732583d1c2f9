"""Counts the calls of one account in PostgreSQL, which machines share: `call -> now, or how long to wait`.

The counting is pyrate-limiter's, a table for each pool; the transaction around it is ours, and begins with a lock that
only calls of this account wait for.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any

import psycopg
from psycopg import sql
from pyrate_limiter import PostgresBucket, RateItem
from pyrate_limiter import Rate as Count
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.ratelimit.limiter import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import BUSY_S, QuotaBook, apart, shown
from airflow_provider_segexport.ratelimit.windows import Priority, WindowState
from airflow_provider_segexport.vendors.base import Limits

CONNECT_S = 10

TURN = """select set_config('timezone', 'UTC', true), set_config('synchronous_commit', 'off', true),
    set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)"""
"""pyrate-limiter keeps times without a zone: all sessions must have one. No disk is waited for: a server that crashes
loses less than a second of counts. Said in each transaction, as a pooler between may hand it to another session."""

NOTES = """create table if not exists segexport_notes (account text, pool text,
    calls bigint not null, until double precision not null, since bigint not null, most bigint not null,
    primary key (account, pool))"""

KEEP = """insert into segexport_notes values (%s, %s, %s, %s, %s, %s) on conflict (account, pool) do update set
    calls = excluded.calls, until = excluded.until, since = excluded.since, most = excluded.most"""


def _number(text: str) -> int:
    """A number of PostgreSQL's advisory locks, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _short(name: str, table: str) -> str:
    """PostgreSQL cuts names off at 63 characters, and two accounts must not end in one table."""
    return f"segexport_{hashlib.blake2b(f'{name}/{table}'.encode(), digest_size=10).hexdigest()}"


def table_of(name: str, table: str) -> str:
    """The table of an account's pool, as pyrate-limiter calls it."""
    return f"ratelimit___{_short(name, table)}"


class _Turn:
    """What a bucket takes for a pool of connections: the one connection, in the middle of a turn."""

    closed = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """The turn ends the transaction, not the bucket."""
        yield self._connection


class QuotaPostgres(QuotaBook):
    """One account's counts at a PostgreSQL server, by a role that may create tables."""

    def __init__(self, url: str, name: str, limits: Limits, *, backfill: bool = False) -> None:
        super().__init__(limits, backfill=backfill)
        self._url = re.sub(r"^[^:]+", "postgresql", url)  # `postgresql+psycopg2://` is how SQLAlchemy writes it
        self._name = name
        self._connection: Any = None

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._let_go()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            try:
                try:
                    self._begin()
                except psycopg.OperationalError:  # a connection that was idle for long may be gone
                    self._let_go()
                    self._begin()
                try:
                    yield
                except BaseException:
                    with suppress(psycopg.Error):
                        self._connection.rollback()
                    raise
                self._connection.commit()
            except psycopg.Error as error:
                self._let_go()
                raise RetryableError(
                    f"The count of calls at {shown(self._url)} cannot be reached ({type(error).__name__})."
                ) from None

    def _begin(self) -> None:
        if self._connection is None:
            self._connection = self._open()
        self._lock_account(self._connection)

    def _lock_account(self, connection: Any) -> None:
        connection.execute(TURN, [f"{BUSY_S:.0f}s", _number(self._name)])

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> Any:
        # No statement is prepared on the server: a pooler between may not know it the next time.
        connection: Any = psycopg.connect(self._url, connect_timeout=CONNECT_S, prepare_threshold=None)
        try:
            before = time.time()
            now = connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()[0]
            self._offset = apart(now, before, time.time())
            connection.commit()
            self._lock_account(connection)
            connection.execute("select pg_advisory_xact_lock(%s)", [_number("segexport_notes")])
            connection.execute(NOTES)

            def bucket(counts: list[Count], table: str, algorithm: LogAlgorithm | None) -> PostgresBucket:
                turn: Any = _Turn(connection)
                return PostgresBucket(turn, _short(self._name, table), counts, algorithm=algorithm)

            self._open_buckets(bucket)
            connection.commit()
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _known_as(self, table: str) -> sql.Identifier:
        return sql.Identifier(table_of(self._name, table))

    def _item(self, call: QuotaCall, now: float) -> RateItem:
        """Before the buckets count: they do not wait for a table, and a vacuum may have it."""
        tables = [self._known_as(table) for table, _ in self._of(call, Priority())]
        if tables:
            self._connection.execute(
                sql.SQL("lock table {} in exclusive mode").format(sql.SQL(", ").join(tables)),
            )
        return super()._item(call, now)

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        del call, item
        self._connection.rollback()

    def _notes(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        found = self._connection.execute(
            "select pool, calls, until, since, most from segexport_notes where account = %s and pool = any(%s)",
            [self._name, list(names)],
        )
        return {name: fields for name, *fields in found}

    def _keep(self, notes: Mapping[str, WindowState]) -> None:
        for name, note in notes.items():
            self._connection.execute(KEEP, [self._name, name, *astuple(note)])

    def _move(self, table: str, call: QuotaCall, stamp: int) -> None:
        self._connection.execute(
            sql.SQL("update {} set item_timestamp = to_timestamp(%s) where name = %s").format(self._known_as(table)),
            [stamp / 1000, call.mark],
        )

    def _forget_after(self, table: str, stamp: int) -> None:
        self._connection.execute(
            sql.SQL("delete from {} where item_timestamp > to_timestamp(%s)").format(self._known_as(table)),
            [stamp / 1000],
        )
