"""The rules by which all stores count an account's calls.

A store supplies transactions, pyrate-limiter's buckets, and a table for the remaining quota that the vendor reports.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from threading import Lock
from typing import Any

from pyrate_limiter import AbstractBucket, FixedWindow, RateItem
from pyrate_limiter import Rate as BucketRate
from pyrate_limiter.abstracts.algorithm import LogAlgorithm

from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.model import RemainingQuota
from airflow_provider_segexport.ratelimit.clocks import Machine, StoreTime
from airflow_provider_segexport.ratelimit.store import ACCOUNT_SCOPE, QuotaCall
from airflow_provider_segexport.ratelimit.windows import (
    Priority,
    WindowState,
    fixed_rates,
    sliding_rates,
    window_margin_s,
)
from airflow_provider_segexport.vendors.base import Limits
from airflow_provider_segexport.vendors.delays import bounded

log = logging.getLogger(__name__)

FIXED_SUFFIX = "_fixed"
"""Suffix of a table's name whose windows reset at fixed times. Other tables have the name of their scope."""

SCHEDULED_RUN = "_scheduled"
"""Name of the window state whose `until` is the time until which a scheduled run counts as active."""

SCHEDULED_RUN_TTL_S = 60.0
"""Seconds for which a scheduled run counts as active after its announcement."""

ANNOUNCE_INTERVAL_S = 10.0
"""Seconds between two announcements of a scheduled run, also while it waits."""

LOCK_TIMEOUT_S = 30.0
"""Seconds to wait for another process's transaction, which takes milliseconds."""

CLEANUP_INTERVAL_S = 30.0
"""Seconds between two deletions of calls that are older than every window."""

MAX_CLOCK_LEAD_S = 60.0
"""Entries that are more seconds in the future are ignored, because they come from a clock that has been set back."""

MAX_CALLS_IN_TRANSIT = 10_000
"""Maximum calls whose time is stored until their response. One process has a few calls in transit."""


class BaseQuotaStore(ABC):
    """Counts the calls of one account by scope. The first counted call opens the store.

    Args:
        limits: the rates to count against.
        backfill: reserve calls for scheduled runs.
        machine: the machine whose clocks are read; None to use the times that callers pass, as in a test.
    """

    _day_lead_s = MAX_CLOCK_LEAD_S
    """Like `MAX_CLOCK_LEAD_S`, but for limits that reset at fixed times."""

    def __init__(self, limits: Limits, *, backfill: bool = False, machine: Machine | None = None) -> None:
        self._rates = {ACCOUNT_SCOPE: limits.rates, **limits.scoped_rates}
        margins = {scope: window_margin_s(rates) for scope, rates in self._rates.items()}
        self._margin_s = {scope: margin for scope, margin in margins.items() if margin is not None}
        self._max_concurrency = limits.max_concurrency
        self._backfill = backfill
        self._priorities = [Priority()]
        if backfill:
            self._priorities += [Priority(backfill=True), Priority(backfill=True, yielding=True)]
        self._lock = Lock()
        self._buckets: dict[tuple[str, Priority], list[tuple[str, AbstractBucket]]] = {}
        self._cleaned_at = self._announced_at = float("-inf")
        self._machine = machine
        self._counted_at: dict[str, float] = {}
        """The store's time when each call in transit was counted, by call id."""

    def close(self) -> None:
        """Close the file or connection."""
        with self._lock:
            self._disconnect()

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the file or connection, if it is open. The next call opens it again."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """Lock the account for one thread of one process. The methods below are called only inside this block."""

    @abstractmethod
    def _time(self, local: float) -> StoreTime:
        """Return the store's time. Called at the beginning of a transaction.

        Args:
            local: epoch seconds by the caller's clock.
        """

    def _keep_time(self, moment: StoreTime) -> None:  # noqa: B027 - a server keeps its own time
        """Store the time of a transaction that has counted a call."""

    @abstractmethod
    def _undo(self, call: QuotaCall, item: RateItem | None) -> None:
        """Remove the counts of this transaction."""

    @abstractmethod
    def _read_states(self, names: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        """Return the stored, unchecked fields of window states, by name. Names without a state are left out."""

    @abstractmethod
    def _write_states(self, states: Mapping[str, WindowState]) -> None:
        """Insert or replace window states."""

    @abstractmethod
    def _move_call(self, table: str, call_id: str, counted_ms: int, time_ms: int) -> None:
        """Change the time at which a counted call is recorded in a table.

        Args:
            table: the table of a scope's sliding windows.
            call_id: id of the call.
            counted_ms: the recorded time in milliseconds.
            time_ms: the new time in milliseconds.
        """

    @abstractmethod
    def _delete_after(self, table: str, time_ms: int) -> None:
        """Delete the calls that are recorded after a time in milliseconds."""

    def _states(self, names: Sequence[str], now: float) -> dict[str, WindowState]:
        """Return the window state of each name; an empty state if none is stored."""
        stored = self._read_states(names)
        return {name: WindowState.read(stored[name], now) if name in stored else WindowState() for name in names}

    def _bucket_item(self, call: QuotaCall, now: float) -> RateItem:
        """Return the item that pyrate-limiter's buckets of sliding windows count for the call."""
        return _item(call, now)

    def acquire(self, call: QuotaCall) -> float:
        """Count a call against all its scopes and return 0, or count nothing and return the seconds to wait."""
        if not self._backfill and abs(call.sent_at - self._announced_at) >= ANNOUNCE_INTERVAL_S:
            with self._transaction():
                active_until = self._time(call.sent_at).now + SCHEDULED_RUN_TTL_S
                self._write_states({SCHEDULED_RUN: WindowState(until=active_until)})
            self._announced_at = call.sent_at
        with self._transaction():
            moment = self._time(call.sent_at)
            now = moment.now
            is_cleanup_due = abs(now - self._cleaned_at) > CLEANUP_INTERVAL_S
            if is_cleanup_due:
                self._delete_expired(moment)
            states = self._states([*call.scopes, SCHEDULED_RUN] if self._backfill else call.scopes, now)
            yielding = (
                self._backfill and now < states.pop(SCHEDULED_RUN).until <= now + SCHEDULED_RUN_TTL_S + MAX_CLOCK_LEAD_S
            )
            priority = Priority(self._backfill, yielding)
            wait_s = max(state.closed_for_s(now, priority) for state in states.values())
            item = None
            if wait_s <= 0:
                item = self._bucket_item(call, now)
                items = {False: item, True: item if moment.day_now == now else _item(call, moment.day_now)}
                buckets = self._call_buckets(call, priority)
                waits = (_put(bucket, items[table.endswith(FIXED_SUFFIX)]) for table, bucket in buckets)
                wait_s = max(waits, default=0.0)
            if wait_s > 0:
                self._undo(call, item)
                return wait_s
            after = {scope: state.after_call(now, self._max_concurrency) for scope, state in states.items()}
            if changed := {scope: state for scope, state in after.items() if state != states[scope]}:
                self._write_states(changed)
            self._keep_time(moment)
            self._cleaned_at = now if is_cleanup_due else self._cleaned_at
        if item is not None:
            if len(self._counted_at) >= MAX_CALLS_IN_TRANSIT:
                self._counted_at.clear()
            self._counted_at[call.call_id] = item.timestamp / 1000
        return 0.0

    def record_latency(self, call: QuotaCall, now: float, min_latency_s: float) -> None:
        """Move a slow call's count from the time when it was sent to the time when it may have reached the vendor.

        The counted windows are longer than the vendor's. Half of that margin absorbs the variation of latency within
        one task. The other half absorbs the difference of latency between tasks.

        Args:
            call: a call that `acquire` of this store has counted.
            now: epoch seconds when its response arrived, or when the caller stopped waiting, by the clock of `sent_at`.
            min_latency_s: minimum latency of all calls in seconds.
        """
        counted_at = self._counted_at.pop(call.call_id, None)
        latency_s = now - call.sent_at - min_latency_s
        late = {scope: latency_s - self._margin_s[scope] / 2 for scope in call.scopes if scope in self._margin_s}
        late = {scope: seconds for scope, seconds in late.items() if seconds > 0}
        if counted_at is None or not late:
            return
        with suppress(RetryableError), self._transaction():
            for scope, seconds in late.items():
                self._move_call(scope, call.call_id, round(counted_at * 1000), int((counted_at + seconds) * 1000))

    def record_remaining(self, scope: str, reported: RemainingQuota, now: float) -> None:
        """Store the remaining quota that the vendor reports.

        A time that is more than a day away is not stored, because one wrong header could otherwise stop the account.

        Args:
            scope: the rate scope that the report is about.
            reported: the calls left until a time. With 0 calls left, the scope is closed until then.
            now: epoch seconds.
        """
        seconds = bounded(reported.until - now)
        if seconds is None:
            log.warning("Ignoring a reset time that is not within a day (scope=%s)", scope)
            return
        with suppress(RetryableError), self._transaction():  # a locked store must not lose the response
            now = self._time(now).now
            reported = RemainingQuota(reported.calls, now + seconds, reported.rate_scope)
            state = self._states([scope], now)[scope]
            self._write_states({scope: state.after_report(reported, now, self._max_concurrency)})

    def remaining(self, now: float) -> int | None:
        """Return the remaining calls by the daily limit and the vendor's report; None if the account has neither."""
        with self._transaction():
            moment = self._time(now)
            now = moment.now
            self._delete_expired(moment)
            tables = self._buckets.get((ACCOUNT_SCOPE, self._priorities[0]), ())
            fixed = [bucket for table, bucket in tables if table.endswith(FIXED_SUFFIX)]
            counts = [(min(rate.limit for rate in bucket.rates), bucket.count()) for bucket in fixed]
            left = [max(0, limit - used) for limit, used in counts if isinstance(used, int)]
            state = self._states([ACCOUNT_SCOPE], now)[ACCOUNT_SCOPE]
        return min([*left, state.calls] if state.until > now else left, default=None)

    def _open_buckets(self, bucket: Callable[[list[BucketRate], str, LogAlgorithm | None], AbstractBucket]) -> None:
        """Open one bucket for each scope's sliding rates and one for its fixed rates, for each priority.

        Args:
            bucket: creates a bucket from rates, a table name, and the algorithm (None: sliding).
        """
        self._buckets = {
            (scope, priority): [
                (table, bucket(counted, table, algorithm))
                for counted, table, algorithm in (
                    (sliding_rates(rates, priority), scope, None),
                    (fixed_rates(rates, priority), scope + FIXED_SUFFIX, FixedWindow()),
                )
                if counted
            ]
            for scope, rates in self._rates.items()
            for priority in self._priorities
        }

    def _call_buckets(self, call: QuotaCall, priority: Priority) -> Iterator[tuple[str, AbstractBucket]]:
        """Yield each table that a call is counted in, with its bucket."""
        for scope in call.scopes:
            yield from self._buckets.get((scope, priority), ())

    def _delete_expired(self, moment: StoreTime) -> None:
        """Delete calls that are older than every window, and calls in the future."""
        for (_, priority), tables in self._buckets.items():
            if priority != Priority():  # all priorities of a scope count in the same tables
                continue
            for table, bucket in tables:
                is_fixed = table.endswith(FIXED_SUFFIX)
                now, lead_s = (moment.day_now, self._day_lead_s) if is_fixed else (moment.now, MAX_CLOCK_LEAD_S)
                bucket.leak(int(now * 1000) - 1)  # Redis's bucket also deletes calls on the window's edge
                self._delete_after(table, int((now + lead_s) * 1000))


def _item(call: QuotaCall, now: float) -> RateItem:
    """Return the item that a bucket counts for a call."""
    return RateItem(call.call_id, int(now * 1000))


def _put(bucket: AbstractBucket, item: RateItem) -> float:
    """Count a call and return 0, or return the seconds to wait if it does not fit."""
    if bucket.put(item):
        return 0.0
    waiting_ms = bucket.waiting(item)
    return max(waiting_ms if isinstance(waiting_ms, int) else 1, 1) / 1000
