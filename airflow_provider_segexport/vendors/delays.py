"""Parses the wait that a vendor asks for in a header, and returns it in seconds."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_S = 86_400.0
"""Longest accepted wait in seconds: no quota that a vendor publishes has a window of more than a day."""

CLOCK_TOLERANCE_S = 60.0
"""A wait longer than `MAX_WAIT_S` by up to this many seconds counts as `MAX_WAIT_S`, because two clocks measured it."""

EPOCH_S, EPOCH_MS = 1e9, 1e11
"""Lowest numbers that count as epoch times in seconds and in milliseconds. As durations they would exceed 31 years."""


def seconds_until(text: str, now: float) -> float | None:
    """Parse a duration or a time.

    Args:
        text: seconds, an epoch time (seconds, milliseconds or finer), an HTTP date or an ISO 8601 date.
        now: current time in epoch seconds.

    Returns:
        Seconds from now, at least 0, without an upper limit; None if the text is none of these.
    """
    try:
        value = float(text)
    except ValueError:
        moment = date_to_epoch_s(text)
        return None if moment is None else max(0.0, moment - now)
    if not 0 <= value < math.inf:
        return None
    while value >= EPOCH_MS:
        value /= 1000
    return max(0.0, value - now) if value >= EPOCH_S else value


def bounded(seconds: float | None) -> float | None:
    """Return a wait, capped at `MAX_WAIT_S` seconds; None if it is None, negative or beyond the tolerance."""
    if seconds is None or not 0 <= seconds <= MAX_WAIT_S + CLOCK_TOLERANCE_S:  # NaN compares as false
        return None
    return min(seconds, MAX_WAIT_S)


def is_too_long(seconds: float | None) -> bool:
    """Return whether a wait exceeds `MAX_WAIT_S` by more than `CLOCK_TOLERANCE_S`."""
    return seconds is not None and seconds > MAX_WAIT_S + CLOCK_TOLERANCE_S


def date_to_epoch_s(text: str) -> float | None:
    """Return the epoch seconds of an HTTP or ISO 8601 date; a date without a zone is in UTC."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, OverflowError, IndexError):
            moment = parse(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
