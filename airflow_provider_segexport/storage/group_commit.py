"""Writes the journal in object storage: one object for all lines that came while the last one was being stored.

A background thread stores the objects of one session in order. It ends when nothing is left to store. A line is
acknowledged when the store has confirmed its object. After that, the first object of the journal names it as stored
(`journal_objects`); if the process is killed in between, the object counts although it is not named.

An object is stored again with the same content after an error, because the store may have accepted it, or accept it
later. As the session grows, a folded object replaces its objects.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Thread

from airflow_provider_segexport.storage.journal_objects import FIRST_OBJECT, Part, Parts, first_object
from airflow_provider_segexport.storage.paths import StoragePath, remove, write

log = logging.getLogger(__name__)

LINGER_S, LINGER_LINES = 2.0, 60
"""If no call waits for its lines, they are stored after this many seconds, or when there are this many lines. A kill
loses lines that are not stored, so their calls count as unanswered. A call writes two or three lines, so an object
serves twenty calls or more."""

FOLD_AFTER = 24
"""Number of objects at which one folded object replaces them, so that a retry reads fewer than fifty."""


class GroupCommit:
    """Stores the lines of one session.

    Args:
        path: the run folder.
        parts: the existing objects. This session gets the next number after theirs.
        snapshot: returns the last line of each batch over all sessions, including lines that are not stored yet.
    """

    def __init__(self, path: StoragePath, parts: Parts, snapshot: Callable[[], Sequence[bytes]]) -> None:
        self._path, self._snapshot = path, snapshot
        self._session, self._writer = parts.last_session + 1, secrets.token_hex(4)
        self.key = Part(self._session, self._writer, 0).key
        self._acknowledged = dict(parts.acknowledged)
        self._covers = parts.last_numbers()
        self._replaceable = [part.name for part in (*parts.folded, *parts.groups)] + list(parts.covered)
        self._condition = Condition()
        self._lines: list[bytes] = []
        self._first_at = 0.0  # monotonic seconds of the oldest line in `_lines`
        self._group: tuple[Part, bytes, int] | None = None
        self._number = self._folds = 0
        self._added = self._stored = self._urgent = 0
        self._is_named = True
        self._failures = 0
        self._error: BaseException | None = None
        self._unraised: BaseException | None = None
        self._thread: Thread | None = None

    @property
    def added(self) -> int:
        """The ticket of the last added line: the number of lines that were added so far."""
        return self._added

    def add(self, lines: Sequence[bytes], *, urgent: bool) -> int:
        """Queue lines; return the ticket with which `wait` waits for them.

        Args:
            lines: lines with checksums.
            urgent: whether a call waits for the lines, so that they are stored at once.

        Raises:
            OSError: storing earlier lines failed, and no `wait` has raised it. These lines are queued anyway.
        """
        with self._condition:
            if not self._lines:
                self._first_at = time.monotonic()
            self._lines += lines
            self._added += len(lines)
            if urgent:
                self._urgent = self._added
            error, self._unraised = self._unraised, None
            self._start()
            if error is not None:
                raise error
            return self._added

    def wait(self, ticket: int | None = None) -> None:
        """Wait until the lines of a ticket are stored.

        Args:
            ticket: from `add`; None to wait for all lines, and until the first object names their objects.

        Raises:
            OSError: storing failed. The lines stay queued, and another `wait` tries again.
        """
        with self._condition:
            failures, wanted = self._failures, self._added if ticket is None else ticket
            self._urgent = max(self._urgent, wanted)
            while self._stored < wanted or (ticket is None and not self._is_named):
                if self._failures != failures and self._error is not None:
                    self._unraised = None
                    raise self._error
                self._start()
                self._condition.wait()

    def _start(self) -> None:
        """Start the thread, or wake it so that it checks the queue. The caller holds the condition."""
        if self._thread is None:
            self._thread = Thread(target=self._run, name="segexport-journal", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _run(self) -> None:
        try:
            while self._store_next():
                pass
        except BaseException as error:  # noqa: BLE001 - the next `wait` or `add` raises it
            with self._condition:
                self._error = self._unraised = error
                self._failures, self._thread = self._failures + 1, None
                self._condition.notify_all()

    def _store_next(self) -> bool:
        """Store one object; return False if nothing is left to store, after which the thread ends."""
        with self._condition:
            while self._group is None and 0 < len(self._lines) < LINGER_LINES and self._urgent <= self._stored:
                remaining_s = self._first_at + LINGER_S - time.monotonic()
                if remaining_s <= 0 or not self._condition.wait(remaining_s):
                    break
            if self._group is None and self._lines:
                part = Part(self._session, self._writer, self._number)
                self._group, self._lines = (part, part.content(self._lines), self._added), []
            group = self._group
            if group is None and self._is_named:
                self._thread = None
                return False
        if group is None:
            self._name_stored()
        else:
            self._store(*group)
        return True

    def _store(self, part: Part, content: bytes, ticket: int) -> None:
        write(self._path / part.name, content)
        with self._condition:
            self._acknowledged[part.key] = self._covers[part.key] = part.number
            self._number, self._stored, self._group, self._is_named = part.number + 1, ticket, None, False
            self._unraised = None
            self._replaceable.append(part.name)
            self._condition.notify_all()
            is_idle = self._urgent <= self._stored
        if is_idle:
            self._name_stored()
        if len(self._replaceable) >= FOLD_AFTER:
            self._fold()

    def _name_stored(self) -> None:
        """Write the first object of the journal, which names the last stored object of each session."""
        with self._condition:
            content = first_object(dict(self._acknowledged))
        write(self._path / FIRST_OBJECT, content)
        with self._condition:
            self._is_named = True
            self._condition.notify_all()

    def _fold(self) -> None:
        """Replace the stored objects by one. An object that cannot be deleted is ignored by readers."""
        part = Part(self._session, self._writer, self._folds, is_folded=True)
        with self._condition:
            covers, replaced = dict(self._covers), self._replaceable
        # The folded object may hold lines that are still queued. They are stored once more, in their own object.
        write(self._path / part.name, part.content(self._snapshot(), covers))
        self._folds += 1
        self._replaceable = [part.name]
        with suppress(OSError):
            remove(self._path, replaced)
