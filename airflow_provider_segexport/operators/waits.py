"""Lets a waiting task release its worker slot: until a time, until another run is done, or until jobs have ended.

None of these waits uses up a retry. A deferrable task waits in the triggerer; any other task is rescheduled, as a
sensor is.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.errors import AudienceLocked, RateLimited, RetryableError, SegexportError

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_segexport.export.config import PendingJobs
    from airflow_provider_segexport.hooks.session import VendorSession

MIN_QUOTA_WAIT_S = 60.0
"""Seconds. A task waits for a shorter time in its worker, a few times; then it fails, and Airflow retries it."""

MIN_WAIT_S = 5.0
"""Shortest time, in seconds, for which a task leaves its worker."""

MAX_LOCK_WAIT_S = 60.0
"""Longest time, in seconds, until a locked audience is checked again, because its holder may finish early."""

TRIGGER_MARGIN = dt.timedelta(minutes=10)
"""Time from the end of `job_timeout` until Airflow ends a deferral. A trigger fires before that, unless the triggerer
has died."""

MAX_DEFERRAL = dt.timedelta(hours=24) + TRIGGER_MARGIN
"""Longest deferral: the longest `job_timeout`, and the margin."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait without a worker slot.

    Attributes:
        message: the line for the task's log.
        until: when a rescheduled task runs again; a trigger may fire earlier.
        trigger: the trigger of a deferred task; None reschedules the task.
        timeout: how long Airflow lets the task stay deferred; None for no limit.
    """

    message: str
    until: dt.datetime
    trigger: BaseTrigger | None = None
    timeout: dt.timedelta | None = None


def is_wait(error: SegexportError) -> bool:
    """Return whether a task waits without its worker: if the audience is locked, or a quota is used up for long."""
    match error:
        case AudienceLocked():
            return True
        case RateLimited(retry_after_s=float() | int() as retry_after_s):
            return retry_after_s > MIN_QUOTA_WAIT_S
        case _:
            return False


def wait_for_retry(error: RetryableError, *, deferrable: bool, timeout: dt.timedelta | None) -> Wait:
    """Return the wait until the time that an error names.

    Args:
        error: the reason for the wait, with its duration.
        deferrable: wait in the triggerer; else the task is rescheduled.
        timeout: how long the task may stay deferred; None for no limit.
    """
    after_s = error.retry_after_s or 0
    if isinstance(error, AudienceLocked):
        after_s = min(after_s, MAX_LOCK_WAIT_S)
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=max(after_s, MIN_WAIT_S))
    facts = error.facts if isinstance(error, AudienceLocked) else error
    message = f"{facts} Releasing the worker slot; the task resumes at {until:%Y-%m-%d %H:%M:%S} UTC."
    if not deferrable:
        return Wait(message, until)
    from airflow_provider_segexport.triggers.until import UntilTrigger  # noqa: PLC0415

    return Wait(message, until, UntilTrigger(moment=until.timestamp()), timeout)


def wait_for_jobs(
    session: VendorSession,
    jobs: PendingJobs,
    *,
    job_timeout_s: float,
    poll_interval_s: float,
    timeout: dt.timedelta,
) -> Wait:
    """Return the wait in the triggerer until enough jobs have ended, or the oldest has run for `job_timeout`.

    Args:
        session: the account.
        jobs: the jobs, and how many of them must have ended.
        job_timeout_s: `job_timeout`, in seconds.
        poll_interval_s: time between two polls, in seconds.
        timeout: how long the task may stay deferred.
    """
    from airflow_provider_segexport.triggers.import_jobs import ImportJobsTrigger  # noqa: PLC0415

    now = session.clock()
    until_s = min(jobs.since, now) + job_timeout_s
    until = dt.datetime.fromtimestamp(until_s, dt.UTC)
    trigger = ImportJobsTrigger(
        vendor=session.vendor.name,
        conn_id=session.conn_id,
        base_url=jobs.base_url,
        audience=jobs.audience,
        job_ids=jobs.job_ids,
        min_done=jobs.min_done,
        poll_interval=poll_interval_s,
        kind=jobs.kind,
        until=until_s,
    )
    return Wait(
        f"Waiting in the triggerer for jobs at {session.vendor.title} "
        f"(jobs={len(jobs.job_ids)} job_timeout_at={until:%Y-%m-%d %H:%M:%S} UTC)",
        until,
        trigger,
        min(dt.timedelta(seconds=max(until_s - now, 0)) + TRIGGER_MARGIN, timeout),
    )


def max_deferral(execution_timeout: dt.timedelta | None, try_started: dt.datetime | None) -> dt.timedelta:
    """Return how long a task may stay deferred. Airflow 3 does not count this time towards `execution_timeout`.

    Args:
        execution_timeout: the task's `execution_timeout`; None allows `MAX_DEFERRAL`.
        try_started: when this try of the task began. Deferrals do not change it.
    """
    if execution_timeout is None or try_started is None:
        return MAX_DEFERRAL
    left = execution_timeout - (dt.datetime.now(dt.UTC) - try_started)
    return min(max(left, dt.timedelta(seconds=1)), MAX_DEFERRAL)
