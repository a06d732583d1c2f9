"""Counts the calls of one account in Redis, which machines share: `call -> now, or how long to wait`.

Each bucket of pyrate-limiter counts in one step; a lock around them makes one turn of several, and a turn that ends
with a wait takes back what it counted. A lock that ran out lets another in: counts may then be too high for a moment,
and are never too low.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple
from typing import Any

import redis
from pyrate_limiter import Rate as Count
from pyrate_limiter import RateItem, RedisBucket
from pyrate_limiter.abstracts.algorithm import LogAlgorithm
from redis.exceptions import LockError, RedisError

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.ratelimit.limiter import QuotaCall
from airflow_provider_segexport.ratelimit.store_base import AHEAD_S, BUSY_S, QuotaBook, apart, shown
from airflow_provider_segexport.ratelimit.windows import Priority, WindowState
from airflow_provider_segexport.vendors.base import Limits

TURN_S = 10.0
"""A turn takes milliseconds; who is stopped in one for so long holds nobody up any longer."""

LOOK_S = 0.005
"""So often a turn is asked for again while another has it."""

CONNECT_S = 10.0
STAMP = "_stamp"
"""The latest millisecond that a call was counted at: counts are of what lies before a call, not behind it."""

KEPT = 2
"""What no call touches for so many windows is forgotten by Redis itself."""


class QuotaRedis(QuotaBook):
    """One account's counts at a Redis server; where that keeps nothing on disk, its restart forgets them."""

    def __init__(self, url: str, name: str, limits: Limits, *, backfill: bool = False) -> None:
        super().__init__(limits, backfill=backfill)
        self._url = url
        self._name = f"segexport:{{{name}}}"  # in braces: one slot of a cluster
        self._client: Any = None
        self._ttl_s: dict[str, int] = {}
        self._stamp = 0

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._let_go()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._lock:
            try:
                client = self._client or self._open()
                lock = client.lock(
                    f"{self._name}:turn", TURN_S, sleep=LOOK_S, blocking_timeout=BUSY_S, thread_local=False
                )
                if not lock.acquire():
                    raise RetryableError(f"The count of calls at {shown(self._url)} was busy for {BUSY_S:.0f} s.")
                try:
                    yield
                finally:
                    with suppress(LockError):  # it ran out
                        lock.release()
            except RedisError as error:
                self._let_go()
                raise RetryableError(
                    f"The count of calls at {shown(self._url)} cannot be reached ({type(error).__name__})."
                ) from None

    def _let_go(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> Any:
        client = redis.Redis.from_url(self._url, socket_timeout=BUSY_S, socket_connect_timeout=CONNECT_S)
        before = time.time()
        seconds, micros = client.time()
        self._offset = apart(seconds + micros / 1e6, before, time.time())

        def bucket(counts: list[Count], table: str, algorithm: LogAlgorithm | None) -> RedisBucket:
            ttl_s = KEPT * counts[-1].interval // 1000 + int(AHEAD_S)
            self._ttl_s[table] = max(ttl_s, self._ttl_s.get(table, 0))
            made: RedisBucket = RedisBucket.init(counts, client, self._key(table), algorithm=algorithm)
            return made

        self._open_buckets(bucket)
        self._client = client
        return client

    def _key(self, table: str) -> str:
        return f"{self._name}:{table}"

    def _item(self, call: QuotaCall, now: float) -> RateItem:
        ours = int(now * 1000)
        ahead = self._stamp if self._stamp <= ours + AHEAD_S * 1000 else ours
        self._stamp = max(ours, ahead)
        return RateItem(call.mark, self._stamp)

    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        if item is None:
            return
        for table, _ in self._of(call, Priority()):
            if members := self._members(table, call.mark, item.timestamp, item.timestamp):
                self._client.zrem(self._key(table), *members)

    def _members(self, table: str, mark: str, first: int, last: int) -> list[bytes]:
        """What a bucket has called a call: its mark, and something of its own after a colon."""
        found = self._client.zrangebyscore(self._key(table), first, last)
        return [member for member in found if member.startswith(f"{mark}:".encode())]

    def _notes(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        *found, stamp = self._client.hmget(self._key("notes"), [*names, STAMP])
        self._stamp = int(stamp or 0)
        return {name: _fields(text) for name, text in zip(names, found, strict=True) if text}

    def _keep(self, notes: Mapping[str, WindowState]) -> None:
        texts = {name: json.dumps(astuple(note)) for name, note in notes.items()}
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hset(self._key("notes"), mapping={**texts, STAMP: self._stamp})
            pipe.expire(self._key("notes"), max(self._ttl_s.values(), default=int(AHEAD_S)) * KEPT)
            for table, ttl_s in self._ttl_s.items():
                pipe.expire(self._key(table), ttl_s)
            pipe.execute()

    def _move(self, table: str, call: QuotaCall, stamp: int) -> None:
        left = int((call.sent_at + self._offset) * 1000)
        for member in self._members(table, call.mark, left, left + int(AHEAD_S * 1000)):
            self._client.zadd(self._key(table), {member: stamp}, xx=True)
        self._notes(())
        self._stamp = max(self._stamp, stamp)
        self._keep({})

    def _forget_after(self, table: str, stamp: int) -> None:
        self._client.zremrangebyscore(self._key(table), f"({stamp}", "+inf")


def _fields(text: bytes) -> Sequence[Any]:
    """Return a note's fields; none where the text is no list."""
    try:
        fields = json.loads(text)
    except ValueError:
        return ()
    return fields if isinstance(fields, list) else ()
