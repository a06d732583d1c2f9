"""Converts a vendor's published rates to the windows that every store counts.

pyrate-limiter counts the calls of each window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyrate_limiter import Rate as BucketRate

from airflow_provider_segexport.model import Rate, RemainingQuota
from airflow_provider_segexport.vendors.delays import bounded

QUOTA_UTILISATION = 0.97
"""The share of a rate limit that is used. A sliding window is 3 % longer than the vendor's, because calls that are sent
a minute apart may arrive closer together."""

SPLIT_SECONDS = (30, 300)
"""Windows from 30 to 300 seconds are split into parts. If all their calls were sent in the first seconds, other
programs that use the account would be locked out for the rest of the window."""

SPLIT_PARTS = 4
"""Parts of a split window: a per-minute limit is spent in quarters, so no program waits longer than 15 seconds."""

MIN_SPLIT_CALLS = 40
"""Windows with fewer calls are not split, because a quarter would allow fewer than ten calls."""

MAX_PART_CALLS = 250
"""Maximum calls in one part, because pyrate-limiter counts all calls of a window again for each call."""

BACKFILL_RESERVE = 0.2
"""The share of each window longer than `SPLIT_SECONDS`, such as a day, that a backfill reserves for later runs."""

BACKFILL_MAX_SHARE = 0.5
"""While a scheduled run is active, a backfill sends only if less than this share of a window is used."""

MAX_STORED_CALLS = 1_000_000_000
"""The largest remaining quota that is stored, because a number in a header may not fit a store's column."""

MAX_UNSEEN_TASKS = 4
"""At the beginning of a window, calls of at most this many tasks are assumed to be in transit."""


@dataclass(frozen=True, slots=True)
class Priority:
    """The part of a window that a run may use.

    Attributes:
        backfill: the run leaves `BACKFILL_RESERVE` of long windows to other runs.
        yielding: a scheduled run is active, so the run uses no more than `BACKFILL_MAX_SHARE` of short windows.
    """

    backfill: bool = False
    yielding: bool = False

    def usable(self, calls: int, seconds: float) -> int:
        """Return how many of a window's calls may be used, at least 1.

        Args:
            calls: the window's limit of calls.
            seconds: the window's length in seconds.
        """
        if seconds > SPLIT_SECONDS[1]:
            return max(1, int(calls * (1 - BACKFILL_RESERVE))) if self.backfill else calls
        return max(1, int(calls * BACKFILL_MAX_SHARE)) if self.yielding else calls


@dataclass(frozen=True, slots=True)
class WindowState:
    """The remaining quota that the vendor reported for a scope.

    Attributes:
        calls: calls left until `until`: the reported number minus the calls sent since the report.
        until: epoch seconds at which the vendor's window ends; 0 without a report.
        calls_since: calls sent since `until` passed, up to one more than can be in transit.
        limit_seen: calls left in the first report of this window.
    """

    calls: int = 0
    until: float = 0.0
    calls_since: int = 0
    limit_seen: int = 0

    @classmethod
    def read(cls, values: Sequence[Any], now: float) -> WindowState:
        """Return a stored state, or an empty one if the stored values cannot be a vendor's report.

        Args:
            values: the fields as the store returns them.
            now: epoch seconds. A state that is valid for more than `delays.MAX_WAIT_S` from now is ignored.
        """
        try:
            calls, until, calls_since, limit_seen = values
            state = cls(int(calls), float(until), int(calls_since), int(limit_seen))
        except (TypeError, ValueError, OverflowError):
            return cls()
        plausible = math.isfinite(state.until) and bounded(max(0.0, state.until - now)) is not None
        return state if plausible else cls()

    def closed_for_s(self, now: float, priority: Priority) -> float:
        """Return the seconds until the vendor opens the scope again; 0 while it is open."""
        reserved = self.limit_seen - priority.usable(self.limit_seen, 0) if self.limit_seen > 1 else 0
        return self.until - now if self.calls <= reserved and self.until > now else 0.0

    def after_call(self, now: float, max_concurrency: int) -> WindowState:
        """Return the state after one more call.

        Without a report, the state stops changing after as many calls as can be in transit, so it need not be stored.
        """
        if self.until > now:
            return replace(self, calls=self.calls - 1)
        return replace(self, calls_since=min(self.calls_since, MAX_UNSEEN_TASKS * max_concurrency) + 1)

    def after_report(self, reported: RemainingQuota, now: float, max_concurrency: int) -> WindowState:
        """Return the state after the vendor has reported its remaining quota.

        Within a window, the smallest report minus the calls sent since then applies. The first report of a window does
        not include calls that are still in transit, so they are subtracted.

        Args:
            reported: the calls left until a time.
            now: epoch seconds.
            max_concurrency: maximum calls of one task in transit.
        """
        left, calls, until, limit_seen = min(reported.calls, MAX_STORED_CALLS), self.calls, self.until, self.limit_seen
        if until <= now:
            in_transit = self.calls_since - 1 if self.calls_since else max_concurrency - 1
            calls = left - min(in_transit, MAX_UNSEEN_TASKS * max_concurrency)
            until, limit_seen = reported.until, left
        elif left <= 0:
            until = reported.until if calls > 0 else max(until, reported.until)
        return WindowState(max(0, min(calls, left)), until, 0, limit_seen)


def sliding_rates(rates: Sequence[Rate], priority: Priority) -> list[BucketRate]:
    """Return the sliding rates to count, with windows longer than the vendor's."""
    return _ordered([_sliding_rate(rate, priority) for rate in rates if not rate.fixed_window])


def fixed_rates(rates: Sequence[Rate], priority: Priority) -> list[BucketRate]:
    """Return the rates to count whose windows reset at fixed times."""
    return _ordered(
        [
            BucketRate(
                max(1, priority.usable(int(rate.calls * QUOTA_UTILISATION), rate.seconds)), round(rate.seconds * 1000)
            )
            for rate in rates
            if rate.fixed_window
        ]
    )


def window_margin_s(rates: Sequence[Rate]) -> float | None:
    """Return the seconds by which each counted sliding window exceeds the vendor's; None if no rate is sliding."""
    spans = [rate.seconds for rate in rates if not rate.fixed_window]
    return min(spans) * (1 / QUOTA_UTILISATION - 1) if spans else None


def _sliding_rate(rate: Rate, priority: Priority) -> BucketRate:
    """Return a sliding rate to count: for the entire window, or for one part of it."""
    parts = 1
    if SPLIT_SECONDS[0] <= rate.seconds <= SPLIT_SECONDS[1] and rate.calls >= MIN_SPLIT_CALLS:
        needed = SPLIT_PARTS * math.ceil(rate.calls / SPLIT_PARTS / MAX_PART_CALLS)
        parts = needed if rate.calls % SPLIT_PARTS == 0 or needed > SPLIT_PARTS else 1
    interval_ms = math.ceil(rate.seconds * 1000 / QUOTA_UTILISATION / parts)
    return BucketRate(priority.usable(rate.calls // parts, rate.seconds), interval_ms)


def _ordered(rates: list[BucketRate]) -> list[BucketRate]:
    """Return the rates in the order that pyrate-limiter requires: longer windows allow more calls, at no higher rate.

    Rounding may violate that order. The stricter of two rates is then kept, and a longer window becomes as strict.
    """
    ordered: list[BucketRate] = []
    for rate in sorted(rates, key=lambda rate: rate.interval):
        while ordered and ordered[-1].limit >= rate.limit:
            ordered.pop()
        if not ordered:
            ordered.append(rate)
            continue
        shorter = ordered[-1]
        limit = min(rate.limit, shorter.limit * rate.interval // shorter.interval)
        if limit <= shorter.limit:  # the window is hardly longer, and allows no more calls
            ordered.pop()
        ordered.append(BucketRate(limit, rate.interval))
    return ordered
