"""Converts between epoch seconds and the time formats of vendors' APIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earliest time in a request: no vendor's account is older, and a vendor may reject a date before 1970."""


def to_datetime(since: float) -> datetime:
    """Return epoch seconds as a time in UTC, not before `EARLIEST`."""
    return EARLIEST if since <= EARLIEST.timestamp() else datetime.fromtimestamp(since, UTC)


def day_before(since: float) -> str:
    """Return the date of the day before a time, because an account's time zone may be up to 14 hours from UTC."""
    return f"{to_datetime(since) - timedelta(days=1):%Y-%m-%d}"


def to_iso(since: float) -> str:
    """Return a time as ISO 8601 in UTC."""
    return f"{to_datetime(since):%Y-%m-%dT%H:%M:%SZ}"


def to_epoch_s(text: str) -> float | None:
    """Parse an ISO 8601 time with a zone to epoch seconds; None if the text has no zone, or is not a time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def is_since_or_unknown(text: str, since: float) -> bool:
    """Return whether a time is at or after `since`; also True for a time that cannot be parsed.

    A time before `EARLIEST` is a default such as 0001-01-01 or 1970-01-01, so it counts as unknown.
    """
    moment_s = to_epoch_s(text)
    return moment_s is None or moment_s >= since or moment_s < EARLIEST.timestamp()
