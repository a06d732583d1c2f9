"""The book of an account's calls, whatever keeps it: `call -> now, or how long to wait`.

What a store brings is turns (one process at a time, all of a turn or nothing of it), buckets of pyrate-limiter, and a
place for a few notes.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from pyrate_limiter import AbstractBucket, FixedWindow, RateItem
from pyrate_limiter import Rate as Count
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.model import RemainingQuota
from airflow_provider_segexport.ratelimit.limiter import ALL, QuotaCall
from airflow_provider_segexport.ratelimit.windows import Priority, WindowState, resetting, slack_calls, sliding_buckets
from airflow_provider_segexport.vendors.base import Limits
from airflow_provider_segexport.vendors.delays import bounded

log = logging.getLogger(__name__)

RESETS = "_resets"
"""How the name of a table ends whose rates start over at fixed times; the others are called as their pool."""

SCHEDULED = "_scheduled"
"""The note that a scheduled run is at work, and until when that is believed."""

ANNOUNCED_S, AGAIN_S = 60.0, 10.0
BUSY_S = 30.0
SWEEP_S = 30.0
AHEAD_S = 60.0
"""Counts that lie further ahead are from a clock that has been set back since."""

CLOSE_S = 0.02
"""Clocks that are no further apart count as one. Redis tells the time at which it began to look at its clients."""


class QuotaBook(ABC):
    """One account's counts, by pools; opened when the first call is counted."""

    def __init__(self, limits: Limits, *, backfill: bool = False) -> None:
        self._rates = {ALL: limits.rates, **limits.scoped_rates}
        self._slack = {pool: spare for pool, rates in self._rates.items() if (spare := slack_calls(rates)) is not None}
        self._connections = limits.max_concurrency
        self._backfill = backfill
        self._ranks = (
            [Priority(), Priority(backfill=True), Priority(backfill=True, behind=True)] if backfill else [Priority()]
        )
        self._lock = Lock()
        self._buckets: dict[tuple[str, Priority], list[tuple[str, AbstractBucket]]] = {}
        self._swept = self._announced = float("-inf")
        self._offset = 0.0
        """What is added to this machine's time to have the store's, by which all machines count."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what was opened."""

    @abstractmethod
    def _turn(self) -> AbstractContextManager[None]:
        """One process and one thread at a time; what is below is called in a turn only."""

    @abstractmethod
    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        """Take back what was counted in this turn."""

    @abstractmethod
    def _notes(self, names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Return the stored fields of these names' notes, as they are; names without a note are left out."""

    @abstractmethod
    def _keep(self, notes: Mapping[str, WindowState]) -> None:
        """Replace notes."""

    @abstractmethod
    def _move(self, table: str, call: QuotaCall, stamp: int) -> None:
        """Count a call that stands in a table from another millisecond on."""

    @abstractmethod
    def _forget_after(self, table: str, stamp: int) -> None:
        """Forget what counts from after a millisecond."""

    def _known(self, names: Sequence[str], now: float) -> dict[str, WindowState]:
        """Return the notes of these names, one each."""
        stored = self._notes(names)
        return {name: WindowState.read(stored[name], now) if name in stored else WindowState() for name in names}

    def _item(self, call: QuotaCall, now: float) -> RateItem:
        """The call as buckets count it."""
        return RateItem(call.mark, int(now * 1000))

    def acquire(self, call: QuotaCall) -> float:
        """Count a call for all its pools and return 0; or count nothing and return the seconds until it may fit."""
        if not self._backfill and abs(call.sent_at - self._announced) >= AGAIN_S:
            with self._turn():
                self._keep({SCHEDULED: WindowState(until=call.sent_at + self._offset + ANNOUNCED_S)})
            self._announced = call.sent_at
        with self._turn():
            now = call.sent_at + self._offset
            due = abs(now - self._swept) > SWEEP_S
            if due:
                self._sweep(now)
            notes = self._known([*call.pools, SCHEDULED] if self._backfill else call.pools, now)
            behind = self._backfill and now < notes.pop(SCHEDULED).until <= now + ANNOUNCED_S + AHEAD_S
            rank = Priority(self._backfill, behind)
            wait = max(note.closed(now, rank) for note in notes.values())
            item = None
            if wait <= 0:
                item = self._item(call, now)
                wait = max((_put(bucket, item) for _, bucket in self._of(call, rank)), default=0.0)
            if wait > 0:
                self._undo(call, item)
                return wait
            after = {pool: note.after_call(now, self._connections) for pool, note in notes.items()}
            self._keep({pool: note for pool, note in after.items() if note != notes[pool]})
            self._swept = now if due else self._swept
        return 0.0

    def record_latency(self, call: QuotaCall, now: float, quickest: float) -> None:
        """Count a call that took long from when it may have reached the vendor, not from when it left.

        Our windows are longer than the vendor's. Half of that is for calls of one task, which take a little more or
        less; the other half for tasks that are not equally far from the vendor.
        """
        stamps = {pool: now - quickest - self._slack[pool] / 2 for pool in call.pools if pool in self._slack}
        late = {pool: stamp for pool, stamp in stamps.items() if stamp > call.sent_at}
        if not late:
            return
        with suppress(RetryableError), self._turn():
            for pool, stamp in late.items():
                self._move(pool, call, int((stamp + self._offset) * 1000))

    def record_remaining(self, pool: str, allowance: RemainingQuota, now: float) -> None:
        """Keep what the vendor says is left of a pool; nothing left closes it until then.

        A time that is longer away than any wait that is made is not kept: one wrong header would stop the account.
        """
        seconds = bounded(allowance.until - now)
        if seconds is None:
            log.warning("Ignoring a reset time that is not within a day (pool=%s)", pool)
            return
        allowance = RemainingQuota(allowance.calls, now + seconds, allowance.rate_scope)
        with suppress(RetryableError), self._turn():  # an answer is not lost for a count
            shared = RemainingQuota(allowance.calls, allowance.until + self._offset, allowance.rate_scope)
            note = self._known([pool], now + self._offset)[pool]
            self._keep({pool: note.record_remaining(shared, now + self._offset, self._connections)})

    def remaining(self, now: float) -> int | None:
        """Calls left of a span that starts over at fixed times, as a day does, or as the vendor told; None: no such."""
        with self._turn():
            now += self._offset
            self._sweep(now)
            tables = self._buckets.get((ALL, self._ranks[0]), ())
            resets = [bucket for table, bucket in tables if table.endswith(RESETS)]
            counts = [(min(rate.limit for rate in bucket.rates), bucket.count()) for bucket in resets]
            left = [max(0, most - used) for most, used in counts if isinstance(used, int)]
            note = self._known([ALL], now)[ALL]
        return min([*left, note.calls] if note.until > now else left, default=None)

    def _open_buckets(self, bucket: Callable[[list[Count], str, LogAlgorithm | None], AbstractBucket]) -> None:
        """One bucket a pool for the rates over any span, and one for those that start over at fixed times."""
        self._buckets = {
            (pool, rank): [
                (table, bucket(counts, table, algorithm))
                for counts, table, algorithm in (
                    (sliding_buckets(rates, rank), pool, None),
                    (resetting(rates, rank), pool + RESETS, FixedWindow()),
                )
                if counts
            ]
            for pool, rates in self._rates.items()
            for rank in self._ranks
        }

    def _of(self, call: QuotaCall, rank: Priority) -> Iterator[tuple[str, AbstractBucket]]:
        """The tables that a call counts in, each with its bucket."""
        for pool in call.pools:
            yield from self._buckets.get((pool, rank), ())

    def _sweep(self, now: float) -> None:
        """Forget calls that no window holds any more, and those that have not happened yet."""
        every = (table for (_, rank), tables in self._buckets.items() if rank == Priority() for table in tables)
        for table, bucket in every:
            bucket.leak(int(now * 1000) - 1)  # Redis's forgets what lies on the window's edge too
            self._forget_after(table, int((now + AHEAD_S) * 1000))


def _put(bucket: AbstractBucket, item: RateItem) -> float:
    """Count a call; the seconds to wait where it does not fit."""
    if bucket.put(item):
        return 0.0
    waiting = bucket.waiting(item)
    return max(waiting if isinstance(waiting, int) else 1, 1) / 1000


def apart(theirs: float, before: float, after: float) -> float:
    """How far a server's clock is ahead of this machine's, which was read before and after; 0 where that may be all."""
    found = theirs - (before + after) / 2
    return found if abs(found) > (after - before) / 2 + CLOSE_S else 0.0


def shown(url: str) -> str:
    """A store's address, without its credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
