"""A task that waits gives its place back: until a moment, until another run is done, until enough jobs have ended.

None of it costs a retry. A deferrable task waits in the triggerer; any other is rescheduled, as a sensor is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_segexport.errors import AudienceBusy, QuotaSpent, SegexportError, TryAgain

if TYPE_CHECKING:
    from airflow_provider_segexport.export import Waiting
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.operators.audience_task import AudienceTask

LONG_S = 60.0
"""Shorter waits for a quota are sat out in the worker, a few times; then the task fails and its retries decide."""

SHORTEST_S = 5.0
"""Before this, nobody comes back."""

LOOK_AGAIN_S = 60.0
"""An audience may be free long before its holder's time is over: nobody waits longer than this without a look."""

LONGEST_WAIT = dt.timedelta(hours=24)


def is_worth_leaving(error: SegexportError) -> bool:
    """Whether to come back later is all there is to do: a quota that is used up for long, an audience at work."""
    match error:
        case AudienceBusy():
            return True
        case QuotaSpent(after=float() | int() as after):
            return after > LONG_S
        case _:
            return False


def come_back(task: AudienceTask, error: TryAgain) -> NoReturn:
    """Leave the worker and go on by itself at the moment that the error names, with a word on why until when."""
    after = min(error.after or 0, LOOK_AGAIN_S) if isinstance(error, AudienceBusy) else error.after or 0
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=max(after, SHORTEST_S))
    task.log.warning("%s The task gives its place back, and goes on at %s UTC.", error, f"{moment:%Y-%m-%d %H:%M:%S}")
    if task.deferrable:
        from airflow_provider_segexport.triggers.until import UntilTrigger  # noqa: PLC0415

        kwargs = {"run_folder": task.plan_place()}
        task.defer(trigger=UntilTrigger(moment=moment.timestamp()), method_name="resume", kwargs=kwargs)
    raise AirflowRescheduleException(moment)


def wait_for_jobs(task: AudienceTask, hook: SegmentExportHook, waiting: Waiting) -> NoReturn:
    """Give the worker's slot back until enough jobs have ended."""
    from airflow_provider_segexport.triggers.import_jobs import ImportJobsTrigger  # noqa: PLC0415

    task.log.info("%d jobs run at %s; waiting in the triggerer.", len(waiting.tickets), hook.vendor.title)
    task.defer(
        trigger=ImportJobsTrigger(
            vendor=hook.vendor.name,
            conn_id=task.conn_id,
            api=waiting.api,
            audience=waiting.audience,
            tickets=waiting.tickets,
            enough=waiting.enough,
            poll_interval=task.poll_interval,
            kind=waiting.kind,
        ),
        method_name="resume",
        kwargs={"run_folder": task.plan_place()},
        timeout=LONGEST_WAIT,
    )
    raise AssertionError  # defer has raised
