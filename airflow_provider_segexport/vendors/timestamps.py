"""Times as vendors write and ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)  # no vendor's account is older, and a date before 1970 may be refused


def moment(since: float) -> datetime:
    """A time in epoch seconds, not before any account was made."""
    return LONG_AGO if since <= LONG_AGO.timestamp() else datetime.fromtimestamp(since, UTC)


def day_before(since: float) -> str:
    """The day before a time: an account may count its days in a zone of its own, up to 14 hours from UTC."""
    return f"{moment(since) - timedelta(days=1):%Y-%m-%d}"


def iso(since: float) -> str:
    """A time in ISO 8601, in UTC."""
    return f"{moment(since):%Y-%m-%dT%H:%M:%SZ}"


def seconds(text: str) -> float | None:
    """Epoch seconds of a time with its zone; None where the text tells no zone, or is no time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.timestamp() if found.tzinfo else None


def since_or_untold(text: str, since: float) -> bool:
    """Whether a time is not before another; a time that cannot be read might be."""
    found = seconds(text)
    return found is None or found >= since
