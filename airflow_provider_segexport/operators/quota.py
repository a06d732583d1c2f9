"""A quota that is used up for longer than a worker should wait: the task gives its place back until there is room."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_segexport.errors import QuotaSpent, SegexportError

if TYPE_CHECKING:
    from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

LONG_S = 60.0
"""Shorter waits are sat out in the worker, a few times; then the task fails and its retries decide."""


def is_long(error: SegexportError) -> bool:
    """Whether the vendor asks to come back much later, as it does when a day's calls are used up."""
    return isinstance(error, QuotaSpent) and error.after is not None and error.after > LONG_S


def come_back(task: SegmentExportOperator, error: QuotaSpent) -> NoReturn:
    """Leave the worker and go on by itself at the moment that the vendor has named. It costs no retry.

    A deferrable task waits in the triggerer; any other is rescheduled, as a sensor is.
    """
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=error.after or 0)
    task.log.warning("%s The task gives its place back, and goes on at %s UTC.", error, f"{moment:%Y-%m-%d %H:%M:%S}")
    if task.deferrable:
        from airflow_provider_segexport.triggers.until import UntilTrigger  # noqa: PLC0415

        task.defer(trigger=UntilTrigger(moment=moment.timestamp()), method_name="resume")
    raise AirflowRescheduleException(moment)
