"""Groups the log of a task by phase: Airflow's log view collapses the lines from `::group::` to `::endgroup::`.

A warning is never in a group: it ends the group, and the phase's next line begins another group. Every group is closed
when the run ends, also with an error or a deferral, because an open group would collapse all lines that follow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context

from airflow_provider_segexport.export.config import Phase

log = logging.getLogger(__name__)

PACKAGE_LOG = logging.getLogger(__package__.partition(".")[0])


class LogGroups(logging.Handler):
    """Writes the lines that begin and end a group.

    It handles the records of this package before Airflow's handlers do, because records propagate from a logger to its
    parents.
    """

    def __init__(self) -> None:
        super().__init__()
        self._phase: Phase | None = None
        self._is_open = False
        self._is_continued = False

    def enter(self, phase: Phase) -> None:
        """Begin a phase; its group begins with its first line. The same phase again changes nothing."""
        with _locked(self):
            if phase is not self._phase:
                self.close_group()
                self._phase, self._is_continued = phase, False

    def leave(self) -> None:
        """End the last group."""
        with _locked(self):
            self.close_group()
            self._phase = None

    def emit(self, record: logging.LogRecord) -> None:
        """Begin the group before the phase's first line, and end it before a warning."""
        if record.name == log.name or self._phase is None:
            return
        if record.levelno >= logging.WARNING:
            self.close_group()
        elif not self._is_open:
            self._open_group()

    def close_group(self) -> None:
        """End the group if it is open."""
        if self._is_open:
            log.info("::endgroup::")
            self._is_open, self._is_continued = False, True

    def _open_group(self) -> None:
        log.info("::group::%s%s", self._phase, " (continued)" if self._is_continued else "")
        self._is_open = True


@contextmanager
def log_groups() -> Iterator[Callable[[Phase], None]]:
    """Group the log by phase during the block.

    Yields:
        A function to call when a phase begins. It does nothing outside a task, where no view collapses the lines, and
        in a nested block.
    """
    if not _is_task() or any(isinstance(handler, LogGroups) for handler in PACKAGE_LOG.handlers):
        yield lambda _: None
        return
    groups = LogGroups()
    PACKAGE_LOG.addHandler(groups)
    try:
        yield groups.enter
    finally:
        groups.leave()
        PACKAGE_LOG.removeHandler(groups)


@contextmanager
def _locked(handler: logging.Handler) -> Iterator[None]:
    """Hold the handler's lock, because the threads that send calls log too."""
    handler.acquire()
    try:
        yield
    finally:
        handler.release()


def _is_task() -> Any:
    """Return whether a task is running in this process."""
    try:
        return get_current_context()
    except RuntimeError:
        return None
