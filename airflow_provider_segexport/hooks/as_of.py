"""Determines the time that a run's segment describes: `context -> datetime`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.hooks.partition_keys import key_start, period_start

EARLIEST_S, LATEST_S = 946_684_800, 4_102_444_800
"""2000-01-01 and 2100-01-01 in epoch seconds: a number between them is a Unix time, in seconds or a smaller unit."""

UNITS_PER_SECOND = (1, 1_000, 1_000_000, 1_000_000_000)
"""Units per second: s, ms, µs, ns. Between 2000 and 2100 the ranges of two units do not overlap."""

MAX_AHEAD = timedelta(days=2)
"""How far a snapshot's time may be after this machine's time: a day begins up to 14 hours earlier in another time zone,
and a clock may be wrong by a day."""

DAY_DIGITS, SECOND_DIGITS = 8, 14
"""Digits of 20260305 and 20260305020000: native rendering turns `ds_nodash` and similar texts into numbers."""


def as_of(context: Mapping[str, Any], given: Any = None) -> datetime:
    """Return the given time, or the first that exists of partition date, data interval end, logical date and run time.

    In Airflow 3 a run that an asset or a person has started has no logical date and no data interval. Airflow 3.2 does
    not put the partition date into a task's context, only the run's partition key. A key that names a month, a quarter
    or a week means its start, as a date does.

    Args:
        context: Airflow's context of the task.
        given: the argument `as_of`; None if it is left out.

    Raises:
        InvalidSegment: the argument is no time, or the run's partition key contains none.
    """
    if given is not None:
        return moment(given)
    run = context.get("dag_run")
    partition = getattr(run, "partition_date", None) or key_start(getattr(run, "partition_key", None))
    return run_time(context) if partition is None else _in_utc(partition)


def check_not_future(moment: datetime, now: datetime) -> datetime:
    """Return a snapshot's time after a check that it is not in the future.

    Args:
        moment: the snapshot's time.
        now: this machine's time.

    Raises:
        InvalidSegment: it is more than `MAX_AHEAD` after `now`. All later runs would count as older than this one.
    """
    if moment - now > MAX_AHEAD:
        raise InvalidSegment(
            f"This snapshot is as of {moment.isoformat()}, which is in the future. Nothing was sent, because each "
            "later run would count as older and be skipped. To fix: correct `as_of`, or the run's logical date or "
            "partition key, from which it is taken if `as_of` is left out."
        )
    return moment


def run_time(context: Mapping[str, Any]) -> datetime:
    """Return data interval end, else logical date, else run time, which is the same in every try of a task."""
    run = context.get("dag_run")
    for moment in (context.get("data_interval_end"), context.get("logical_date"), getattr(run, "run_after", None)):
        if isinstance(moment, datetime):
            return _in_utc(moment)
    return datetime.now(UTC)


def moment(given: Any, name: str = "as_of") -> datetime:
    """Convert a value to a time. A time without a zone is in UTC; a date means its start.

    Args:
        given: a datetime (pendulum's and pandas' too), a date, a NumPy datetime64, ISO 8601 text, a number such as
            20260305, or a Unix time in seconds, ms, µs or ns between the years 2000 and 2100.
        name: the argument's name, for the error.

    Raises:
        InvalidSegment: the value is none of these.
    """
    try:
        converted = _moment(given, name)
        converted.astimezone(UTC)
    except OverflowError:  # a number that no float holds, or a time that is before the year 1 or after 9999 in UTC
        raise _invalid_time(given, name) from None
    return converted


def _moment(given: Any, name: str) -> datetime:
    if type(given).__module__ == "numpy" and hasattr(given, "item"):  # datetime64 in any unit, and whole numbers
        given = given.astype("datetime64[us]").item() if given.dtype.kind == "M" else given.item()
    if hasattr(given, "to_pydatetime"):  # pandas counts nanoseconds, which ISO 8601 text elsewhere does not have
        given = given.floor("us").to_pydatetime()
    if isinstance(given, datetime) and given == given:  # noqa: PLR0124 - NaT, which is a datetime, equals nothing
        return _in_utc(given)
    if isinstance(given, date) and not isinstance(given, datetime):
        return datetime.combine(given, time.min, tzinfo=UTC)
    if isinstance(given, str):
        return parse(given.strip(), name)
    if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
        return _from_number(given, name)
    raise _invalid_time(given, name)


def parse(text: str, name: str = "as_of") -> datetime:
    """Return the time of ISO 8601 text or of a number in it; a month, quarter or week means its start."""
    try:
        number = float(text)  # first, because ISO 8601 could read a Unix time in ms as a date and a time
    except ValueError:
        pass
    else:
        if not math.isfinite(number):
            raise _invalid_time(text, name)
        return _from_number(int(text) if text.isdecimal() else number, name)
    start = period_start(text)
    if start is None:
        raise _invalid_time(text, name)
    return start


def _from_number(number: float, name: str) -> datetime:
    """Return the time of a number: a date or time by its digits, or a Unix time."""
    digits = f"{number:.0f}" if number == int(number) else ""
    if len(digits) in {DAY_DIGITS, SECOND_DIGITS}:
        try:
            day = datetime.strptime(digits, "%Y%m%d%H%M%S"[: len(digits) - 2]).replace(tzinfo=UTC)
        except ValueError:
            day = datetime.fromtimestamp(0, UTC)
        if EARLIEST_S <= day.timestamp() < LATEST_S:
            return day
    for unit in UNITS_PER_SECOND:
        if EARLIEST_S <= number / unit < LATEST_S:
            return datetime.fromtimestamp(number / unit, UTC)
    raise _invalid_time(number, name)


def _in_utc(moment: datetime) -> datetime:
    """Return the time with its zone, or with UTC if it has none."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _invalid_time(given: Any, name: str) -> InvalidSegment:
    return InvalidSegment(
        f"`{name}` is {given!r}, which is no time. To fix: pass a datetime, a date, ISO 8601 text such as "
        "2026-01-31T02:00:00+00:00, a number such as 20260131, or a Unix time in seconds or milliseconds."
    )
