"""Times as vendors write and ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # no vendor's account is older, and a date before 1970 may be refused


def to_datetime(since: float) -> datetime:
    """A time in epoch seconds, not before any account was made."""
    return EARLIEST if since <= EARLIEST.timestamp() else datetime.fromtimestamp(since, UTC)


def day_before(since: float) -> str:
    """The day before a time: an account may count its days in a zone of its own, up to 14 hours from UTC."""
    return f"{to_datetime(since) - timedelta(days=1):%Y-%m-%d}"


def to_iso(since: float) -> str:
    """A time in ISO 8601, in UTC."""
    return f"{to_datetime(since):%Y-%m-%dT%H:%M:%SZ}"


def to_epoch_s(text: str) -> float | None:
    """Epoch seconds of a time with its zone; None where the text tells no zone, or is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None


def is_since_or_unknown(text: str, since: float) -> bool:
    """Whether a time is not before another; a time that cannot be read might be."""
    found = to_epoch_s(text)
    return found is None or found >= since
