"""A task that waits gives its place back: until a moment, until another run is done, until enough jobs have ended.

None of it costs a retry. A deferrable task waits in the triggerer; any other is rescheduled, as a sensor is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NoReturn

from airflow.sdk.exceptions import AirflowRescheduleException

from airflow_provider_segexport.errors import AudienceLocked, RateLimited, RetryableError, SegexportError

if TYPE_CHECKING:
    from airflow_provider_segexport.export.config import PendingJobs
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.operators.base import BaseAudienceOperator

LONG_S = 60.0
"""Shorter waits for a quota are sat out in the worker, a few times; then the task fails and its retries decide."""

SHORTEST_S = 5.0
"""Before this, nobody comes back."""

LOOK_AGAIN_S = 60.0
"""An audience may be free long before its holder's time is over: nobody waits longer than this without a look."""

LONGEST_WAIT = dt.timedelta(hours=24)

TRIGGER_MARGIN = dt.timedelta(minutes=10)
"""A trigger answers by itself when `job_timeout` is over; Airflow ends it this much later, if the triggerer is dead."""


def is_worth_leaving(error: SegexportError) -> bool:
    """Whether to come back later is all there is to do: a quota that is used up for long, an audience at work."""
    match error:
        case AudienceLocked():
            return True
        case RateLimited(retry_after_s=float() | int() as retry_after_s):
            return retry_after_s > LONG_S
        case _:
            return False


def resume_later(task: BaseAudienceOperator, error: RetryableError, started: dt.datetime | None = None) -> NoReturn:
    """Leave the worker and go on by itself at the moment that the error names; log the reason and the moment.

    Args:
        task: the task that waits.
        error: why it waits, and for how long.
        started: when this try of the task began; deferrals do not change it.
    """
    after = (
        min(error.retry_after_s or 0, LOOK_AGAIN_S) if isinstance(error, AudienceLocked) else error.retry_after_s or 0
    )
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=max(after, SHORTEST_S))
    task.log.warning("%s The task gives its place back, and goes on at %s UTC.", error, f"{moment:%Y-%m-%d %H:%M:%S}")
    if task.deferrable:
        from airflow_provider_segexport.triggers.until import UntilTrigger  # noqa: PLC0415

        kwargs = {"run_folder": task.plan_folder()}
        left = time_left(task, started) if task.execution_timeout else None
        task.defer(trigger=UntilTrigger(moment=moment.timestamp()), method_name="resume", kwargs=kwargs, timeout=left)
    raise AirflowRescheduleException(moment)


def wait_for_jobs(
    task: BaseAudienceOperator,
    hook: SegmentExportHook,
    waiting: PendingJobs,
    job_timeout_s: float,
    started: dt.datetime | None,
) -> NoReturn:
    """Give the worker's slot back until enough jobs have ended, or the oldest has run for `job_timeout`.

    Args:
        task: the task that waits.
        hook: the hook of its connection.
        waiting: the jobs.
        job_timeout_s: `job_timeout`, in seconds.
        started: when this try of the task began; deferrals do not change it.
    """
    from airflow_provider_segexport.triggers.import_jobs import ImportJobsTrigger  # noqa: PLC0415

    now = hook.clock()
    until = min(waiting.since, now) + job_timeout_s
    task.log.info(
        "Waiting in the triggerer for jobs at %s (jobs=%d job_timeout_at=%s)",
        hook.vendor.title,
        len(waiting.job_ids),
        f"{dt.datetime.fromtimestamp(until, dt.UTC):%Y-%m-%d %H:%M:%S} UTC",
    )
    task.defer(
        trigger=ImportJobsTrigger(
            vendor=hook.vendor.name,
            conn_id=task.conn_id,
            base_url=waiting.base_url,
            audience=waiting.audience,
            job_ids=waiting.job_ids,
            min_done=waiting.min_done,
            poll_interval=task.poll_interval,
            kind=waiting.kind,
            until=until,
        ),
        method_name="resume",
        kwargs={"run_folder": task.plan_folder()},
        timeout=min(dt.timedelta(seconds=max(until - now, 0)) + TRIGGER_MARGIN, time_left(task, started)),
    )
    raise AssertionError  # defer has raised


def time_left(task: BaseAudienceOperator, started: dt.datetime | None) -> dt.timedelta:
    """Return how long a task may stay deferred: Airflow 3 leaves this time out of `execution_timeout`.

    Args:
        task: the task; without an `execution_timeout` it may stay for `LONGEST_WAIT`.
        started: when this try of the task began.
    """
    if task.execution_timeout is None or started is None:
        return LONGEST_WAIT
    left = task.execution_timeout - (dt.datetime.now(dt.UTC) - started)
    return min(max(left, dt.timedelta(seconds=1)), LONGEST_WAIT)
