"""Translates errors for Airflow: `error of this package or of a library -> Airflow's exception`."""

from __future__ import annotations

import errno
import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_segexport.errors import (
    ExportsDisabled,
    FatalError,
    RetryableError,
    SegexportError,
    StaleSnapshot,
    restored,
)
from airflow_provider_segexport.storage.private import DISK_FULL_ERRNOS
from airflow_provider_segexport.storage.sealing import NO_FILES

log = logging.getLogger(__name__)

NO_SPACE = "No space left on device"
"""The operating system's text for a full disk, which DuckDB quotes."""

RETRY_RESUMES = "A retry resumes where this try stopped."

UNEXPECTED, TIMED_OUT, SKIPPED, WORKER_LOST = "unexpected", "execution-timeout", "skipped", "worker-lost"
"""Error codes of tries that end without an exception of this package."""


class RetryLater(AirflowException):
    """A retry may succeed.

    Attributes:
        retry_after_s: seconds that the vendor asks to wait before the retry; None if the vendor names no time.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


def airflow_class(error: SegexportError) -> type[AirflowException]:
    """Return the exception with which Airflow skips a task, fails it without retries, or retries it."""
    match error:
        case ExportsDisabled() | StaleSnapshot(fails=False):
            return AirflowSkipException
        case FatalError():
            return AirflowFailException
        case _:
            return RetryLater


def message(error: SegexportError) -> str:
    """Return the error's text, with what a retry does if one may help."""
    if not isinstance(error, RetryableError):
        return str(error)
    wait = f" The vendor asks to wait for {error.retry_after_s:.0f} s." if error.retry_after_s else ""
    return f"{error}{wait} {RETRY_RESUMES}"


def airflow_exception(error: SegexportError) -> SegexportError:
    """Return the error as an instance of both Airflow's exception class and the package's own.

    Causes are not chained, because a library's text may quote a row or an address.
    """
    if isinstance(error, AirflowException):
        return error
    return _combined(type(error), (message(error),), vars(error))


def _combined(own: type[SegexportError], args: tuple[Any, ...], attributes: dict[str, Any]) -> SegexportError:
    """Create an instance of a combined class, without the constructor of the package's own class."""
    error = restored(own, args, attributes)
    return restored(_combined_class(own, airflow_class(error)), args, attributes)


def _combined_class(own: type[SegexportError], airflow: type[AirflowException]) -> type[SegexportError]:
    def reduce(error: SegexportError) -> tuple[Any, ...]:
        return _combined, (own, error.args, vars(error))

    names = {"__module__": own.__module__, "retry_after_s": None, "__reduce__": reduce}
    return type(own.__name__, (own, airflow), names)


def unexpected(error: Exception) -> RetryLater:
    """Log the traceback of an unexpected exception, and return Airflow's exception for it."""
    lines, name = "".join(traceback.format_tb(error.__traceback__)), type(error).__name__
    log.error("Unexpected %s:\n%s", name, lines)
    return RetryLater(unexpected_text(error))


def unexpected_text(error: Exception) -> str:
    """Describe an unexpected exception. Its own text is left out, because a library may quote a row in it."""
    name = type(error).__name__
    if getattr(error, "errno", None) in DISK_FULL_ERRNOS or NO_SPACE in str(error):
        return (
            f"The disk is full, so run folder and ledger cannot be written ({name}: {NO_SPACE}). To fix: free space "
            f"below `[segexport] state_path`, or in the worker's folder for temporary files. {RETRY_RESUMES}"
        )
    if isinstance(error, OSError):
        text = f": {os.strerror(error.errno)}" if error.errno else ""
        file = error.filename2 or error.filename  # a rename names both, and the target is the one that exists
        if error.errno in {errno.EISDIR, errno.ELOOP} and file:
            return (
                f"The file {file} cannot be read or written: {NO_FILES[error.errno]}. To fix: move "
                f"or rename the folder or link at this path. {RETRY_RESUMES}"
            )
        return (
            f"Segment, run folder or ledger cannot be reached ({name}{text}). To fix: check the disk or the object "
            f"store of `[segexport] state_path`, and of the task's `reports_path` if it has one. {RETRY_RESUMES}"
        )
    return (
        f"Unexpected {name}. Its text is left out, because it may quote a row; the task's log has the traceback. "
        f"{RETRY_RESUMES}"
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise each error of the block as one of Airflow's exceptions, without its causes."""
    try:
        yield
    except SegexportError as error:
        raise airflow_exception(error) from None
    except AirflowException:
        raise
    except Exception as error:  # noqa: BLE001 - a foreign exception may quote a row: its text is masked
        raise unexpected(error) from None


@contextmanager
def fatal_errors_translated() -> Iterator[None]:
    """Raise an error that no retry mends as one of Airflow's exceptions, without its causes.

    The public methods of a hook do this, so that a `@task` that calls them fails as an operator's task does. Any other
    error is raised unchanged, so the task's `retries` decide.
    """
    try:
        yield
    except FatalError as error:
        raise airflow_exception(error) from None
