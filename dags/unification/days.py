"""A run -> the day it is for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time


def day_of_run(partition_key: str | None, asked: str | None, run_after: datetime) -> date:
    """The partition's day; without a partition the day asked for, or else the day the run was due.

    Raises:
        ValueError: If a partition's run is asked for another day, or what should be a day is none.
    """
    if partition_key and asked and partition_key != asked:
        raise ValueError(f"this run is for the partition {partition_key}; its parameter `day` says {asked}")
    if said := partition_key or asked:
        return date.fromisoformat(said)
    return run_after.astimezone(UTC).date()


def as_of(day: date) -> datetime:
    """The moment that the data of a day stands for: its beginning, in UTC."""
    return datetime.combine(day, time.min, tzinfo=UTC)
