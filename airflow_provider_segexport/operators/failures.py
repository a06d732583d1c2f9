"""How a task ends that cannot go on: `error -> skip, fail for good, come back, or let Airflow try again`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.hooks.failures import AGAIN, RetryLater, airflow_class, message, unexpected
from airflow_provider_segexport.operators import waits

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_segexport.operators.base import BaseAudienceOperator

__all__ = ["AGAIN", "RetryLater", "raise_for_airflow", "raise_unexpected"]


def raise_for_airflow(task: BaseAudienceOperator, error: SegexportError, started: datetime | None = None) -> NoReturn:
    """Translate by what comes next; `started` is when this try of the task began.

    Causes are not chained: a library's own words may quote a row or an address, and the message says it all.
    """
    if isinstance(error, RetryableError) and waits.is_worth_leaving(error):
        waits.resume_later(task, error, started)
    kind = airflow_class(error)
    if kind is RetryLater:
        raise RetryLater(message(error), getattr(error, "retry_after_s", None)) from None
    raise kind(message(error)) from None


def raise_unexpected(error: Exception) -> NoReturn:
    """Log where the exception came from, line by line, and end the try without the exception's own text."""
    raise unexpected(error) from None
