"""Generates people who join, leave and change from day to day, and their segments with typical invalid values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
from chaos.run_records import Row

SCHEMA = pa.schema(
    [("email", pa.string()), ("name", pa.string()), ("consent", pa.bool_()), ("consented_at", pa.string())]
)
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
NO_MOMENTS = (None, "", "2030-01-01T12:00:00Z", "1970-01-01T12:00:00Z", "1767225600", "soon")
"""Moments of consent that are not valid proof."""


def address(person: int) -> str:
    return f"p{person}@example.com"


@dataclass(frozen=True)
class Day:
    """The segment as of one day."""

    number: int
    rows: Sequence[Row]

    @property
    def as_of(self) -> str:
        return (FIRST_DAY + timedelta(days=self.number)).isoformat()


class Population:
    """Generates days one after the other, each from the previous day.

    Args:
        rng: the source of all randomness.
        size: people who may ever be in the segment.
        dirty: some rows have no address, a bad one, or one that another row has.
        changes: the share of people whose name is another one the next day.
        proofs: where the moments of consent come from, so that all else is the same with them and without.
    """

    def __init__(
        self, rng: Random, size: int, *, dirty: bool = True, changes: float = 0.3, proofs: Random | None = None
    ) -> None:
        self._rng = rng
        self._proofs = proofs or Random(size)
        self._consented = {person: self._agrees(FIRST_DAY.timestamp()) for person in range(size)}
        self._dirty = dirty
        self._changes = changes
        self._versions = [0] * size
        self._unwilling: set[int] = set()
        self._in = {person for person in range(size) if rng.random() < 0.6}
        self.days: list[Day] = []

    def _agrees(self, now: float) -> str | None:
        """Return a moment of consent up to two years before `now`, in a random time zone; or an invalid moment."""
        rng = self._proofs
        if rng.random() < 0.2:
            return rng.choice(NO_MOMENTS)
        at = now - rng.choice((0, 1, 60, 40_000, 40_000_000)) * rng.random()
        zone = timezone(timedelta(hours=rng.choice((0, 2, -8))))
        return datetime.fromtimestamp(at, zone).isoformat(timespec="milliseconds")

    def next_day(self, now: float = FIRST_DAY.timestamp()) -> Day:
        """Generate the next day; some people consent again at this moment."""
        rng = self._rng
        for person in self._consented:
            if self.days and self._proofs.random() < 0.3:
                self._consented[person] = self._agrees(now)
        if self.days:
            for person in range(len(self._versions)):
                if person in self._in and rng.random() < 0.15:
                    self._in.discard(person)
                elif person not in self._in and rng.random() < 0.25:
                    self._in.add(person)
                if rng.random() < self._changes:
                    self._versions[person] = (self._versions[person] + rng.choice((1, 2))) % 3  # some go back
                if rng.random() < 0.05:
                    self._unwilling.add(person)
                elif rng.random() < 0.2:
                    self._unwilling.discard(person)
        day = Day(len(self.days), self._rows())
        self.days.append(day)
        return day

    def _rows(self) -> list[Row]:
        rng = self._rng
        people = sorted(self._in) or [0]
        rows = [
            Row(address(person), f"Nx{person}v{self._versions[person]}q", consented_at=self._consented[person])
            for person in people
        ]
        rng.shuffle(rows)
        if not self._dirty:
            return rows
        for at, row in enumerate(rows):
            if row.email in {address(person) for person in self._unwilling}:
                rows[at] = replace(row, consent=False, wrong=("withheld", "no_consent"))
        if rng.random() < 0.4:
            again = rng.choice([row for row in rows if row.consent] or rows)
            rows.append(Row(again.email, "Nxtwiceq", ("withheld", "duplicate")))
        if rng.random() < 0.4:
            rows.insert(rng.randrange(len(rows)), Row("not an address", "Nxbadq", ("rejected", "invalid_email")))
        if rng.random() < 0.3:
            rows.insert(rng.randrange(len(rows)), Row(None, "Nxnobodyq", ("rejected", "no_email")))
        if rng.random() < 0.4:
            at = next((index for index, row in enumerate(rows) if row.wrong is None), None)
            if at is not None:
                rows[at] = replace(rows[at], email=f" {(rows[at].email or '').upper()}")
        return rows


def write_segment(rows: Sequence[Row], home: Path, files: int = 1, names: Mapping[str, str] | None = None) -> str:
    """The rows as one Parquet file or several, with other names of columns where there are any; the path to them."""
    home.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // files)
    for number in range(files):
        part = rows[number * size : (number + 1) * size]
        columns = {name: [getattr(row, name) for row in part] for name in SCHEMA.names}
        table = pa.table(columns, schema=SCHEMA)
        table = table.rename_columns([(names or {}).get(name, name) for name in SCHEMA.names])
        pq.write_table(table, home / f"part-{number}.parquet")
    return str(home)
