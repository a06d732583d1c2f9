"""Counts the calls of one account in Redis, which several machines can share.

Each bucket of pyrate-limiter counts atomically. A lock combines the counts in several buckets into one transaction. A
transaction that ends with a wait removes its counts. If the lock expires, another process may count at the same time.
Counts may then be too high for a moment, but are never too low.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any

import redis
from pyrate_limiter import Rate as BucketRate
from pyrate_limiter import RateItem, RedisBucket
from pyrate_limiter.abstracts.algorithm import LogAlgorithm
from redis.exceptions import LockError, RedisError

from airflow_provider_segexport.ratelimit.server import ServerQuotaStore
from airflow_provider_segexport.ratelimit.store import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import LOCK_TIMEOUT_S, MAX_CLOCK_LEAD_S
from airflow_provider_segexport.ratelimit.windows import Priority, WindowState

LOCK_TTL_S = 10.0
"""Seconds until the lock of an unresponsive process expires. A transaction takes milliseconds."""

LOCK_RETRY_S = 0.005
"""Seconds between two attempts to get the lock."""

CONNECT_TIMEOUT_S = 10.0
"""Seconds to wait for a connection to the server."""

STATES_KEY = "window_states"
"""The Redis hash of window states."""

LAST_CALL_MS = "_last_call_ms"
"""The field of the hash `STATES_KEY` with the time of the latest counted call, in milliseconds. A bucket counts only
the calls before a new call, so times must not decrease."""

TTL_WINDOWS = 2
"""Redis deletes a key that no call has used for this many windows."""


class RedisQuotaStore(ServerQuotaStore):
    """Counts one account's calls on a Redis server. A restart of a server without persistence loses the counts."""

    _client: Any = None
    _last_call_ms = 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                client = self._client or self._open()
                lock = client.lock(
                    self._key("lock"),
                    LOCK_TTL_S,
                    sleep=LOCK_RETRY_S,
                    blocking_timeout=LOCK_TIMEOUT_S,
                    thread_local=False,
                )
                if not lock.acquire():
                    raise self._unreachable(f"was locked for {LOCK_TIMEOUT_S:.0f} s")
                try:
                    yield
                finally:
                    with suppress(LockError):  # it has expired
                        lock.release()
            except RedisError as error:
                self._disconnect()
                raise self._unreachable(f"cannot be reached ({type(error).__name__})") from None

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> Any:
        try:
            client = redis.Redis.from_url(
                self._url, socket_timeout=LOCK_TIMEOUT_S, socket_connect_timeout=CONNECT_TIMEOUT_S
            )
            client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
        except (ValueError, TypeError):  # an option that the client does not know
            raise self._unusable_url() from None
        self._ttl_s: dict[str, int] = {}

        def bucket(rates: list[BucketRate], table: str, algorithm: LogAlgorithm | None) -> RedisBucket:
            ttl_s = TTL_WINDOWS * rates[-1].interval // 1000 + int(MAX_CLOCK_LEAD_S)
            self._ttl_s[table] = max(ttl_s, self._ttl_s.get(table, 0))
            opened: RedisBucket = RedisBucket.init(rates, client, self._key(table), algorithm=algorithm)
            return opened

        self._open_buckets(bucket)
        self._client = client
        return client

    def _server_time(self) -> float:
        seconds, micros = self._client.time()
        return float(seconds + micros / 1e6)

    def _key(self, name: str) -> str:
        return f"segexport:{{{self._account}}}:{name}"  # braces keep the keys in one slot of a cluster

    def _bucket_item(self, call: QuotaCall, now: float) -> RateItem:
        now_ms = int(now * 1000)
        last_ms = self._last_call_ms if self._last_call_ms <= now_ms + MAX_CLOCK_LEAD_S * 1000 else now_ms
        self._last_call_ms = max(now_ms, last_ms)
        return RateItem(call.call_id, self._last_call_ms)

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        if item is None:
            return
        for table, _ in self._call_buckets(call, Priority()):
            if members := self._members(table, call.call_id, item.timestamp, item.timestamp):
                self._client.zrem(self._key(table), *members)

    def _members(self, table: str, call_id: str, first_ms: int, last_ms: int) -> list[bytes]:
        """Return a call's members in a bucket's sorted set: the call's id, a colon and the bucket's suffix."""
        members = self._client.zrangebyscore(self._key(table), first_ms, last_ms)
        return [member for member in members if member.startswith(f"{call_id}:".encode())]

    def _read_states(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        *texts, last_call_ms = self._client.hmget(self._key(STATES_KEY), [*names, LAST_CALL_MS])
        self._last_call_ms = int(last_call_ms or 0)
        return {name: _fields(text) for name, text in zip(names, texts, strict=True) if text}

    def _write_states(self, states: Mapping[str, WindowState]) -> None:
        texts = {name: json.dumps(astuple(state)) for name, state in states.items()}
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(self._key(STATES_KEY), mapping={**texts, LAST_CALL_MS: self._last_call_ms})
            longest_ttl_s = max(self._ttl_s.values(), default=int(MAX_CLOCK_LEAD_S))
            pipe.expire(self._key(STATES_KEY), longest_ttl_s * TTL_WINDOWS)
            for table, ttl_s in self._ttl_s.items():
                pipe.expire(self._key(table), ttl_s)
            pipe.execute()

    def _move_call(self, table: str, call_id: str, counted_ms: int, time_ms: int) -> None:
        for member in self._members(table, call_id, counted_ms, counted_ms):
            self._client.zadd(self._key(table), {member: time_ms}, xx=True)
        self._read_states(())
        self._last_call_ms = max(self._last_call_ms, time_ms)
        self._write_states({})

    def _delete_after(self, table: str, time_ms: int) -> None:
        self._client.zremrangebyscore(self._key(table), f"({time_ms}", "+inf")


def _fields(text: bytes) -> Sequence[Any]:
    """Return the fields of a stored window state; empty if the text is not a JSON list."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return fields if isinstance(fields, list) else ()
