"""Computes the people of the example on a given day, and the events of each person until then.

Every value is computed from seed, person and day alone. So nothing is stored, day 900 takes as long as day 1, and the
same day always gives the same result.

- The population keeps its size. Each day 0.1 % join and as many leave permanently.
- In every cycle of 85 days each person has one event on a random day: about 1.2 % of the people a day. A source
  misses one event in seven, so about 1 % of its records change from one day to the next.
- An event is an order, a move, a change of the newsletter consent, a new surname or a new phone number.
- Seven of ten customers stop ordering at some time (they lapse).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from unification.seeded_random import SeededRandom

if TYPE_CHECKING:
    import numpy.typing as npt

    from unification.seeded_random import Ints

EPOCH = date(2020, 1, 1)
TURNOVER_DAYS = 1000  # days after which the whole population has been replaced
CYCLE_DAYS = 85  # each person has one event in this time
FIRST_ID = 10_000_000  # ids stay positive however long before the epoch a person joined
LAPSING_SHARE = 0.7  # share of customers who stop ordering
LAPSES_WITHIN_DAYS = 900  # days after joining within which they stop
SEEN_SHARE = 0.86  # share of the events that each source records

SOURCES = ("crm", "shop", "newsletter")
CRM, SHOP, NEWSLETTER = 1, 2, 4
# Shares of people by the sources that have a record of them: 30 % are in more than one source.
SOURCE_MASK_SHARES = (
    (CRM, 0.21),
    (SHOP, 0.33),
    (NEWSLETTER, 0.16),
    (CRM | SHOP, 0.12),
    (CRM | NEWSLETTER, 0.04),
    (SHOP | NEWSLETTER, 0.06),
    (CRM | SHOP | NEWSLETTER, 0.08),
)

# The repeating sequence of events: Order, Move, Consent, Rename, Phone. People who are only in a source that cannot
# hold a kind of event (a newsletter list has no orders) have no such events.
EVENTS = {SHOP: "OOCOMOROCP", CRM: "MCPMRMCPCM", NEWSLETTER: "CCCCRCCCCC"}
PERIOD = 10  # length of each sequence


@dataclass(frozen=True)
class Population:
    """The people at the beginning of a day.

    Attributes:
        seed: seed of the random numbers.
        size: number of people.
        day: the day, after `EPOCH`.
    """

    seed: int
    size: int
    day: date

    def __post_init__(self) -> None:
        """Raise ValueError for values outside the formulas' range."""
        if self.day <= EPOCH:
            raise ValueError(f"The example has no data for {self.day}. To fix: choose a day after {EPOCH}.")
        if self.size < 1:
            raise ValueError(f"The population cannot have {self.size} people. To fix: set at least 1.")

    @property
    def random(self) -> SeededRandom:
        """Random numbers of this seed."""
        return SeededRandom(self.seed)

    @property
    def last_day(self) -> int:
        """The last complete day, as a number of days since the epoch."""
        return (self.day - EPOCH).days - 1

    def member_ids(self) -> Ints:
        """Return the ids of the people who have joined and not left."""
        departures = (self.last_day + 1) * self.size // TURNOVER_DAYS
        return np.arange(departures, departures + self.size, dtype=np.int64) + FIRST_ID

    def joined(self, ids: Ints) -> Ints:
        """Return the day on which each person joined."""
        departures = ids - FIRST_ID - self.size + 1
        return -(-departures * TURNOVER_DAYS // self.size) - 1  # rounded up: the first day with that many departures

    def source_mask(self, ids: Ints) -> Ints:
        """Return the sources that have a record of each person, as a sum of CRM, SHOP and NEWSLETTER."""
        codes = np.array([code for code, _ in SOURCE_MASK_SHARES])
        return codes[self.choice_by_share(ids, "sources", [share for _, share in SOURCE_MASK_SHARES])]

    def choice_by_share(self, ids: Ints, purpose: str, shares: list[float]) -> Ints:
        """Return a random position in ``shares`` for each person, weighted by the shares.

        Args:
            ids: ids of people.
            purpose: name of the draw; the same name gives the same result.
            shares: weight of each position.
        """
        ends = np.cumsum(np.array(shares) / sum(shares))[:-1]
        return np.searchsorted(ends, self.random.share(ids, purpose), side="right").astype(np.int64)


@dataclass(frozen=True)
class EventHistory:
    """Events of some people. Events are numbered from 1; event n happens in cycle n - 1."""

    population: Population
    ids: Ints

    def event_count(self, until: Ints | int) -> Ints:
        """Return the number of events until the end of a day."""
        cycle, day = np.divmod(np.broadcast_to(np.asarray(until, dtype=np.int64), self.ids.shape), CYCLE_DAYS)
        events: Ints = cycle + (self._day_in_cycle(cycle) <= day)
        return events

    def day_of(self, event: Ints) -> Ints:
        """Return the day of an event, or the day of joining if that is later."""
        day = (event - 1) * CYCLE_DAYS + self._day_in_cycle(event - 1)
        days: Ints = np.maximum(day, self.population.joined(self.ids))
        return days

    def last_event_seen(self, source: str) -> Ints:
        """Return the number of the last event that a source has recorded; it may have missed the last one or two."""
        last = self.event_count(self.population.last_day)
        random = self.population.random
        saw_last = random.share(self.ids, f"{source} hears", last) < SEEN_SHARE
        saw_previous = random.share(self.ids, f"{source} hears", last - 1) < SEEN_SHARE
        return last - np.where(saw_last, 0, np.where(saw_previous, 1, 2))

    def count(self, kind: str, until: Ints) -> Ints:
        """Return how many events of a kind happened up to an event. Only differences of these counts have a meaning."""
        counts = np.array([[row[:k].count(kind) for k in range(PERIOD)] for row in EVENTS.values()])
        totals = np.array([row.count(kind) for row in EVENTS.values()])
        rounds, position = np.divmod(until + self._phase() + 1, PERIOD)
        row = self._row()
        events: Ints = rounds * totals[row] + counts[row, position]
        return events

    def last(self, kind: str, until: Ints) -> Ints:
        """Return the last event of a kind up to an event; the given event if the person has no events of the kind."""
        position = (until + self._phase()) % PERIOD
        event: Ints = until - _steps_back(kind)[self._row(), position]
        return event

    def ordering_until(self) -> Ints:
        """Return the last day on which each person orders, at most the last complete day."""
        random, ids = self.population.random, self.ids
        stays = random.share(ids, "lapses") >= LAPSING_SHARE
        end = self.population.joined(ids) + random.below(ids, "lapses on", LAPSES_WITHIN_DAYS)
        return np.where(stays, self.population.last_day, np.minimum(end, self.population.last_day))

    def _day_in_cycle(self, cycle: Ints) -> Ints:
        """Return the day of the event in a cycle, from 0."""
        return self.population.random.below(self.ids, "event day", CYCLE_DAYS, cycle)

    def _phase(self) -> Ints:
        """Return each person's position in the sequence of events at the start."""
        return self.population.random.below(self.ids, "phase", PERIOD)

    def _row(self) -> Ints:
        """Return the position of each person's sequence in `EVENTS`."""
        mask = self.population.source_mask(self.ids)
        return np.where(mask & SHOP, 0, np.where(mask & CRM, 1, 2))


def _steps_back(kind: str) -> npt.NDArray[np.int64]:
    """Return how many events ago the last event of a kind was, by sequence and position in it."""
    return np.array(
        [
            [next((k for k in range(PERIOD) if events[position - k] == kind), 0) for position in range(PERIOD)]
            for events in EVENTS.values()
        ]
    )
