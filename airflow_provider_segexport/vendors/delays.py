"""Reads how long a vendor asks a client to wait: header text to seconds, within a bound."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_S = 86_400.0
"""The longest wait that is kept, in seconds: no published quota of a vendor runs for more than a day."""

CLOCK_TOLERANCE_S = 60.0
"""A wait up to this much longer than `LONGEST_S` counts as `LONGEST_S`: two clocks measured it."""

EPOCH_S, EPOCH_MS = 1e9, 1e11
"""A number from here on is a time and not a span, in seconds or milliseconds: as spans they are 31 and 3,170 years."""


def seconds_until(text: str, now: float) -> float | None:
    """Read a span or a time, however it is written.

    Args:
        text: seconds, an epoch time (seconds, milliseconds or finer), an HTTP date or an ISO 8601 date.
        now: epoch seconds.

    Returns:
        Seconds from now, at least 0 and perhaps longer than `LONGEST_S`; None where the text is none of these.
    """
    try:
        value = float(text)
    except ValueError:
        moment = _date(text)
        return None if moment is None else max(0.0, moment - now)
    if not 0 <= value < math.inf:
        return None
    while value >= EPOCH_MS:
        value /= 1000
    return max(0.0, value - now) if value >= EPOCH_S else value


def bounded(seconds: float | None) -> float | None:
    """Return a wait that can be kept, at most `LONGEST_S`; None where there is none, or one that is too long."""
    if seconds is None or not 0 <= seconds <= MAX_WAIT_S + CLOCK_TOLERANCE_S:  # NaN compares as false
        return None
    return min(seconds, MAX_WAIT_S)


def is_too_long(seconds: float | None) -> bool:
    """Return whether a vendor asks for a wait that is longer than any that is kept."""
    return seconds is not None and seconds > MAX_WAIT_S + CLOCK_TOLERANCE_S


def _date(text: str) -> float | None:
    """Return the epoch seconds of a date; a date without a zone is in UTC."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, OverflowError, IndexError):
            moment = read(text.strip())
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
