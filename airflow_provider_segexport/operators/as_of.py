"""Which time a run's segment describes: `context -> datetime`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from airflow_provider_segexport.errors import BadSegment


def as_of(context: Mapping[str, Any], given: datetime | date | str | None) -> datetime:
    """What the task was given; else the partition's date, the data interval's end, the logical date, the run's time.

    A run that an asset or a hand has started has no logical date and no data interval in Airflow 3. Airflow 3.2 tells a
    task no partition in its context, and of the run the key alone.
    """
    if isinstance(given, str) and given.strip():
        return parse(given.strip())
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    if isinstance(given, date):
        return datetime.combine(given, time.min, tzinfo=UTC)
    run = context.get("dag_run")
    candidates = (
        getattr(run, "partition_date", None),
        key_date(getattr(run, "partition_key", None)),
        context.get("data_interval_end"),
        context.get("logical_date"),
        getattr(run, "run_after", None),
    )
    for found in candidates:
        if isinstance(found, datetime):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime.now(UTC)


def key_date(key: Any) -> datetime | None:
    """A partition key that is a date, as a daily partition's is."""
    try:
        return parse(key) if isinstance(key, str) else None
    except BadSegment:
        return None


def parse(text: str) -> datetime:
    """ISO 8601; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSegment(f"`as_of` is {text!r}, and should be a time such as 2026-01-31T02:00:00+00:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
