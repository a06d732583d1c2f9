"""Reads the time in a partition key: `"2026-03-02|eu" -> 2026-03-02, ("eu",)`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_provider_segexport.errors import InvalidSegment

YEARS = range(1900, 2200)
"""A key such as `30011231` is a number of something, and no day."""

DIMENSIONS = re.compile(r"[|/,;&]")
"""What separates the dimensions of a key; Airflow's `ProductMapper` writes `|`."""

MONTH = re.compile(r"(\d{4})-(\d{2})")
QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
WEEK_OF = re.compile(r"(\d{4}-\d{2}-\d{2}) \(W\d{2}\)")
"""A key of Airflow's `StartOfWeekMapper`: the Monday, then the number of the week."""


class KeyTime(NamedTuple):
    """A partition key in parts.

    Attributes:
        moment: the start of the period that the key names, in UTC where the key names no zone.
        others: the key's other dimensions, in their order.
    """

    moment: datetime
    others: tuple[str, ...]


def key_time(key: Any) -> KeyTime | None:
    """Read a partition key; None where none of its dimensions is a time. The first one that is a time counts."""
    if not isinstance(key, str):
        return None
    if (whole := period_start(key)) is not None:
        return KeyTime(whole, ())
    parts = DIMENSIONS.split(key)
    for number, part in enumerate(parts):
        moment = period_start(part.rpartition("=")[2])
        if moment is not None:
            return KeyTime(moment, tuple(other.strip() for other in (*parts[:number], *parts[number + 1 :])))
    return None


def period_start(text: str) -> datetime | None:
    """The start of an ISO date, time, month, quarter or week; None where the text is none of them."""
    text = text.strip()
    if MONTH.fullmatch(text):
        text = f"{text}-01"
    elif match := QUARTER.fullmatch(text):
        text = f"{match[1]}-{int(match[2]) * 3 - 2:02d}-01"
    elif match := WEEK_OF.fullmatch(text):
        text = match[1]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def key_start(key: Any) -> datetime | None:
    """The time in a partition key; None where the run has no key.

    Raises:
        InvalidSegment: the key holds no time.
    """
    if key is None:
        return None
    parts = key_time(key)
    if parts is None:
        raise InvalidSegment(
            f"The partition key {key!r} holds no date, month, quarter or week, so the time that the segment describes "
            "is not known. To fix: give the task `as_of`, or use keys such as '2026-03-02|eu'."
        )
    return parts.moment
