"""How calls are counted, whatever the store: `published rates -> what a bucket may hold`.

The counting itself is pyrate-limiter's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyrate_limiter import Rate as Count

from airflow_provider_segexport.model import Rate, RemainingQuota
from airflow_provider_segexport.vendors.delays import bounded

SHARE = 0.97
"""What we use of a quota. A window of ours is longer than the vendor's by the rest, because calls that leave a minute
apart may arrive closer together."""

PARTS, MANY, MINUTES = 4, 40, (30, 300)
"""A window of so many seconds that takes many calls is used in parts: not all in its first seconds, after which every
other program that uses the account would find it shut for the rest of it, and nobody waits for long."""

COUNTED = 250
"""A part takes no more calls, for all of them are counted anew for each."""

SPARE = 0.2
"""A backfill leaves so much of every longer window: who comes later in the day finds some of the day's calls."""

BEHIND = 0.5
"""While a scheduled run is at work, a backfill's calls go out only as long as less than this of a window is used."""

MOST_CALLS = 1_000_000_000
"""The largest number of calls that is kept; a header may name more than a store's column can hold."""

MOST_UNSEEN = 4
"""How many tasks' calls are taken to be on their way at most."""


@dataclass(frozen=True, slots=True)
class Priority:
    """Whose calls are counted: a backfill's leave room, and more of it while a scheduled run is at work."""

    backfill: bool = False
    behind: bool = False

    def of(self, calls: int, seconds: float) -> int:
        """What it may use of so many calls."""
        if seconds > MINUTES[1]:
            return max(1, int(calls * (1 - SPARE))) if self.backfill else calls
        return max(1, int(calls * BEHIND)) if self.behind else calls


@dataclass(frozen=True, slots=True)
class WindowState:
    """What the vendor says of a pool.

    Attributes:
        calls: left until `until`, less what went out since it was said.
        calls_since: calls that went out since that moment passed, as far as they matter.
        limit_seen: what was left when the vendor first spoke of this window.
    """

    calls: int = 0
    until: float = 0.0
    calls_since: int = 0
    limit_seen: int = 0

    @classmethod
    def read(cls, values: Sequence[Any], now: float) -> WindowState:
        """Return a stored note, or an empty one in place of what an earlier version stored and no vendor can mean.

        Args:
            values: the fields as the store has them.
            now: epoch seconds; a note that holds for more than `delays.LONGEST_S` from now is not believed.
        """
        try:
            calls, until, since, most = values
            note = cls(int(calls), float(until), int(since), int(most))
        except (TypeError, ValueError, OverflowError):
            return cls()
        believed = math.isfinite(note.until) and bounded(max(0.0, note.until - now)) is not None
        return note if believed else cls()

    def closed(self, now: float, rank: Priority) -> float:
        """Seconds until the vendor opens the pool again; 0 while it is open."""
        kept = self.limit_seen - rank.of(self.limit_seen, 0) if self.limit_seen > 1 else 0
        return self.until - now if self.calls <= kept and self.until > now else 0.0

    def after_call(self, now: float, connections: int) -> WindowState:
        """One call less; unchanged, and not to be written, where the vendor has said nothing for many calls."""
        if self.until > now:
            return replace(self, calls=self.calls - 1)
        return replace(self, calls_since=min(self.calls_since, MOST_UNSEEN * connections) + 1)

    def record_remaining(self, allowance: RemainingQuota, now: float, connections: int) -> WindowState:
        """Within its window the least that was told holds, less what went out since.

        The first answer of a window does not know of the calls that are still on their way.
        """
        left, calls, until, most = min(allowance.calls, MOST_CALLS), self.calls, self.until, self.limit_seen
        if until <= now:
            unseen = self.calls_since - 1 if self.calls_since else connections - 1
            calls, until, most = left - min(unseen, MOST_UNSEEN * connections), allowance.until, left
        elif left <= 0:
            until = allowance.until if calls > 0 else max(until, allowance.until)
        return WindowState(max(0, min(calls, left)), until, 0, most)


def sliding_buckets(rates: Sequence[Rate], rank: Priority) -> list[Count]:
    """The rates over any span, in windows longer than the vendor's."""
    return _ordered([_part(rate, rank) for rate in rates if not rate.fixed_window])


def resetting(rates: Sequence[Rate], rank: Priority) -> list[Count]:
    """The rates that start over at fixed times."""
    return _ordered(
        [
            Count(max(1, rank.of(int(rate.calls * SHARE), rate.seconds)), round(rate.seconds * 1000))
            for rate in rates
            if rate.fixed_window
        ]
    )


def slack_calls(rates: Sequence[Rate]) -> float | None:
    """By so many seconds every window of ours is longer than the vendor's; None where none slides."""
    spans = [rate.seconds for rate in rates if not rate.fixed_window]
    return min(spans) * (1 / SHARE - 1) if spans else None


def _part(rate: Rate, rank: Priority) -> Count:
    """A rate as it is counted: whole, or what a part of its window may take."""
    parts = 1
    if MINUTES[0] <= rate.seconds <= MINUTES[1] and rate.calls >= MANY:
        many = PARTS * math.ceil(rate.calls / PARTS / COUNTED)
        parts = many if rate.calls % PARTS == 0 or many > PARTS else 1
    return Count(rank.of(rate.calls // parts, rate.seconds), math.ceil(rate.seconds * 1000 / SHARE / parts))


def _ordered(counts: list[Count]) -> list[Count]:
    """As pyrate-limiter wants them: a longer window takes more calls than a shorter one, at no higher rate.

    Roundings may break that order: of two counts the stricter one stays, and a longer one is made as strict.
    """
    kept: list[Count] = []
    for count in sorted(counts, key=lambda one: one.interval):
        while kept and kept[-1].limit >= count.limit:
            kept.pop()
        if kept:
            last = kept[-1]
            most = min(count.limit, last.limit * count.interval // last.interval)
            if most <= last.limit:  # hardly longer, and it takes no more
                kept.pop()
            kept.append(Count(most, count.interval))
        else:
            kept.append(count)
    return kept
