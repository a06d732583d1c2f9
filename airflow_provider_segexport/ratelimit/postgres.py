"""Counts the calls of one account in PostgreSQL, which several machines can share.

pyrate-limiter counts the calls in one table for each scope. This module runs it inside a transaction that begins with
an advisory lock on the account.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any

import psycopg
from psycopg import sql
from pyrate_limiter import PostgresBucket, RateItem
from pyrate_limiter import Rate as BucketRate
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.ratelimit.server import ServerQuotaStore
from airflow_provider_segexport.ratelimit.store import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import LOCK_TIMEOUT_S
from airflow_provider_segexport.ratelimit.windows import Priority, WindowState

CONNECT_TIMEOUT_S = 10
"""Seconds to wait for a connection to the server."""

LOCK_ACCOUNT = """select set_config('timezone', 'UTC', true), set_config('synchronous_commit', 'off', true),
    set_config('lock_timeout', %s, true), pg_advisory_xact_lock(%s)"""
"""Locks the account and configures the transaction. A pooler may run each transaction in another session, so each
transaction needs the settings. The time zone is UTC, because pyrate-limiter stores times without a zone. The commit
does not wait for the disk, so a crash of the server loses less than a second of counts."""

STATES_TABLE = "segexport_window_states"

CREATE_STATES = f"""create table if not exists {STATES_TABLE} (account text, scope text,
    calls bigint not null, until double precision not null, calls_since bigint not null, limit_seen bigint not null,
    primary key (account, scope))"""

UPSERT_STATE = f"""insert into {STATES_TABLE} values (%s, %s, %s, %s, %s, %s)
    on conflict (account, scope) do update set calls = excluded.calls, until = excluded.until,
    calls_since = excluded.calls_since, limit_seen = excluded.limit_seen"""


def _lock_number(text: str) -> int:
    """Return the key of an advisory lock for a text. It is identical in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _short_name(account: str, table: str) -> str:
    """Return a name within PostgreSQL's limit of 63 characters. Longer names are truncated and could collide."""
    return f"segexport_{hashlib.blake2b(f'{account}/{table}'.encode(), digest_size=10).hexdigest()}"


def bucket_table(account: str, table: str) -> str:
    """Return the name that pyrate-limiter gives the table of an account's scope."""
    return f"ratelimit___{_short_name(account, table)}"


class _ConnectionPool:
    """Looks like a connection pool to a bucket, but yields the connection of the running transaction."""

    closed = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield the connection without a commit, because `PostgresQuotaStore._transaction` commits."""
        yield self._connection


class PostgresQuotaStore(ServerQuotaStore):
    """Counts one account's calls on a PostgreSQL server. The URL's role must be allowed to create tables."""

    _connection: Any = None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                try:
                    self._begin()
                except psycopg.OperationalError:  # the server may have closed an idle connection
                    self._disconnect()
                    self._begin()
                try:
                    yield
                except BaseException:
                    with suppress(psycopg.Error):
                        self._connection.rollback()
                    raise
                self._connection.commit()
            except psycopg.Error as error:
                self._disconnect()
                raise self._unreachable(f"cannot be reached ({type(error).__name__})") from None

    def _begin(self) -> None:
        if self._connection is None:
            self._connection = self._open()
        self._lock_account(self._connection)

    def _lock_account(self, connection: Any) -> None:
        connection.execute(LOCK_ACCOUNT, [f"{LOCK_TIMEOUT_S:.0f}s", _lock_number(self._account)])

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> Any:
        url = re.sub(r"^[^:]+", "postgresql", self._url)  # SQLAlchemy writes `postgresql+psycopg2://`
        try:
            # Prepare no statements on the server, because a pooler may use another session for the next transaction.
            connection: Any = psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, prepare_threshold=None)
        except psycopg.ProgrammingError:
            raise self._unusable_url() from None
        try:
            self._lock_account(connection)
            connection.execute("select pg_advisory_xact_lock(%s)", [_lock_number(STATES_TABLE)])
            connection.execute(CREATE_STATES)

            def bucket(rates: list[BucketRate], table: str, algorithm: LogAlgorithm | None) -> PostgresBucket:
                pool: Any = _ConnectionPool(connection)
                return PostgresBucket(pool, _short_name(self._account, table), rates, algorithm=algorithm)

            self._open_buckets(bucket)
            connection.commit()
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def _server_time(self) -> float:
        row = self._connection.execute("select extract(epoch from clock_timestamp())::float8").fetchone()
        return float(row[0])

    def _table(self, table: str) -> sql.Identifier:
        return sql.Identifier(bucket_table(self._account, table))

    def _bucket_item(self, call: QuotaCall, now: float) -> RateItem:
        """Lock the tables before the buckets count, because a bucket fails if a vacuum holds its table."""
        tables = [self._table(table) for table, _ in self._call_buckets(call, Priority())]
        if tables:
            self._connection.execute(
                sql.SQL("lock table {} in exclusive mode").format(sql.SQL(", ").join(tables)),
            )
        return super()._bucket_item(call, now)

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        del call, item
        self._connection.rollback()

    def _read_states(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        rows = self._connection.execute(
            f"select scope, calls, until, calls_since, limit_seen from {STATES_TABLE} "
            "where account = %s and scope = any(%s)",
            [self._account, list(names)],
        )
        return {name: fields for name, *fields in rows}

    def _write_states(self, states: Mapping[str, WindowState]) -> None:
        for name, state in states.items():
            self._connection.execute(UPSERT_STATE, [self._account, name, *astuple(state)])

    def _move_call(self, table: str, call_id: str, counted_ms: int, time_ms: int) -> None:
        del counted_ms
        self._connection.execute(
            sql.SQL("update {} set item_timestamp = to_timestamp(%s) where name = %s").format(self._table(table)),
            [time_ms / 1000, call_id],
        )

    def _delete_after(self, table: str, time_ms: int) -> None:
        self._connection.execute(
            sql.SQL("delete from {} where item_timestamp > to_timestamp(%s)").format(self._table(table)),
            [time_ms / 1000],
        )
