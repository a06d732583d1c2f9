"""The state of each batch, written before and after every call: `entries -> states`.

On a local disk one file grows by lines. Object storage cannot append, so several lines become an object together
(`group_commit`). Each line contains its checksum. A torn last line, left by a kill, is skipped, and the next writer
cuts it off: an intent without a result already means that the call may or may not have been made. Any other line that
has changed since it was written is an error.

The journal is created before its plan. So a plan without a journal means that the journal was lost, not that nothing
was sent.
"""

from __future__ import annotations

import os
import pathlib
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock

import msgspec
from msgspec.structs import replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import journal_objects
from airflow_provider_segexport.storage.durable import make_folder, sync_folder
from airflow_provider_segexport.storage.exclusive import create
from airflow_provider_segexport.storage.grouped_writes import GroupedWrites
from airflow_provider_segexport.storage.journal_entries import Entry, State, apply, decoded, encoded
from airflow_provider_segexport.storage.journal_objects import CREATED, FIRST_OBJECT
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, listing
from airflow_provider_segexport.storage.private import FILE_MODE
from airflow_provider_segexport.storage.sealing import checksum_matches, read_file

__all__ = ["Entry", "Journal", "State", "is_part_of_journal"]

FILE = "journal.jsonl"
"""The journal on a local disk."""


def is_part_of_journal(name: str) -> bool:
    """Return whether a file of this name belongs to a journal, on a disk or in object storage."""
    return name == FILE or journal_objects.Part.parse(name) is not None


class Journal:
    """The journal of one run folder, which one process writes at a time. It is read once and kept up to date."""

    def __init__(self, path: StoragePath, clock: Callable[[], float] = time.time, *, lenient: bool = False) -> None:
        """Open the journal of a run folder.

        Args:
            path: the run folder.
            clock: returns epoch seconds.
            lenient: skip lines that have changed since they were written, or that another version wrote. It is used to
                show a run's progress while another process writes the journal.
        """
        self._path = path
        self.clock = clock
        self.lenient = lenient
        self.is_absent = False
        """Whether it does not exist, because the plan has no batch of its kind."""
        self._states: dict[str, Entry] | None = None
        self._objects = GroupedWrites(path, self._snapshot) if as_local_path(path) is None else None
        self._is_created = False
        self._written = 0
        self._open: int | None = None
        self._syncing, self._writing, self._lock = Lock(), Lock(), Lock()
        self._synced = 0
        self._may_be_torn = True
        self._sync_error: OSError | None = None

    def create(self) -> None:
        """Create the journal durably, without an entry, if this process has not. An existing one stays as it is."""
        if self._is_created:
            return
        with suppress(FileExistsError):
            if create(self._first, CREATED + b"\n") and self._objects is not None:
                self._states = {}
                self._objects.resume_after(journal_objects.Parts(has_first=True))
        self._is_created = True

    def check(self) -> None:
        """Check that the journal that `create` made is still there, and in object storage that no object is missing.

        Raises:
            DamagedState: the journal or a part of it is gone.
        """
        if self._objects is not None:
            journal_objects.find(self._path, contents=False, lenient=self.lenient).check(self._path)
            return
        if FILE not in listing(self._path):
            raise DamagedState(str(self._first), "it is gone")
        if not self.lenient and not self._read_first().startswith(CREATED):
            raise DamagedState(str(self._first), "line 1 has changed since it was written")

    def write(self, entries: Sequence[Entry]) -> None:
        """Append entries; any thread may call this.

        After the call, the entries survive the end of the process. After `sync`, they survive a loss of power. In
        object storage, entries of a `sending` block are stored by `sync`, or at the end of the block.
        """
        if entries:
            with self._writing:
                self._write(entries)

    def _write(self, entries: Sequence[Entry]) -> None:
        states, now = self._load(), round(self.clock(), 3)
        entries = [replace(entry, written_at=now) for entry in entries]
        lines = [encoded(entry) for entry in entries]
        disk = as_local_path(self._path)
        if disk is not None:
            self._append(disk, b"".join(line + b"\n" for line in lines))
        with self._lock:
            for entry in entries:
                apply(states, entry)
        if self._objects is not None:
            self._objects.write(lines, [entry.batch for entry in entries])
        self._written += 1

    @contextmanager
    def sending(self, names: Iterable[str], rows: int) -> Iterator[None]:
        """In object storage, write several entries as one object until the block ends. On a disk this does nothing.

        The intents of the next batches are written ahead. When the block ends, all entries are stored, and intents that
        were not used are withdrawn.

        Args:
            names: ids of the batches that will be sent, in order.
            rows: maximum rows of a batch.

        Raises:
            OSError: the entries could not be stored.
        """
        if self._objects is None:
            yield
            return
        states = self._load()
        with self._objects.grouped((name for name in names if name not in states), rows):
            yield

    def write_intents(self, entries: Sequence[Entry]) -> None:
        """Record the calls that are made next. Each call waits with `sync` for its own entry."""
        if self._objects is None or not self._objects.is_grouping or not entries:
            self.write(entries)
            return
        with self._writing:
            states, now = self._load(), round(self.clock(), 3)
            with self._lock:
                for entry in entries:
                    apply(states, replace(entry, written_at=now))
            self._objects.write_intents([replace(entry, written_at=now) for entry in entries])

    def sync(self, batch: str = "") -> None:
        """Wait until entries survive a loss of power: on the disk, or in the store.

        Any thread may call this before its call is sent. One sync serves all entries that were written before it.

        Args:
            batch: id of the batch whose intent must be stored; empty for all entries.

        Raises:
            OSError: the entries could not be written.
        """
        if self._objects is not None:
            self._objects.sync(batch)
            return
        wanted = self._written
        with self._syncing:
            if self._open is None or self._synced >= wanted:
                return
            if self._sync_error is not None:  # the next sync would succeed, although the lines are lost
                raise self._sync_error
            written = self._written
            try:
                os.fdatasync(self._open)
            except OSError as error:
                self._sync_error = error
                raise
            self._synced = written

    def reload(self) -> None:
        """Read the journal again at the next use, because another process may have written it."""
        self._states = None

    def begun(self) -> bool:
        """Return whether an entry was written."""
        return bool(self._load())

    def states(self) -> dict[str, Entry]:
        """Return the last entry of each batch."""
        states = self._load()
        with self._lock:
            return dict(states)

    def _load(self) -> dict[str, Entry]:
        if self._states is None:
            states: dict[str, Entry] = {}
            for file, content in () if self.is_absent else self._contents():
                for entry in self._entries(file, content):
                    apply(states, entry)
            self._states = states
        return self._states

    def _contents(self) -> Iterator[tuple[StoragePath, bytes]]:
        """Yield the files of the journal with their content, in the order in which their lines apply."""
        if self._objects is None:
            if FILE in listing(self._path):
                yield self._first, self._read_first()
            return
        parts = journal_objects.find(self._path, contents=True, lenient=self.lenient)
        self._objects.resume_after(parts)
        for part in (*parts.folded, *parts.groups):
            lines = journal_objects.entry_lines(self._path, part, parts.contents[part], lenient=self.lenient)
            yield self._path / part.name, lines

    def _read_first(self) -> bytes:
        """Return the content of the file on a disk; nothing in a lenient journal whose file cannot be read."""
        try:
            return read_file(self._first)
        except FileNotFoundError:
            damage = DamagedState(str(self._first), "it is gone")
        except DamagedState as damaged:
            damage = damaged
        if self.lenient:
            return b""
        raise damage

    def _snapshot(self) -> list[bytes]:
        """Return the last line of each batch, for a folded object."""
        with self._lock:
            return [encoded(entry) for entry in (self._states or {}).values()]

    def _entries(self, file: StoragePath, content: bytes) -> Iterator[Entry]:
        """Yield the entries of a file, without a last line that a kill has torn."""
        *lines, last = content.split(b"\n")
        if checksum_matches(last):  # only the end of the line is missing
            lines.append(last)
        for number, line in enumerate(lines):
            if checksum_matches(line):
                entry = None if line == CREATED else self._entry(line, file)
                if entry is not None:
                    yield entry
            elif not self.lenient:
                raise DamagedState(str(file), f"line {number + 1} has changed since it was written")

    def _entry(self, line: bytes, file: StoragePath) -> Entry | None:
        try:
            return decoded(line)
        except msgspec.DecodeError:
            if self.lenient:
                return None
            raise DamagedState(str(file), "another version wrote it") from None

    def _append(self, folder: pathlib.Path, lines: bytes) -> None:
        """Append lines to the file, which stays open because an export to Omnisend writes twenty thousand times."""
        if self._open is None:
            make_folder(folder)
            opened = os.open(folder / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE)
            weakref.finalize(self, os.close, opened)
            sync_folder(folder)
            self._open = opened
        if self._may_be_torn:  # by a kill, or by a write that failed
            lines = self._end_last_line(self._open) + lines
        self._may_be_torn = True
        while lines:
            lines = lines[os.write(self._open, lines) :]
        self._may_be_torn = False

    @staticmethod
    def _end_last_line(opened: int) -> bytes:
        """Cut off a torn last line, and return the line break that a complete last line lacks."""
        content = os.pread(opened, os.fstat(opened).st_size, 0)
        last = content.rpartition(b"\n")[2]
        if last and checksum_matches(last):
            return b"\n"
        if last:
            os.ftruncate(opened, len(content) - len(last))
        return b""

    @property
    def _first(self) -> StoragePath:
        return self._path / (FILE if self._objects is None else FIRST_OBJECT)
