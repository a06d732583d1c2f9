"""The state of each batch, written before and after every call: `entries -> states`.

On a local disk one file grows by lines. Object storage cannot append, so each write is an object of its own. Each line
contains its checksum. A torn last line, left by a kill, is skipped: an intent without a result already means that the
call may or may not have been made. Any other line that has changed since it was written is an error.

The journal is created before its plan. So a plan without a journal means that the journal was lost, not that nothing
was sent.
"""

from __future__ import annotations

import os
import pathlib
import re
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from threading import Lock

import msgspec
from msgspec.structs import replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.model import BatchKind
from airflow_provider_segexport.storage.durable import make_folder, sync_folder
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, create, list_names, read, write
from airflow_provider_segexport.storage.private import FILE_MODE
from airflow_provider_segexport.storage.sealing import checksum_matches, with_checksum


class State(StrEnum):
    """The last recorded state of a batch."""

    SENDING = "sending"
    SUBMITTED = "submitted"
    SETTLED = "settled"
    SPLIT = "split"


ORDER = (State.SENDING, State.SUBMITTED, State.SPLIT, State.SETTLED)
"""The order in which a batch changes its state."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state of one batch.

    Attributes:
        batch: its id.
        rows: of the batch.
        job_id: of the vendor's import job, once submitted.
        accepted, rejected: rows with a result.
        retry: indexes of rows that the vendor asks to send again.
        unattributed: rows whose result is open: counted as rejected but not named, or not confirmed.
        unattributed_reason: the reason for it.
        attributed: rows whose rejection was found by reading the audience back.
        resubscribe: indexes of rows that are sent again to add people that an export removed.
        has_rows: `batch_results/` has a file of the batch.
        written_at: epoch seconds.
    """

    batch: str
    state: State
    rows: int
    job_id: str = ""
    accepted: int = 0
    rejected: int = 0
    retry: tuple[int, ...] = ()
    unattributed: int = 0
    unattributed_reason: str = ""
    attributed: int = 0
    resubscribe: tuple[int, ...] = ()
    has_rows: bool = False
    written_at: float = 0.0

    @property
    def is_removal(self) -> bool:
        """Whether the batch removes people."""
        return self.batch.startswith(BatchKind.REMOVE)

    @property
    def is_planned(self) -> bool:
        """Whether the batch is one of the plan, and not a part of one that was sent again."""
        return "-" not in self.batch.removeprefix(BatchKind.REMOVE)


_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Entry)

TORN = with_checksum(b'{"torn":true}')
"""Written by the next attempt after a line that a kill has torn. Any other incomplete line is damage."""

CREATED = with_checksum(b'{"created":true}')
"""The first line of a journal."""

FILE, FIRST_OBJECT = "journal.jsonl", "journal-0000-0000000.jsonl"
"""The journal on a local disk, and its first object in object storage, which holds `CREATED` alone."""
OBJECT_NAME = r"journal-[0-9]{4,}-[0-9]{7,}\.jsonl"
"""Names of the journal's objects: session and number. Another file beside them is none of its parts."""


class Journal:
    """The journal of one run folder, which one process writes at a time. It is read once and kept up to date."""

    def __init__(self, path: StoragePath, clock: Callable[[], float] = time.time, *, lenient: bool = False) -> None:
        """Open the journal of a run folder.

        Args:
            path: the run folder.
            clock: returns epoch seconds.
            lenient: skip lines that are not as they were written, or that another version wrote; to show a run's
                progress while another process writes the journal.
        """
        self._path = path
        self.clock = clock
        self.lenient = lenient
        self._states: dict[str, Entry] | None = None
        self._session: int | None = None
        self._written = 0
        self._open: int | None = None
        self._syncing = Lock()
        self._synced = 0

    def create(self) -> None:
        """Create the journal durably, without an entry. An existing journal stays as it is."""
        with suppress(FileExistsError):
            create(self._first, CREATED + b"\n")

    def check(self) -> None:
        """Check that the journal that `create` made is still there, and in object storage that no object is missing.

        Raises:
            DamagedState: the journal or a part of it is gone.
        """
        names = self._files()
        if self._first.name not in names:
            raise DamagedState(str(self._first), "it is gone")
        if self._first.name == FILE:
            if not self.lenient and not _content(self._first).startswith(CREATED):
                raise DamagedState(str(self._first), "line 1 has changed since it was written")
            return
        previous = (0, 0)
        for name in names[1:]:
            session, number = map(int, name.removesuffix(".jsonl").split("-")[1:])
            if (session, number) not in {(previous[0], previous[1] + 1), (previous[0] + 1, 0)}:
                raise DamagedState(str(self._path / name), "an earlier part of the journal is gone")
            previous = (session, number)

    def write(self, entries: Sequence[Entry]) -> None:
        """Append entries; on return they survive the process, and after `sync` a loss of power."""
        if not entries:
            return
        states, now = self._load(), round(self.clock(), 3)
        entries = [replace(entry, written_at=now) for entry in entries]
        lines = b"".join(with_checksum(_ENCODER.encode(entry)) + b"\n" for entry in entries)
        disk = as_local_path(self._path)
        if disk is not None:
            self._append(disk, lines)
        else:
            if self._session is None:
                self._session = 1 + max((int(name.split("-")[1]) for name in self._files()), default=0)
            write(self._path / f"journal-{self._session:04d}-{self._written:07d}.jsonl", lines)
        self._written += 1
        for entry in entries:
            _apply(states, entry)

    def sync(self) -> None:
        """Sync the entries to the disk, so that they survive a loss of power.

        Any thread may call this before its call is sent. One sync serves all entries that were written before it.
        """
        wanted = self._written
        with self._syncing:
            if self._open is None or self._synced >= wanted:
                return
            written = self._written
            os.fdatasync(self._open)
            self._synced = written

    def begun(self) -> bool:
        """Return whether an entry was written."""
        return bool(self._load())

    def states(self) -> dict[str, Entry]:
        """Return the last entry of each batch."""
        return dict(self._load())

    def _load(self) -> dict[str, Entry]:
        if self._states is None:
            self._states = {}
            for name in self._files():
                for entry in self._entries(self._path / name):
                    _apply(self._states, entry)
        return self._states

    def _entries(self, file: StoragePath) -> Iterator[Entry]:
        """Yield the entries of a file, without a line that a kill has torn: the last, or one that `TORN` follows."""
        *lines, last = _content(file).split(b"\n")
        if checksum_matches(last):  # only the end of the line is missing
            lines.append(last)
        for number, line in enumerate(lines):
            after = lines[number + 1] if number + 1 < len(lines) else b""
            if checksum_matches(line) and line not in {TORN, CREATED}:
                entry = self._entry(line, file)
                if entry is not None:
                    yield entry
            elif not checksum_matches(line) and after != TORN and not self.lenient:
                raise DamagedState(str(file), f"line {number + 1} has changed since it was written")

    def _entry(self, line: bytes, file: StoragePath) -> Entry | None:
        try:
            return _DECODER.decode(line)
        except msgspec.DecodeError:
            if self.lenient:
                return None
            raise DamagedState(str(file), "another version wrote it") from None

    def _append(self, folder: pathlib.Path, lines: bytes) -> None:
        """Append lines to the file, which stays open because an export to Omnisend writes twenty thousand times."""
        if self._open is None:
            make_folder(folder)
            self._open = os.open(folder / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE)
            sync_folder(folder)
            weakref.finalize(self, os.close, self._open)
            size = os.fstat(self._open).st_size
            if size and os.pread(self._open, 1, size - 1) != b"\n":  # torn by a kill: start on a line of its own
                lines = b"\n" + TORN + b"\n" + lines
        try:
            while lines:
                lines = lines[os.write(self._open, lines) :]
        except OSError:
            self._open = None  # a line may be torn, so the next write checks the end of the file
            raise

    @property
    def _first(self) -> StoragePath:
        return self._path / (FIRST_OBJECT if as_local_path(self._path) is None else FILE)

    def _files(self) -> list[str]:
        pattern = OBJECT_NAME if as_local_path(self._path) is None else FILE
        return [name for name in list_names(self._path) if re.fullmatch(pattern, name)]


def _content(file: StoragePath) -> bytes:
    try:
        return read(file)
    except IsADirectoryError:
        raise DamagedState(str(file), "it is a folder") from None


def _apply(states: dict[str, Entry], entry: Entry) -> None:
    """Keep a batch's last entry, with the job that the batch became.

    A state never goes back: a late entry, from a machine whose clock is behind, changes nothing.
    """
    before = states.get(entry.batch)
    if before is None or ORDER.index(entry.state) >= ORDER.index(before.state):
        if before is not None and before.job_id and not entry.job_id:
            entry = replace(entry, job_id=before.job_id)
        states[entry.batch] = entry
