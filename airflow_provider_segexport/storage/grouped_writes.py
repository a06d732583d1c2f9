"""Decides when the journal's entries are stored in object storage: at once, or together with others.

Outside of a `grouped` block each write is stored before it returns. In the block, results wait for further results, and
an intent is stored before its call is sent. The intents of the next batches are written ahead in one object, so that
calls do not wait one after the other. An intent that was written ahead counts as a call that may have been sent, until
it is withdrawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from airflow_provider_segexport.storage.group_commit import GroupCommit
from airflow_provider_segexport.storage.journal_entries import AHEAD_VALID_S, Entry, State, encoded
from airflow_provider_segexport.storage.journal_objects import Parts, find
from airflow_provider_segexport.storage.paths import StoragePath

log = logging.getLogger(__name__)

AHEAD_BATCHES, AHEAD_ROWS = 20, 20_000
"""Maximum batches, and maximum rows in them, whose intents are written ahead. After a kill their calls count as
unanswered, so their rows are sent again or looked up."""


@dataclass(slots=True)
class _Ahead:
    """An intent that was written ahead. Its ticket is None until it is queued."""

    entry: Entry
    ticket: int | None = None


class GroupedWrites:
    """The writes of one process to a journal in object storage.

    Args:
        path: the run folder.
        states: returns the last line of each batch that has an entry.
    """

    def __init__(self, path: StoragePath, states: Callable[[], Sequence[bytes]]) -> None:
        self._path, self._states = path, states
        self._parts: Parts | None = None
        self._commit: GroupCommit | None = None
        self._tickets: dict[str, int] = {}
        self._ahead: dict[str, _Ahead] = {}
        self._upcoming: Iterator[str] = iter(())
        self._most = self._rows = 0
        self._lock = Lock()
        self.is_grouping = False

    def resume_after(self, parts: Parts) -> None:
        """Note the objects that were there when the journal was read."""
        self._parts = parts

    def write(self, lines: Sequence[bytes], batches: Sequence[str]) -> None:
        """Write entries.

        Args:
            lines: the entries' lines.
            batches: ids of the entries' batches.

        Raises:
            OSError: the entries, or in a `grouped` block earlier entries, could not be stored.
        """
        commit = self._opened()
        with self._lock:
            for batch in batches:
                self._tickets.pop(batch, None)
                self._ahead.pop(batch, None)
        ticket = commit.add(lines, urgent=not self.is_grouping)
        if not self.is_grouping:
            commit.wait(ticket)

    def write_intents(self, entries: Sequence[Entry]) -> None:
        """Write the intents of the next calls, unless they were written ahead; write further intents ahead.

        Raises:
            OSError: earlier entries could not be stored.
        """
        commit, now, unwritten = self._opened(), entries[0].written_at, []
        for entry in entries:
            with self._lock:
                ahead = self._ahead.pop(entry.batch, None)
            if ahead is None or ahead.ticket is None or not 0 <= now - ahead.entry.written_at < AHEAD_VALID_S:
                unwritten.append(entry)
            else:
                self._tickets[entry.batch] = ahead.ticket
        more = self._next_ahead(commit, now)
        lines = [encoded(entry) for entry in (*unwritten, *more)]
        if not lines:
            return
        ticket = commit.add(lines, urgent=bool(unwritten))
        for entry in unwritten:
            self._tickets[entry.batch] = ticket
        for entry in more:
            self._ahead[entry.batch].ticket = ticket

    def _next_ahead(self, commit: GroupCommit, now: float) -> list[Entry]:
        """Return the intents of the next batches, and keep them for `_snapshot` before they are queued."""
        names = islice(self._upcoming, self._most - len(self._ahead))
        more = [Entry(name, State.SENDING, self._rows, written_at=now, ahead=commit.key) for name in names]
        with self._lock:
            self._ahead |= {entry.batch: _Ahead(entry) for entry in more}
        return more

    def sync(self, batch: str = "") -> None:
        """Wait until the intent of a batch is stored; with an empty name, until all entries are.

        Raises:
            OSError: the entries could not be stored.
        """
        if self._commit is not None:
            self._commit.wait(self._tickets.get(batch, self._commit.added))

    @contextmanager
    def grouped(self, names: Iterator[str], rows: int) -> Iterator[None]:
        """Store entries together until the block ends. At its end all are stored, and unused intents are withdrawn.

        Args:
            names: ids of the batches that will be sent, in order.
            rows: maximum rows of a batch.

        Raises:
            OSError: the entries could not be stored.
        """
        self._upcoming, self._rows = names, rows
        self._most, self.is_grouping = min(AHEAD_BATCHES, AHEAD_ROWS // max(rows, 1)), True
        try:
            yield
        except BaseException:
            try:
                self._end()
            except OSError as error:
                log.warning("Storing the last results failed (path=%s error=%s)", self._path, type(error).__name__)
            raise
        self._end()

    def _end(self) -> None:
        self.is_grouping = False
        if self._commit is None:
            return
        with self._lock:
            unused, self._ahead = self._ahead, {}
        lines = [encoded(Entry(name, State.SENDING, 0, withdrawn=self._commit.key)) for name in unused]
        with suppress(OSError):  # `add` raises the error of earlier lines, and `wait` stores them again
            self._commit.add(lines, urgent=True)
        self._commit.wait()

    def _opened(self) -> GroupCommit:
        if self._commit is None:
            parts = self._parts if self._parts is not None else find(self._path, contents=False)
            self._commit = GroupCommit(self._path, parts, self._snapshot)
        return self._commit

    def _snapshot(self) -> list[bytes]:
        """Return the last line of each batch. An intent leaves `_ahead` after its batch has an entry."""
        with self._lock:
            ahead = [encoded(intent.entry) for intent in self._ahead.values()]
        return [*ahead, *self._states()]
