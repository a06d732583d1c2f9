"""Stores what a verification has read in its run folder, so that a retry resumes after the last part.

    known.parquet              people of the ledger and the segment, as they were when the reading began
    reading.json               the progress of the reading
    reading/members-0001.parquet  optouts-0001.parquet  records-0001.parquet

Only people in `known.parquet` are written. All others are counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.durable import SET_ASIDE, move_aside
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, exists, list_names
from airflow_provider_segexport.storage.sealing import read_as, verify, write_json

log = logging.getLogger(__name__)

PROGRESS_FILE, KNOWN_FILE, PARTS_FOLDER = "reading.json", "known.parquet", "reading"

MAX_BUFFERED_PEOPLE = 10_000
"""People in memory at a time, besides one page of the vendor."""

SAVE_INTERVAL_S = 30.0
"""Maximum seconds of reading that a kill can lose, besides the call in flight."""

KNOWN_PEOPLE = "known_people"
"""Table with a column `email` that the callers of this module create: the people in `known.parquet`."""

MEMBERS, OPTOUTS, RECORDS = "members", "optouts", "records"
SCHEMAS = {
    MEMBERS: pa.schema([("email", pa.string()), ("active", pa.bool_())]),
    OPTOUTS: pa.schema([("email", pa.string()), ("reason", pa.string()), ("since", pa.string())]),
    RECORDS: pa.schema(
        [
            ("email", pa.string()),
            ("is_member", pa.bool_()),
            ("reason", pa.string()),
            ("status", pa.string()),
            ("fields", pa.string()),
        ]
    ),
}
"""Columns of each kind of part."""


@dataclass(frozen=True, slots=True)
class Section:
    """The progress of the reading of one kind of people.

    Attributes:
        marker: the vendor's marker of the next page to read; empty for the beginning.
        parts: number of files written.
        people: number of people read, including those that are not written.
        unknown: number of people read who are not in `known.parquet`.
        done: whether everything was read.
    """

    marker: str = ""
    parts: int = 0
    people: int = 0
    unknown: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a reading.

    Attributes:
        key: hash of what is read and how; a reading with another key is discarded.
        started_at: epoch seconds.
        written_at: epoch seconds of the last write.
        version: the ledger's version when the reading began.
        is_whole: whether the pages of the whole audience are read. If not, a sample of people is read one by one.
        sections: progress by kind of people.
    """

    key: str
    started_at: float
    written_at: float
    version: int
    is_whole: bool
    sections: Mapping[str, Section] = field(default_factory=dict)

    def section(self, kind: str) -> Section:
        """Return the progress of a kind of people."""
        return self.sections.get(kind, Section())


def load_progress(folder: StoragePath) -> Progress | None:
    """Return the progress of a reading; None if it has not begun.

    Raises:
        DamagedState: the file has changed since it was written.
    """
    path = folder / PROGRESS_FILE
    return read_as(path, Progress) if exists(path) else None


def intact_progress(folder: StoragePath, segment_file: str) -> Progress | None:
    """Return the progress of a reading; None if it has not begun, or if a file of it cannot be used.

    To read again from the beginning loses nothing but time.

    Args:
        folder: the run folder.
        segment_file: name of a further file of the reading, which may not exist.
    """
    try:
        progress = load_progress(folder)
        if progress is not None:
            verify(folder / KNOWN_FILE)
            for kind in SCHEMAS:
                part_files(folder, progress, kind)
            if exists(folder / segment_file):
                verify(folder / segment_file)
    except DamagedState as damaged:
        log.warning("Reading the audience from the beginning (file=%s why=%s)", damaged.file, damaged.why)
        return None
    return progress


def save_progress(folder: StoragePath, progress: Progress) -> None:
    """Replace the progress of a reading."""
    write_json(folder / PROGRESS_FILE, asdict(progress))


def part_files(folder: StoragePath, progress: Progress, kind: str) -> list[StoragePath]:
    """Return the files of one kind.

    Args:
        folder: the run folder.
        progress: the progress of the reading.
        kind: `MEMBERS`, `OPTOUTS` or `RECORDS`.

    Raises:
        DamagedState: a file has changed since it was written, or is missing.
    """
    files = [_part(folder, kind, number) for number in range(1, progress.section(kind).parts + 1)]
    for file in files:
        verify(file)
    return files


def discard(folder: StoragePath) -> None:
    """Delete what a reading has written, except its report."""
    files = [folder / PARTS_FOLDER / name for name in list_names(folder / PARTS_FOLDER)]
    for file in (*files, *(folder / name for name in (PROGRESS_FILE, KNOWN_FILE, "segment.parquet"))):
        local = as_local_path(file)
        if local is not None and local.is_dir():  # damage; the folder may hold files of other programs
            move_aside(local, f"{SET_ASIDE}{file.name}")
        else:
            file.unlink(missing_ok=True)


def _part(folder: StoragePath, kind: str, number: int) -> StoragePath:
    return folder / PARTS_FOLDER / f"{kind}-{number:04d}.parquet"


class PartWriter:
    """Writes people of one kind in parts, and the progress after each part.

    Args:
        engine: holds `KNOWN_PEOPLE`.
        folder: the run folder.
        progress: the progress of the reading.
        kind: the kind of people, a key of `SCHEMAS`.
        clock: returns epoch seconds.
    """

    def __init__(
        self, engine: Engine, folder: StoragePath, progress: Progress, kind: str, clock: Callable[[], float]
    ) -> None:
        self._engine, self._folder, self._kind, self._clock = engine, folder, kind, clock
        self.progress = progress
        self._section = progress.section(kind)
        self._start = self._section
        self._rows: list[Sequence[Any]] = []
        self._complete = 0
        self._marker = self._section.marker

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add people, each with the columns of `SCHEMAS`."""
        self._rows.extend(rows)
        if len(self._rows) >= MAX_BUFFERED_PEOPLE:
            self._save_complete()
            self._write(len(self._rows))

    def mark(self, marker: str) -> None:
        """Record that all people before a marker were added."""
        self._marker, self._complete = marker, len(self._rows)
        is_due = self._clock() - self.progress.written_at >= SAVE_INTERVAL_S
        has_parts = self._section.parts != self.progress.section(self._kind).parts
        if is_due or has_parts or self._complete >= MAX_BUFFERED_PEOPLE:
            self._save_complete()

    @property
    def people(self) -> int:
        """The number of people read so far."""
        return self._section.people + len(self._rows)

    @property
    def has_advanced(self) -> bool:
        """Whether this writer has added a person or a marker."""
        return self.people > self._start.people or self._marker != self._start.marker

    def save(self) -> None:
        """Write everything up to the last marker now."""
        self._save_complete()

    def stop(self) -> None:
        """Write everything up to the last marker after an error, unless parts beyond the marker are written already."""
        if self._section.parts == self.progress.section(self._kind).parts:
            self._save_complete()

    def finish(self) -> Progress:
        """Write all remaining people; return the progress with this kind as done."""
        self._write(len(self._rows))
        self._save(replace(self._section, marker="", done=True))
        return self.progress

    def _save_complete(self) -> None:
        """Write the people up to the last marker, and the progress; people after it are read again by a retry."""
        if self._marker != self._section.marker:
            self._write(self._complete)
            self._save(replace(self._section, marker=self._marker))

    def _save(self, section: Section) -> None:
        self._section = section
        sections = {**self.progress.sections, self._kind: section}
        self.progress = replace(self.progress, sections=sections, written_at=self._clock())
        save_progress(self._folder, self.progress)

    def _write(self, count: int) -> None:
        """Take the first `count` people: write those in `KNOWN_PEOPLE` as a part, and count the others."""
        rows, self._rows = self._rows[:count], self._rows[count:]
        self._complete = max(0, self._complete - count)
        if not rows:
            return
        schema, section = SCHEMAS[self._kind], self._section
        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, column.type) for values, column in zip(columns, schema, strict=True)]
        self._engine.table("read_people", pa.Table.from_arrays(arrays, schema=schema))
        # The join hashes its right side: the people that were read, not all known people.
        sql = f"select r.* from {KNOWN_PEOPLE} k join read_people r on r.email = k.email"
        batches = self._engine.stream(sql)
        written = write_parquet(_part(self._folder, self._kind, section.parts + 1), batches, schema)
        self._section = replace(
            section,
            parts=section.parts + 1,
            people=section.people + len(rows),
            unknown=section.unknown + len(rows) - written,
        )
