"""Where one task instance keeps its plan, journal, verdicts and report; it survives retries.

    <root>/runs/<dag>/<task>/<run>/<map index>/<nn>/
        upserts.arrow  aside.parquet  plan.json     the frozen plan
        journal.jsonl                               what happened to each batch
        settled/<batch>.parquet                     verdicts by row, where there are any
        removals/                                   the same of the leavers: removals.arrow, journal, settled
        rejects.parquet  summary.json               the report

A folder with a finished summary is never written again: a task that is cleared after success starts in the next one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.model import Batch, Kind, Settled, Target
from airflow_provider_segexport.ports.columns import integers, texts
from airflow_provider_segexport.ports.journal import Entry, Journal, State
from airflow_provider_segexport.ports.places import Place, names, sweep, write
from airflow_provider_segexport.ports.sealing import read_json, verify, write_json
from airflow_provider_segexport.ports.tables import ArrowReader, Stored, Values, write_parquet
from airflow_provider_segexport.segment import BEHIND, Planned
from airflow_provider_segexport.vendor_field import VendorField

SETTLED = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("reason", pa.string()),
        ("code", pa.string()),
        ("words", pa.string()),
        ("contact_id", pa.string()),
    ]
)

MOST_CHARS = 150

PLAN_FILES = (
    "upserts.arrow",
    "aside.parquet",
    "returners.parquet",
    "holds.parquet",
    "bars.parquet",
    "existing.parquet",
    "leavers_aside.parquet",
    "removals/removals.arrow",
)
"""Files of a plan, where it has them."""

NAMED = ".named"
"""Verdicts that came later, by reading the audience back."""


def safe(name: str) -> str:
    """A text as one folder name: a run id holds colons and plus signs, a tag may hold anything.

    Two texts never become one name: what was changed carries a mark of what it was.
    """
    kept = re.sub(r"[^A-Za-z0-9_.@=-]+", "_", name).strip(".")[:MOST_CHARS]
    if kept == name and name:
        return name
    return f"{kept}~{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def _listed(stored: Stored) -> memoryview:
    """All items with commas between them."""
    return stored.stretch("item")[: -len(BEHIND)]


def _taken(values: Sequence[Any], indexes: Sequence[int], made: Callable[[list[Any]], pa.Array]) -> pa.Array:
    """Some of a batch's rows or addresses as a column: as they lie in the plan, or made of a part's own."""
    return values.taken(indexes) if isinstance(values, Values) else made([values[index] for index in indexes])


def target_of(facts: Mapping[str, Any]) -> Target:
    """The target as a plan keeps it."""
    fields = {
        name: VendorField(**{**kept, "options": tuple(kept.get("options", ()))})
        for name, kept in facts["fields"].items()
    }
    return Target(**{**facts, "fields": fields, "notes": tuple(facts["notes"])})


class RunFolder:
    """One generation of one task instance's run."""

    def __init__(self, place: Place, kind: Kind = Kind.UPSERT) -> None:
        self.place = place
        self.kind = kind
        self.journal = Journal(place)

    @cached_property
    def removals(self) -> RunFolder:
        """The part of it that holds the leavers."""
        return RunFolder(self.place / "removals", Kind.REMOVE)

    @property
    def rows(self) -> Place:
        """Where the planned rows are: a record batch is a batch."""
        return self.place / ("upserts.arrow" if self.kind is Kind.UPSERT else "removals.arrow")

    @classmethod
    def open(cls, home: Place) -> RunFolder:
        """The generation that is not finished, or the next one."""
        last = cls.newest(home)
        if last is not None and not last.finished():
            sweep(last.place)
            return last
        return cls(home / f"{int(last.place.name) + 1 if last is not None else 1:02d}")

    @classmethod
    def newest(cls, home: Place) -> RunFolder | None:
        """The last generation, finished or not; None where there is none."""
        generations = [name for name in names(home) if name.isdecimal()]
        return cls(home / max(generations, key=int)) if generations else None

    def finished(self) -> bool:
        """Whether the run in it came to its end, or was given up for a new plan."""
        summary = self.summary()
        return summary is not None and bool(summary.get("finished") or summary.get("superseded"))

    def summary(self) -> dict[str, Any] | None:
        """The report, if one is written."""
        return self._json("summary.json")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Replace the report."""
        write_json(self.place / "summary.json", summary, indent=2)

    def plan(self) -> tuple[Planned, dict[str, Any]] | None:
        """The frozen plan and the facts it was made of, if there is one.

        Raises:
            DamagedState: it has changed since, or is gone: a journal is begun after it.
        """
        found = self._json("plan.json")
        if found is None:
            if self.journal.begun() or self.removals.journal.begun():
                raise DamagedState(str(self.place / "plan.json"), "it is gone")
            return None
        planned = found.pop("planned")
        planned |= {name: tuple(planned[name]) for name in ("batches", "removals")}
        return Planned(**planned), found

    def frozen(self) -> bool:
        """Whether there is a plan that the run carries out."""
        return (self.place / "plan.json").exists()

    def freeze(self, planned: Planned, facts: dict[str, Any]) -> None:
        """From here on this plan is what the run does."""
        kept = [name for name in PLAN_FILES if (self.place / name).exists()]
        write_json(self.place / "plan.json", {**facts, "kept": kept, "planned": asdict(planned)})

    def verify(self) -> None:
        """Pass if all that an earlier process wrote for a frozen plan is as it was written.

        Raises:
            DamagedState: a file is not, or is gone.
        """
        for name in (self._json("plan.json") or {}).get("kept", ()):
            verify(self.place / name)
        for part in (*self.parts(), *self.removals.parts()):
            verify(part)

    def upserts(self, columns: Sequence[str] | None = None) -> ArrowReader:
        """The planned rows, with all columns or some; a record batch is a batch."""
        return ArrowReader(self.rows, columns)

    def batch(self, rows: ArrowReader, number: int, name: str) -> Batch:
        """One planned batch with its content. The reader may be closed when it is read again."""
        stored = Stored(partial(rows.batch, number), ("item",), ("row", "email"))
        numbers, emails = Values(stored, "row"), Values(stored, "email")
        if self.kind is not Kind.UPSERT:
            return Batch(name, numbers, emails, Values(stored, "item"), kind=self.kind, let_go=stored.let_go)
        items, joined = Values(stored, "item", without=BEHIND), partial(_listed, stored)
        return Batch(name, numbers, emails, items, joined=joined, let_go=stored.let_go)

    def add_refusals(self, batch: Batch, entry: Entry, more: Settled) -> None:
        """Take rows of a settled batch out of the accepted ones: the vendor had only counted them."""
        named = len(more.refused)
        self.write_part(batch, more, NAMED)
        self.journal.write(
            [
                replace(
                    entry,
                    accepted=entry.accepted - named,
                    refused=entry.refused + named,
                    unnamed=0,
                    unnamed_reason="",
                    named=named,
                )
            ]
        )

    def returners(self) -> frozenset[int]:
        """Rows of people whom the ledger says we took out."""
        place = self.place / "returners.parquet"
        if not place.exists():
            return frozenset()
        with place.open("rb") as file:
            return frozenset(pq.read_table(file).column("row").to_pylist())

    def refused_rows(self, batch: Batch) -> set[int]:
        """Rows of the batch that have been refused by name."""
        place = self._settled / f"{batch.name}.parquet"
        if not place.exists():
            return set()
        with place.open("rb") as file:
            found = pq.read_table(file, columns=["row", "reason"])
        return {row for row, reason in zip(*(found.column(i).to_pylist() for i in (0, 1)), strict=True) if reason}

    def reasons(self) -> Counter[str]:
        """Count the refused rows by their reasons."""
        counts: Counter[str] = Counter()
        for place in self.parts():
            with place.open("rb") as file:
                counts.update(pq.read_table(file, columns=["reason"]).column(0).drop_null().to_pylist())
        return counts

    def write_part(self, batch: Batch, settled: Settled, suffix: str = "") -> bool:
        """Keep the verdicts of a batch that speak of single rows; False when there are none."""
        refused, named = settled.refused, settled.contact_ids
        if not refused and not named:
            return False
        indexes = [*(one.index for one in refused), *named]
        rest = [None] * len(named)
        table = pa.table(
            {
                "row": _taken(batch.rows, indexes, integers),
                "email": _taken(batch.emails, indexes, texts),
                "reason": texts([*(one.reason for one in refused), *rest]),
                "code": texts([*(one.code for one in refused), *rest]),
                "words": texts([*(one.words for one in refused), *rest]),
                "contact_id": texts([*(None for _ in refused), *named.values()]),
            },
            schema=SETTLED,
        )
        write_parquet(self._settled / f"{batch.name}{suffix}.parquet", table.to_batches(), SETTLED)
        return True

    def drop_bodies(self) -> None:
        """Remove the planned rows and the verdicts of a run that has ended well; plan, journal and reports stay."""
        for name in PLAN_FILES:
            (self.place / name).unlink(missing_ok=True)
        for part in (self, self.removals):
            for verdict in names(part.place / "settled"):
                (part.place / "settled" / verdict).unlink(missing_ok=True)

    def note_kill(self) -> tuple[int, int]:
        """Write down what is in flight: calls without an answer and jobs without an end; returns how many of each."""
        states = {**self.journal.states(), **self.removals.journal.states()}
        calls = [name for name, entry in states.items() if entry.state is State.SENDING]
        jobs = {name: entry.ticket for name, entry in states.items() if entry.state is State.SUBMITTED}
        write(self.place / "killed.json", json.dumps({"calls": calls, "jobs": jobs}, indent=2).encode())
        return len(calls), len(jobs)

    def parts(self, without: Container[str] = ()) -> list[Place]:
        """The verdict files that count: those whose batch the journal calls settled, and is not among these."""
        states = {name: entry for name, entry in self.journal.states().items() if name not in without}
        files = [name for name, entry in states.items() if entry.part]
        files += [name + NAMED for name, entry in states.items() if entry.named]
        return [self._settled / f"{name}.parquet" for name in sorted(files)]

    @property
    def _settled(self) -> Place:
        return self.place / "settled"

    def _json(self, name: str) -> dict[str, Any] | None:
        place = self.place / name
        if not place.exists():
            return None
        return read_json(place, bare=name != "plan.json")
