"""Decides how a try ends after an error: `error -> skip, fail, retry, reschedule or defer`."""

from __future__ import annotations

import datetime as dt

from airflow.sdk.exceptions import AirflowException

from airflow_provider_segexport.errors import RetryableError, SegexportError
from airflow_provider_segexport.hooks.failures import RetryLater, airflow_class, message
from airflow_provider_segexport.operators import waits


def ending(error: SegexportError, *, deferrable: bool, timeout: dt.timedelta | None) -> AirflowException | waits.Wait:
    """Return the exception that the task raises, or the wait that it begins.

    Args:
        error: the error that ends the try.
        deferrable: the task may wait in the triggerer.
        timeout: how long the task may stay deferred; None for no limit.
    """
    if isinstance(error, RetryableError) and waits.is_wait(error):
        return waits.wait_for_retry(error, deferrable=deferrable, timeout=timeout)
    kind = airflow_class(error)
    if kind is RetryLater:
        return RetryLater(message(error), getattr(error, "retry_after_s", None))
    return kind(message(error))
