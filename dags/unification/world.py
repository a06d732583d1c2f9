"""(seed, size, day) -> who exists on that day, and what has happened to each of them until then.

Nothing is replayed and nothing is stored: every answer is a closed formula of seed, person and day, so
day 900 costs what day 1 costs and comes out the same every time.

- The population keeps its size. Each day 0.1 % join and as many leave for good.
- In every cycle of 85 days each person has one event, on a day of their own: about 1.2 % a day. A source
  misses one event in seven, so about 1 % of what the sources hold changes from one day to the next.
- An event is an order, a move, a changed mind about the newsletter, a new surname or a new phone.
- Seven of ten customers stop ordering at some time: they lapse.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from unification.draws import Draws

if TYPE_CHECKING:
    import numpy.typing as npt

    from unification.draws import Ints

EPOCH = date(2020, 1, 1)
TURNOVER_DAYS = 1000  # in so many days the whole population has been replaced
CYCLE_DAYS = 85
FIRST_ID = 10_000_000  # ids stay positive however long before the epoch a person joined
LAPSING_SHARE = 0.7
LAPSES_WITHIN_DAYS = 900
SEEN_SHARE = 0.86  # of the events, in each source

SOURCES = ("crm", "shop", "newsletter")
CRM, SHOP, NEWSLETTER = 1, 2, 4
# Which sources know a person, and for what share of the persons: 30 % are known to more than one.
KNOWN_TO = (
    (CRM, 0.21),
    (SHOP, 0.33),
    (NEWSLETTER, 0.16),
    (CRM | SHOP, 0.12),
    (CRM | NEWSLETTER, 0.04),
    (SHOP | NEWSLETTER, 0.06),
    (CRM | SHOP | NEWSLETTER, 0.08),
)

# The order in which events come round: Order, Move, Consent, Rename, Phone. Where a source cannot hold a
# kind of event (a newsletter list knows no orders), people known there alone have none.
EVENTS = {SHOP: "OOCOMOROCP", CRM: "MCPMRMCPCM", NEWSLETTER: "CCCCRCCCCC"}
PERIOD = 10


@dataclass(frozen=True)
class World:
    """``size`` persons, as they stand when ``day`` begins."""

    seed: int
    size: int
    day: date

    def __post_init__(self) -> None:
        """Refuse what the formulas were not made for."""
        if self.day <= EPOCH:
            raise ValueError(f"the example world begins after {EPOCH}; {self.day} is before that")
        if self.size < 1:
            raise ValueError(f"a world has at least one person, not {self.size}")

    @property
    def draws(self) -> Draws:
        """Chance, for this seed."""
        return Draws(self.seed)

    @property
    def last_day(self) -> int:
        """The last day that is over, counted from the epoch."""
        return (self.day - EPOCH).days - 1

    def population(self) -> Ints:
        """Everyone who has joined and not left."""
        gone = (self.last_day + 1) * self.size // TURNOVER_DAYS
        return np.arange(gone, gone + self.size, dtype=np.int64) + FIRST_ID

    def joined(self, ids: Ints) -> Ints:
        """The day each person joined."""
        places_freed = ids - FIRST_ID - self.size + 1
        return -(-places_freed * TURNOVER_DAYS // self.size) - 1  # rounded up: the first day with that many

    def known_to(self, ids: Ints) -> Ints:
        """Which sources know each person, as a sum of CRM, SHOP and NEWSLETTER."""
        codes = np.array([code for code, _ in KNOWN_TO])
        return codes[self.draws_by_share(ids, "sources", [share for _, share in KNOWN_TO])]

    def draws_by_share(self, ids: Ints, purpose: str, shares: list[float]) -> Ints:
        """A position in ``shares`` for each person; each comes up as often as its share says."""
        ends = np.cumsum(np.array(shares) / sum(shares))[:-1]
        return np.searchsorted(ends, self.draws.share(ids, purpose), side="right").astype(np.int64)


@dataclass(frozen=True)
class Histories:
    """What happened to some of a world's people. Events are numbered; number w happens in cycle w - 1."""

    world: World
    ids: Ints

    def happened(self, until: Ints | int) -> Ints:
        """The number of the last event up to and with a day."""
        cycle, day = np.divmod(np.broadcast_to(np.asarray(until, dtype=np.int64), self.ids.shape), CYCLE_DAYS)
        events: Ints = cycle + (self._day_in_cycle(cycle) <= day)
        return events

    def day_of(self, event: Ints) -> Ints:
        """The day on which an event happened, or the day of joining if that came later."""
        day = (event - 1) * CYCLE_DAYS + self._day_in_cycle(event - 1)
        days: Ints = np.maximum(day, self.world.joined(self.ids))
        return days

    def seen_by(self, source: str) -> Ints:
        """The number of the last event that a source has heard of; one or two may have passed it by."""
        last = self.happened(self.world.last_day)
        draws = self.world.draws
        hears = draws.share(self.ids, f"{source} hears", last) < SEEN_SHARE
        heard = draws.share(self.ids, f"{source} hears", last - 1) < SEEN_SHARE
        return last - np.where(hears, 0, np.where(heard, 1, 2))

    def count(self, kind: str, until: Ints) -> Ints:
        """How many events of a kind there were up to an event, from an arbitrary start."""
        counts = np.array([[row[:k].count(kind) for k in range(PERIOD)] for row in EVENTS.values()])
        totals = np.array([row.count(kind) for row in EVENTS.values()])
        rounds, place = np.divmod(until + self._phase() + 1, PERIOD)
        row = self._row()
        events: Ints = rounds * totals[row] + counts[row, place]
        return events

    def last(self, kind: str, until: Ints) -> Ints:
        """The last event of a kind up to an event; that event itself for a life that has none."""
        place = (until + self._phase()) % PERIOD
        event: Ints = until - _steps_back(kind)[self._row(), place]
        return event

    def ordering_until(self) -> Ints:
        """The last day on which each person orders, where that is not yet to come."""
        draws, ids = self.world.draws, self.ids
        stays = draws.share(ids, "lapses") >= LAPSING_SHARE
        end = self.world.joined(ids) + draws.below(ids, "lapses on", LAPSES_WITHIN_DAYS)
        return np.where(stays, self.world.last_day, np.minimum(end, self.world.last_day))

    def _day_in_cycle(self, cycle: Ints) -> Ints:
        return self.world.draws.below(self.ids, "event day", CYCLE_DAYS, cycle)

    def _phase(self) -> Ints:
        return self.world.draws.below(self.ids, "phase", PERIOD)

    def _row(self) -> Ints:
        known = self.world.known_to(self.ids)
        return np.where(known & SHOP, 0, np.where(known & CRM, 1, 2))


def _steps_back(kind: str) -> npt.NDArray[np.int64]:
    """For each life and each place in it, how many events lie between that place and the kind's last one."""
    return np.array(
        [
            [next((k for k in range(PERIOD) if life[place - k] == kind), 0) for place in range(PERIOD)]
            for life in EVENTS.values()
        ]
    )
