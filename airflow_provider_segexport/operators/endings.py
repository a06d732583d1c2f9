"""How a task ends that cannot go on: `error -> skip, fail for good, come back, or let Airflow try again`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from airflow_provider_segexport.errors import SegexportError, TryAgain
from airflow_provider_segexport.hooks.failures import AGAIN, TryLater, airflow_class, message, unforeseen
from airflow_provider_segexport.operators import waits

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_segexport.operators.audience_task import AudienceTask

__all__ = ["AGAIN", "TryLater", "end", "end_unforeseen"]


def end(task: AudienceTask, error: SegexportError, started: datetime | None = None) -> NoReturn:
    """Translate by what comes next; `started` is when this try of the task began.

    Causes are not chained: a library's own words may quote a row or an address, and the message says it all.
    """
    if isinstance(error, TryAgain) and waits.is_worth_leaving(error):
        waits.come_back(task, error, started)
    kind = airflow_class(error)
    if kind is TryLater:
        raise TryLater(message(error), getattr(error, "after", None)) from None
    raise kind(message(error)) from None


def end_unforeseen(error: Exception) -> NoReturn:
    """Log where the exception came from, line by line, and end the try without the exception's own text."""
    raise unforeseen(error) from None
