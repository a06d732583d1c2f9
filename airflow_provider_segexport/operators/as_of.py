"""Which time a run's segment describes: `context -> datetime`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from airflow_provider_segexport.errors import BadSegment
from airflow_provider_segexport.operators.partition_keys import key_start, period_start


def as_of(context: Mapping[str, Any], given: datetime | date | str | None) -> datetime:
    """What the task was given; else the partition's time, the data interval's end, the logical date, the run's time.

    A run that an asset or a person has started has no logical date and no data interval in Airflow 3. Airflow 3.2 gives
    a task no partition in its context, and the run's key alone. Of a key that names a month, a quarter or a week the
    start counts, as it does for a day.

    Raises:
        BadSegment: the argument is no time, or the run has a partition key without a time in it.
    """
    if isinstance(given, str) and given.strip():
        return parse(given.strip())
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    if isinstance(given, date):
        return datetime.combine(given, time.min, tzinfo=UTC)
    run = context.get("dag_run")
    partition = getattr(run, "partition_date", None) or key_start(getattr(run, "partition_key", None))
    return run_time(context) if partition is None else _in_utc(partition)


def run_time(context: Mapping[str, Any]) -> datetime:
    """The data interval's end, else the logical date, else the run's time: the same in every try of a task."""
    run = context.get("dag_run")
    for moment in (context.get("data_interval_end"), context.get("logical_date"), getattr(run, "run_after", None)):
        if isinstance(moment, datetime):
            return _in_utc(moment)
    return datetime.now(UTC)


def _in_utc(moment: datetime) -> datetime:
    """A time without a zone is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse(text: str) -> datetime:
    """Read ISO 8601: a time, a date, a month, a quarter or a week, whose start counts; without a zone it is UTC."""
    moment = period_start(text)
    if moment is None:
        raise BadSegment(f"`as_of` is {text!r}, and should be a time such as 2026-01-31T02:00:00+00:00.")
    return moment
