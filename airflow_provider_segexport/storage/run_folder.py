"""The folder of one task instance's run: plan, journal, batch results and report. It survives retries.

    <root>/runs/<dag>/<task>/<run>/<map index>/<nn>/
        upserts.arrow  not_sent.parquet  plan.json     the frozen plan
        journal.jsonl                                  the state of each batch; created before plan.json
                                                       (in object storage several objects: `journal_objects`)
        batch_results/<batch>.parquet                  results of single rows, if a batch has any
        removals/                                      the same for leavers: removals.arrow, journal, batch_results
        rejects.parquet  proof_warnings.parquet  summary.json    the report
        calls.json                                     the vendor calls, written after the report

A run never writes to the folder of a finished run. If a task is cleared after success, it starts in a new folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

from msgspec import ValidationError, convert
from msgspec.structs import replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.model import Batch, BatchKind, BatchResult
from airflow_provider_segexport.storage import erased, row_results
from airflow_provider_segexport.storage.files import ArrowReader, LazyBatch, LazyColumn, write_parquet
from airflow_provider_segexport.storage.journal import Entry, Journal, is_part_of_journal
from airflow_provider_segexport.storage.local_copies import is_written, readable
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.parquet_tables import read_table
from airflow_provider_segexport.storage.paths import (
    StoragePath,
    list_names,
    listing,
    remove,
    remove_stale_temp_files,
)
from airflow_provider_segexport.storage.plan import ITEM_SUFFIX, Plan, PlanFacts
from airflow_provider_segexport.storage.sealing import read_json, verify, write_json
from airflow_provider_segexport.storage.side_by_side import side_by_side

PLAN_FILES = (
    "upserts.arrow",
    "not_sent.parquet",
    "without_proof.parquet",
    "returning.parquet",
    "sharers.parquet",
    "bars.parquet",
    "existing.parquet",
    "leavers_not_sent.parquet",
    "removals/removals.arrow",
)
"""Files that a plan may have."""

EXPERIMENT_NOTES = "experiment.json"
"""The notes of an experiment that has begun and is not undone, with its person's address."""

ATTRIBUTED = ".attributed"
"""Suffix of files with row results that reading the audience back has added."""


def _joined_items(stored: LazyBatch) -> memoryview:
    """Return all items with commas between them."""
    return stored.raw_bytes("item")[: -len(ITEM_SUFFIX)]


class RunFolder:
    """One of the folders of a task instance: each new plan after a finished run gets the next number.

    Args:
        path: the folder.
        kind: whether its batches add or remove people.
        lenient: read a damaged journal as far as it can be read, for display.
    """

    def __init__(self, path: StoragePath, kind: BatchKind = BatchKind.UPSERT, *, lenient: bool = False) -> None:
        self.path = path
        self.kind = kind
        self.journal = Journal(path, lenient=lenient)
        self.is_new = False
        """Whether the folder did not exist when it was opened, so that it holds only files of this process."""
        self._has_plan = self._is_unreported = False

    @cached_property
    def removals(self) -> RunFolder:
        """The part that holds the removals."""
        return RunFolder(self.path / "removals", BatchKind.REMOVE, lenient=self.journal.lenient)

    @property
    def rows(self) -> StoragePath:
        """The file of the planned rows; each record batch is a batch."""
        return self.path / ("upserts.arrow" if self.kind is BatchKind.UPSERT else "removals.arrow")

    @classmethod
    def open(cls, home: StoragePath) -> RunFolder:
        """Return the unfinished folder below `home`, or the next one."""
        last = cls.latest(home)
        if last is not None and not last.finished():
            remove_stale_temp_files(last.path)
            return last
        folder = cls(home / f"{int(last.path.name) + 1 if last is not None else 1:02d}")
        folder.is_new = True
        return folder

    @classmethod
    def latest(cls, home: StoragePath) -> RunFolder | None:
        """Return the last folder below `home`, finished or not; None if there is none."""
        numbers = [name for name in list_names(home) if name.isdecimal()]
        return cls(home / max(numbers, key=int)) if numbers else None

    def finished(self) -> bool:
        """Return whether the run has finished, or was abandoned for a new plan."""
        summary = self.summary()
        return summary is not None and bool(summary.get("finished") or summary.get("superseded"))

    def summary(self) -> dict[str, Any] | None:
        """Return the report; None if there is none."""
        return None if self.is_new or self._is_unreported else self._json("summary.json")

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Replace the report."""
        self.is_new = self._is_unreported = False
        write_json(self.path / "summary.json", summary, indent=2)

    def plan(self, *, check_journals: bool = True) -> tuple[Plan, PlanFacts] | None:
        """Return the frozen plan and the facts it was made from; None if there is no plan.

        Args:
            check_journals: also check that the journals of the plan exist.

        Raises:
            DamagedState: the plan has changed since it was written, the plan is missing although something was sent, or
                one of its journals is missing.
        """
        if self.is_new:
            return None
        content = self._json("plan.json")
        if content is None:
            names = listing(self.path)
            has_journal = any(is_part_of_journal(name) for name in names)
            if (has_journal and self.journal.begun()) or ("removals" in names and self.removals.journal.begun()):
                raise DamagedState(str(self.path / "plan.json"), "it is gone")
            return None
        try:
            planned, facts = convert(content.get("planned"), Plan), convert(content.get("facts"), PlanFacts)
        except ValidationError:
            raise DamagedState(str(self.path / "plan.json"), "another version wrote it") from None
        if check_journals:
            for part in self._parts(planned):
                part.journal.check()
        return planned, facts

    def has_plan(self) -> bool:
        """Return whether a plan is frozen."""
        return self._has_plan or (not self.is_new and (self.path / "plan.json").exists())

    def write_plan(self, planned: Plan, facts: PlanFacts) -> None:
        """Create the journals and freeze the plan, which every later attempt carries out."""
        self.create_journals(planned)
        self.removals.journal.is_absent = not planned.removal_batches
        names = [name for name in PLAN_FILES if planned.removal_batches or not name.startswith("removals/")]
        files = [name for name in names if is_written(self.path / name)]
        write_json(self.path / "plan.json", {"planned": asdict(planned), "facts": asdict(facts), "plan_files": files})
        self._has_plan, self._is_unreported, self.is_new = True, self.is_new, False

    def create_journals(self, planned: Plan) -> None:
        """Create the journals of a plan."""
        side_by_side(self.path, *(part.journal.create for part in self._parts(planned)))

    def _parts(self, planned: Plan) -> list[RunFolder]:
        """Return the parts of the folder in which the plan has batches to journal."""
        return [self, self.removals] if planned.removal_batches else [self]

    def verify(self, *, results: bool = True) -> None:
        """Check the files that an earlier process wrote for a frozen plan, with or without results of single rows.

        Raises:
            DamagedState: a file has changed since it was written, or is gone.
        """
        for name in (self._json("plan.json") or {}).get("plan_files", ()):
            verify(self.path / name)
        for part in (*self.result_files(), *self.removals.result_files()) if results else ():
            verify(part)

    def upserts(self, columns: Sequence[str] | None = None) -> ArrowReader:
        """Open the planned rows with all or some columns; each record batch is a batch."""
        return ArrowReader(self.rows, columns)

    def batch(self, rows: ArrowReader, number: int, name: str) -> Batch:
        """Return one planned batch, read lazily.

        Args:
            rows: a reader from `upserts`. It may be closed when the content is read again.
            number: number of the record batch, from 0.
            name: id of the batch.
        """
        stored = LazyBatch(partial(rows.batch, number), ("item",), ("row", "email"))
        numbers, emails = LazyColumn(stored, "row"), LazyColumn(stored, "email")
        if self.kind is not BatchKind.UPSERT:
            return Batch(name, numbers, emails, LazyColumn(stored, "item"), kind=self.kind, release=stored.release)
        items, joined = LazyColumn(stored, "item", without=ITEM_SUFFIX), partial(_joined_items, stored)
        return Batch(name, numbers, emails, items, joined_items=joined, release=stored.release)

    def add_rejections(self, batch: Batch, entry: Entry, more: BatchResult) -> None:
        """Move rows of a settled batch from accepted to rejected, because the vendor had only counted them.

        Args:
            batch: the settled batch.
            entry: its journal entry.
            more: the rejected rows.
        """
        attributed = len(more.rejected)
        self.write_results(batch, more, ATTRIBUTED)
        moved = replace(entry, accepted=entry.accepted - attributed, rejected=entry.rejected + attributed)
        self.journal.write([replace(moved, unattributed=0, unattributed_reason="", attributed=attributed)])

    def returning(self) -> frozenset[int]:
        """Return the numbers of rows whose people an export or an erasure removed, according to the ledger."""
        path = self.path / "returning.parquet"
        if not is_written(path):
            return frozenset()
        with open_file(readable(path)) as file:
            return frozenset(read_table(file, ["row"]).column(0).to_pylist())

    def rejected_rows(self, batch: Batch) -> set[int]:
        """Return the numbers of the batch's rows that the vendor named as rejected."""
        path = self._results / f"{batch.id}.parquet"
        if not is_written(path):
            return set()
        with open_file(readable(path)) as file:
            results = read_table(file, ["row", "reason"])
        return {row for row, reason in zip(*(column.to_pylist() for column in results.columns), strict=True) if reason}

    def reasons(self) -> Counter[str]:
        """Count the rejected rows by reason."""
        counts: Counter[str] = Counter()
        for path in self.result_files():
            with open_file(readable(path)) as file:
                counts.update(read_table(file, ["reason"]).column(0).drop_null().to_pylist())
        return counts

    def write_results(self, batch: Batch, result: BatchResult, suffix: str = "") -> bool:
        """Write the results of single rows: rejections, contact ids, and warnings of rows that were accepted.

        Args:
            batch: the settled batch.
            result: its result.
            suffix: suffix of the file's name.

        Returns:
            False if there are no results of single rows.
        """
        table = row_results.table(batch, result)
        if table is None:
            return False
        write_parquet(self._results / f"{batch.id}{suffix}.parquet", table.to_batches(), table.schema)
        return True

    def drop_bodies(self) -> None:
        """Remove the planned rows, row results and erasure marks of a finished run; plan, journal and reports stay."""
        old: list[str] = []
        for part, prefix in ((self.path, ""), (self.removals.path, "removals/")):
            names = listing(part)
            old += [prefix + name for name in names if prefix + name in PLAN_FILES]
            if "batch_results" in names:
                old += [f"{prefix}batch_results/{name}" for name in listing(part / "batch_results")]
            if erased.FOLDER in names:
                old += [f"{prefix}{erased.FOLDER}/{name}" for name in listing(part / erased.FOLDER)]
            if "removals" not in names:
                break
        remove(self.path, old)

    def result_files(self, without: Container[str] = ()) -> list[StoragePath]:
        """Return the files with row results of all settled batches but those in `without`."""
        states = {name: entry for name, entry in self.journal.states().items() if name not in without}
        files = [name for name, entry in states.items() if entry.has_rows]
        files += [name + ATTRIBUTED for name, entry in states.items() if entry.attributed]
        return [self._results / f"{name}.parquet" for name in sorted(files)]

    @property
    def _results(self) -> StoragePath:
        return self.path / "batch_results"

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            return read_json(self.path / name, bare=name != "plan.json")
        except FileNotFoundError:
            return None
