"""Collects the log of an attempt, as its process would write it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class LogCollector(logging.Handler):
    """Collects the lines that a process would write into a task's log."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._texts = texts

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line, with the text of its exception."""
        if not record.name.startswith("uvicorn"):  # the simulator's server, in this process
            self._texts.append(self.format(record))


@contextmanager
def collected_logs(texts: list[str]) -> Iterator[None]:
    """Log our loggers in full detail, and all others as a task's log shows them."""
    handler = LogCollector(texts)
    ours, root_logger = logging.getLogger("airflow_provider_segexport"), logging.getLogger()
    levels = ours.level, root_logger.level
    ours.setLevel(logging.DEBUG)
    root_logger.setLevel(logging.INFO)
    root_logger.addHandler(handler)
    try:
        yield
    finally:
        root_logger.removeHandler(handler)
        ours.setLevel(levels[0])
        root_logger.setLevel(levels[1])
