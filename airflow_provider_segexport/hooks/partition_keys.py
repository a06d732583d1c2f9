"""Reads the time in a partition key: `"2026-03-02|eu" -> 2026-03-02, ("eu",)`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from airflow_provider_segexport.errors import InvalidSegment

YEARS = range(1900, 2200)
"""Years that a key may name. `30011231` is a number and no date."""

DIMENSIONS = re.compile(r"[|/,;&]")
"""Separators of a key's dimensions; Airflow's `ProductMapper` writes `|`."""

MONTH = re.compile(r"(\d{4})-(\d{2})")
QUARTER = re.compile(r"(\d{4})-?Q([1-4])", re.IGNORECASE)
WEEK_OF = re.compile(r"(\d{4}-\d{2}-\d{2}) \(W\d{2}\)")
"""A key of Airflow's `StartOfWeekMapper`: the Monday, then the week's number."""

ISO_FORM = re.compile(
    r"\d{4}-?(\d{2}-?\d{2}|W\d{2}(-?\d)?)([T ]\d[\d:.,]*(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)?)?", re.IGNORECASE
)
"""A date or week, and perhaps a time. `datetime.fromisoformat` alone would accept any character between date and time,
so `2026-03-02|05` would be five o'clock. It would also accept offsets that no time zone has, such as 23 hours."""


class KeyTime(NamedTuple):
    """A partition key in parts.

    Attributes:
        moment: the start of the key's period, in UTC if the key has no zone.
        others: the key's other dimensions, in order.
    """

    moment: datetime
    others: tuple[str, ...]


def key_time(key: Any) -> KeyTime | None:
    """Read a partition key by its first dimension that is a time; None if it has no such dimension."""
    if not isinstance(key, str):
        return None
    if (start := period_start(key)) is not None:
        return KeyTime(start, ())
    parts = DIMENSIONS.split(key)
    for number, part in enumerate(parts):
        moment = period_start(part.rpartition("=")[2])
        if moment is not None:
            return KeyTime(moment, tuple(other.strip() for other in (*parts[:number], *parts[number + 1 :])))
    return None


def period_start(text: str) -> datetime | None:
    """Return the start of an ISO date, time, month, quarter or week; None if the text is none of them."""
    text = text.strip()
    if MONTH.fullmatch(text):
        text = f"{text}-01"
    elif match := QUARTER.fullmatch(text):
        text = f"{match[1]}-{int(match[2]) * 3 - 2:02d}-01"
    elif match := WEEK_OF.fullmatch(text):
        text = match[1]
    if not ISO_FORM.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.year not in YEARS:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def key_start(key: Any) -> datetime | None:
    """Return the time in a partition key; None if the run has no key.

    Raises:
        InvalidSegment: the key contains no time.
    """
    if key is None:
        return None
    parts = key_time(key)
    if parts is None:
        raise InvalidSegment(
            f"The partition key {key!r} holds no date, month, quarter or week, so the time that the segment describes "
            "is unknown. To fix: pass `as_of`, or use keys such as '2026-03-02|eu'."
        )
    return parts.moment
