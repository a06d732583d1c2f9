"""The day whose data a DAG run processes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def day_of_run(partition_key: str | None, day: str | None, run_after: datetime) -> date:
    """Return the partition's day; without a partition the parameter `day`, or else the day on which the run was due.

    Args:
        partition_key: the run's partition as YYYY-MM-DD, or None.
        day: the parameter `day` as YYYY-MM-DD, or None.
        run_after: when the run was due.

    Raises:
        ValueError: If `day` differs from the partition, or is not a date.
    """
    if partition_key and day and partition_key != day:
        raise ValueError(
            f"The run is for partition {partition_key}, but its parameter `day` is {day}. To fix: leave `day` empty."
        )
    if chosen := partition_key or day:
        return date.fromisoformat(chosen)
    return run_after.astimezone(UTC).date()


def as_of(day: date) -> datetime:
    """Return the `as_of` of a day's data: its beginning in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC)
