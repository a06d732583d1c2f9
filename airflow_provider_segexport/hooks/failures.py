"""What Airflow makes of an error: `error of this package or of a library -> Airflow's exception`."""

from __future__ import annotations

import errno
import logging
import os
import traceback

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_segexport.errors import (
    ExportsDisabled,
    FatalError,
    RetryableError,
    SegexportError,
    StaleSnapshot,
)

log = logging.getLogger(__name__)

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_SPACE = "No space left on device"
"""What the operating system calls it, and DuckDB after it."""

AGAIN = "Another try goes on where this one stopped."


class RetryLater(AirflowException):
    """Another try may succeed.

    Attributes:
        after: seconds that the vendor asks to wait before it; None where it told nothing.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


def airflow_class(error: SegexportError) -> type[AirflowException]:
    """The exception by which Airflow skips a task, fails it for good, or tries again."""
    match error:
        case ExportsDisabled() | StaleSnapshot(fails=False):
            return AirflowSkipException
        case FatalError():
            return AirflowFailException
        case _:
            return RetryLater


def message(error: SegexportError) -> str:
    """The error's text, and what another try does where one may help."""
    if not isinstance(error, RetryableError):
        return str(error)
    until = f" The vendor asks to wait for {error.retry_after_s:.0f} s." if error.retry_after_s else ""
    return f"{error}{until} {AGAIN}"


def airflow_exception(error: SegexportError) -> SegexportError:
    """Return the error as one that Airflow understands as well, and `except` by the package's own class still catches.

    Causes are not chained: a library's own words may quote a row or an address, and the message says it all.
    """
    kind = _both(type(error), airflow_class(error))
    both = kind.__new__(kind)
    both.args = (message(error),)
    both.__dict__.update(vars(error))
    return both


def _both(own: type[SegexportError], airflow: type[AirflowException]) -> type[SegexportError]:
    return type(own.__name__, (own, airflow), {"__module__": own.__module__, "after": None})


def unexpected(error: Exception) -> RetryLater:
    """Log where an exception came from, line by line, and return Airflow's exception for it.

    The exception's own text is left out: a library may quote a row in it, in any form.
    """
    where, name = "".join(traceback.format_tb(error.__traceback__)), type(error).__name__
    log.error("%s came up unforeseen, here:\n%s", name, where)
    if getattr(error, "errno", None) in FULL or NO_SPACE in str(error):
        return RetryLater(
            f"There is no room left to write run folder and ledger ({name}: {NO_SPACE}). Free some below "
            f"`[segexport] state_path`, or in the worker's folder for temporary files. {AGAIN}"
        )
    if isinstance(error, OSError):
        text = f": {os.strerror(error.errno)}" if error.errno else ""
        return RetryLater(
            f"Segment, run folder or ledger cannot be reached ({name}{text}). "
            f"Look at the disk or the object store below `[segexport] state_path`. {AGAIN}"
        )
    return RetryLater(
        f"Unexpected {name}. Its text may quote a row and is left out; the task's log names the lines of code. {AGAIN}"
    )
