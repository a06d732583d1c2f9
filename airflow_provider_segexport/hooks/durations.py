"""Reads a duration: `timedelta, seconds, "6h", "1 h 30 min", "PT6H", "6:00:00" -> seconds`."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks.numpy_scalars import scalar
from airflow_provider_segexport.trimming import trimmed

LONGEST_JOB_TIMEOUT_S = 24 * 3600.0
"""Longest `job_timeout`, in seconds: an audience stays locked for a deferred run for at most a day."""

SHORTEST_JOB_TIMEOUT_S = 60.0
"""Shortest `job_timeout`, in seconds: a small import may take a minute."""

UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
}
"""Seconds by unit."""

_NUMBER = r"\d{1,9}(?:\.\d{1,6})?"
_PART = re.compile(rf"({_NUMBER})\s*([a-z]+)[\s,]*", re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,4}) days?,\s*)?(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)
_ISO = re.compile(rf"p(?:(\d{{1,4}})d)?(?:t(?:({_NUMBER})h)?(?:({_NUMBER})m)?(?:({_NUMBER})s)?)?", re.ASCII)


def seconds_of(given: Any) -> float:
    """Return a duration in seconds; NaN if the value is no duration."""
    given = scalar(given)
    if isinstance(given, bool):
        return math.nan
    if isinstance(given, dt.timedelta):
        return given.total_seconds()
    if isinstance(given, str):
        return _seconds_of_text(trimmed(given).lower())
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _seconds_of_text(text: str) -> float:
    """Return the seconds of a number, of numbers with units, of ISO 8601 or of a timedelta as Python prints it."""
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return float(text)
    for pattern in (_CLOCK, _ISO):
        parts = pattern.fullmatch(text)
        if parts and any(parts.groups()):
            days, hours, minutes, secs = (float(part or 0) for part in parts.groups())
            return days * 86_400 + hours * 3600 + minutes * 60 + secs
    total, end = 0.0, 0
    while part := _PART.match(text, end):
        if part[2] not in UNITS:
            return math.nan
        total, end = total + float(part[1]) * UNITS[part[2]], part.end()
    return total if text and end == len(text) else math.nan


def seconds(given: Any, name: str) -> float:
    """Return a duration in seconds.

    Raises:
        InvalidArgument: the value is no duration above 0.
    """
    duration_s = seconds_of(given)
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise InvalidArgument(
            f"`{name}` is {given!r}. To fix: pass seconds above 0, a timedelta, or a text such as '30s' or '6h'."
        )
    return duration_s


def job_timeout(given: Any, name: str = "job_timeout") -> float:
    """Return `job_timeout` in seconds.

    Raises:
        InvalidArgument: the value is no duration between one minute and 24 hours.
    """
    duration_s = seconds_of(given)
    if not SHORTEST_JOB_TIMEOUT_S <= duration_s <= LONGEST_JOB_TIMEOUT_S:
        raise InvalidArgument(
            f"`{name}` is {given!r}. To fix: pass a duration from one minute to 24 hours as seconds, as a timedelta, "
            "or as text such as '6h' or '90 min'."
        )
    return duration_s
