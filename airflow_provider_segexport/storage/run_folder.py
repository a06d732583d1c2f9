"""Where one task instance keeps its plan, journal, verdicts and report; it survives retries.

    <root>/runs/<dag>/<task>/<run>/<map index>/<nn>/
        upserts.arrow  not_sent.parquet  plan.json     the frozen plan
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
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import ValidationError, convert
from msgspec.structs import replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.model import Batch, BatchKind, BatchResult
from airflow_provider_segexport.storage.arrow import int_array, string_array
from airflow_provider_segexport.storage.files import ArrowReader, LazyBatch, LazyColumn, write_parquet
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.paths import StoragePath, list_names, remove_stale_temp_files, write
from airflow_provider_segexport.storage.plan import BEHIND, Plan, PlanFacts
from airflow_provider_segexport.storage.sealing import read_json, verify, write_json

SETTLED = pa.schema(
    [
        ("row", pa.int64()),
        ("email", pa.string()),
        ("reason", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("contact_id", pa.string()),
    ]
)

MOST_CHARS = 150

PLAN_FILES = (
    "upserts.arrow",
    "not_sent.parquet",
    "returning.parquet",
    "sharers.parquet",
    "bars.parquet",
    "existing.parquet",
    "leavers_not_sent.parquet",
    "removals/removals.arrow",
)
"""Files of a plan, where it has them."""

NAMED = ".named"
"""Verdicts that came later, by reading the audience back."""


def safe_name(name: str) -> str:
    """A text as one folder name: a run id holds colons and plus signs, a tag may hold anything.

    Two texts never become one name: what was changed carries a mark of what it was.
    """
    kept = re.sub(r"[^A-Za-z0-9_.@=-]+", "_", name).strip(".")[:MOST_CHARS]
    if kept == name and name:
        return name
    return f"{kept}~{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def task_folder(root: StoragePath, parts: Iterable[str]) -> StoragePath:
    """Return the folder of a task instance's run folders.

    Args:
        root: folder of all run folders.
        parts: DAG, task, run and map index; each becomes one folder's name, whatever it contains.
    """
    path = root
    for part in parts:
        path /= safe_name(part)
    return path


def _listed(stored: LazyBatch) -> memoryview:
    """All items with commas between them."""
    return stored.raw_bytes("item")[: -len(BEHIND)]


def _taken(values: Sequence[Any], indexes: Sequence[int], made: Callable[[list[Any]], pa.Array]) -> pa.Array:
    """Some of a batch's rows or addresses as a column: as they lie in the plan, or made of a part's own."""
    return values.take(indexes) if isinstance(values, LazyColumn) else made([values[index] for index in indexes])


class RunFolder:
    """One generation of one task instance's run."""

    def __init__(self, path: StoragePath, kind: BatchKind = BatchKind.UPSERT) -> None:
        self.path = path
        self.kind = kind
        self.journal = Journal(path)

    @cached_property
    def removals(self) -> RunFolder:
        """The part of it that holds the leavers."""
        return RunFolder(self.path / "removals", BatchKind.REMOVE)

    @property
    def rows(self) -> StoragePath:
        """Where the planned rows are: a record batch is a batch."""
        return self.path / ("upserts.arrow" if self.kind is BatchKind.UPSERT else "removals.arrow")

    @classmethod
    def open(cls, home: StoragePath) -> RunFolder:
        """The generation that is not finished, or the next one."""
        last = cls.latest(home)
        if last is not None and not last.finished():
            remove_stale_temp_files(last.path)
            return last
        return cls(home / f"{int(last.path.name) + 1 if last is not None else 1:02d}")

    @classmethod
    def latest(cls, home: StoragePath) -> RunFolder | None:
        """The last generation, finished or not; None where there is none."""
        generations = [name for name in list_names(home) if name.isdecimal()]
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
        write_json(self.path / "summary.json", summary, indent=2)

    def plan(self) -> tuple[Plan, PlanFacts] | None:
        """Return the frozen plan and the facts it was made from; None if there is no plan.

        Raises:
            DamagedState: it has changed since it was written, or is gone although a journal was begun after it.
        """
        content = self._json("plan.json")
        if content is None:
            if self.journal.begun() or self.removals.journal.begun():
                raise DamagedState(str(self.path / "plan.json"), "it is gone")
            return None
        try:
            return convert(content.get("planned"), Plan), convert(content.get("facts"), PlanFacts)
        except ValidationError:
            raise DamagedState(str(self.path / "plan.json"), "another version wrote it") from None

    def has_plan(self) -> bool:
        """Whether there is a plan that the run carries out."""
        return (self.path / "plan.json").exists()

    def write_plan(self, planned: Plan, facts: PlanFacts) -> None:
        """Freeze the plan: from here on the run carries it out."""
        files = [name for name in PLAN_FILES if (self.path / name).exists()]
        write_json(self.path / "plan.json", {"planned": asdict(planned), "facts": asdict(facts), "plan_files": files})

    def verify(self) -> None:
        """Pass if all that an earlier process wrote for a frozen plan is as it was written.

        Raises:
            DamagedState: a file is not, or is gone.
        """
        for name in (self._json("plan.json") or {}).get("plan_files", ()):
            verify(self.path / name)
        for part in (*self.result_files(), *self.removals.result_files()):
            verify(part)

    def upserts(self, columns: Sequence[str] | None = None) -> ArrowReader:
        """The planned rows, with all columns or some; a record batch is a batch."""
        return ArrowReader(self.rows, columns)

    def batch(self, rows: ArrowReader, number: int, name: str) -> Batch:
        """One planned batch with its content. The reader may be closed when it is read again."""
        stored = LazyBatch(partial(rows.batch, number), ("item",), ("row", "email"))
        numbers, emails = LazyColumn(stored, "row"), LazyColumn(stored, "email")
        if self.kind is not BatchKind.UPSERT:
            return Batch(name, numbers, emails, LazyColumn(stored, "item"), kind=self.kind, release=stored.release)
        items, joined = LazyColumn(stored, "item", without=BEHIND), partial(_listed, stored)
        return Batch(name, numbers, emails, items, joined_items=joined, release=stored.release)

    def add_rejections(self, batch: Batch, entry: Entry, more: BatchResult) -> None:
        """Take rows of a settled batch out of the accepted ones: the vendor had only counted them."""
        named = len(more.rejected)
        self.write_results(batch, more, NAMED)
        self.journal.write(
            [
                replace(
                    entry,
                    accepted=entry.accepted - named,
                    rejected=entry.rejected + named,
                    unattributed=0,
                    unattributed_reason="",
                    attributed=named,
                )
            ]
        )

    def returning(self) -> frozenset[int]:
        """Rows of people whom the ledger says we took out."""
        place = self.path / "returning.parquet"
        if not place.exists():
            return frozenset()
        with place.open("rb") as file:
            return frozenset(pq.read_table(file).column("row").to_pylist())

    def rejected_rows(self, batch: Batch) -> set[int]:
        """Rows of the batch that have been refused by name."""
        place = self._settled / f"{batch.id}.parquet"
        if not place.exists():
            return set()
        with place.open("rb") as file:
            found = pq.read_table(file, columns=["row", "reason"])
        return {row for row, reason in zip(*(found.column(i).to_pylist() for i in (0, 1)), strict=True) if reason}

    def reasons(self) -> Counter[str]:
        """Count the refused rows by their reasons."""
        counts: Counter[str] = Counter()
        for place in self.result_files():
            with place.open("rb") as file:
                counts.update(pq.read_table(file, columns=["reason"]).column(0).drop_null().to_pylist())
        return counts

    def write_results(self, batch: Batch, settled: BatchResult, suffix: str = "") -> bool:
        """Keep the verdicts of a batch that speak of single rows; False when there are none."""
        refused, named = settled.rejected, settled.contact_ids
        if not refused and not named:
            return False
        indexes = [*(one.index for one in refused), *named]
        rest = [None] * len(named)
        table = pa.table(
            {
                "row": _taken(batch.rows, indexes, int_array),
                "email": _taken(batch.emails, indexes, string_array),
                "reason": string_array([*(one.reason for one in refused), *rest]),
                "code": string_array([*(one.code for one in refused), *rest]),
                "message": string_array([*(one.message for one in refused), *rest]),
                "contact_id": string_array([*(None for _ in refused), *named.values()]),
            },
            schema=SETTLED,
        )
        write_parquet(self._settled / f"{batch.id}{suffix}.parquet", table.to_batches(), SETTLED)
        return True

    def drop_bodies(self) -> None:
        """Remove the planned rows and the verdicts of a run that has ended well; plan, journal and reports stay."""
        for name in PLAN_FILES:
            (self.path / name).unlink(missing_ok=True)
        for part in (self, self.removals):
            for verdict in list_names(part.path / "batch_results"):
                (part.path / "batch_results" / verdict).unlink(missing_ok=True)

    def record_kill(self) -> tuple[int, int]:
        """Write down what is in flight: calls without an answer and jobs without an end; returns how many of each."""
        states = {**self.journal.states(), **self.removals.journal.states()}
        calls = [name for name, entry in states.items() if entry.state is State.SENDING]
        jobs = {name: entry.job_id for name, entry in states.items() if entry.state is State.SUBMITTED}
        write(self.path / "killed.json", json.dumps({"calls": calls, "jobs": jobs}, indent=2).encode())
        return len(calls), len(jobs)

    def result_files(self, without: Container[str] = ()) -> list[StoragePath]:
        """The verdict files that count: those whose batch the journal calls settled, and is not among these."""
        states = {name: entry for name, entry in self.journal.states().items() if name not in without}
        files = [name for name, entry in states.items() if entry.has_rows]
        files += [name + NAMED for name, entry in states.items() if entry.attributed]
        return [self._settled / f"{name}.parquet" for name in sorted(files)]

    @property
    def _settled(self) -> StoragePath:
        return self.path / "batch_results"

    def _json(self, name: str) -> dict[str, Any] | None:
        place = self.path / name
        if not place.exists():
            return None
        return read_json(place, bare=name != "plan.json")
