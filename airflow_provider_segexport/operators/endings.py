"""How a task ends that cannot go on: `error -> skip, fail for good, come back, or let Airflow try again`."""

from __future__ import annotations

import errno
import traceback
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_segexport.errors import (
    OlderThanLedger,
    SegexportError,
    StopExport,
    SwitchedOff,
    TryAgain,
    without_addresses,
)
from airflow_provider_segexport.operators import waits

if TYPE_CHECKING:
    from airflow_provider_segexport.operators.audience_task import AudienceTask

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_SPACE = "No space left on device"
"""What the operating system calls it, and DuckDB after it."""

AGAIN = "Another try goes on where this one stopped."


class TryLater(AirflowException):
    """Another try may succeed.

    Attributes:
        after: seconds that the vendor asks to wait before it; None where it told nothing.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


def end(task: AudienceTask, error: SegexportError) -> NoReturn:
    """Translate by what comes next.

    Causes are not chained: a library's own words may quote a row or an address, and the message says it all.
    """
    match error:
        case SwitchedOff() | OlderThanLedger(fails=False):
            raise AirflowSkipException(str(error)) from None
        case StopExport():
            raise AirflowFailException(str(error)) from None
        case TryAgain() if waits.is_worth_leaving(error):
            waits.come_back(task, error)
        case TryAgain():
            until = f" The vendor asks to wait for {error.after:.0f} s." if error.after else ""
            raise TryLater(f"{error}{until} {AGAIN}", error.after) from None
        case _:
            raise TryLater(str(error)) from None


def end_unforeseen(task: AudienceTask, error: Exception) -> NoReturn:
    """Tell where it came from, line by line, and what it says without anything that could be an address."""
    where, name = "".join(traceback.format_tb(error.__traceback__)), type(error).__name__
    task.log.error("%s came up unforeseen, here:\n%s", name, where)
    if getattr(error, "errno", None) in FULL or NO_SPACE in str(error):
        raise TryLater(
            f"There is no room left to write run folder and ledger ({name}: {NO_SPACE}). Free some below "
            f"`[segexport] root`, or in the worker's folder for temporary files. {AGAIN}"
        ) from None
    if isinstance(error, OSError):
        words = without_addresses(str(error.strerror or error))
        raise TryLater(
            f"Segment, run folder or ledger cannot be reached ({name}: {words}). Look at the disk or the object store "
            f"below `[segexport] root`. {AGAIN}"
        ) from None
    raise TryLater(
        f"{name}: {without_addresses(str(error))} (unforeseen; another try goes on where this one stopped)"
    ) from None
