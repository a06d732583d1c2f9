"""Types of Parquet columns: what a field takes, how the engine reads them, and which type holds two of them exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pyarrow as pa

from airflow_provider_segexport.vendors.base import ColumnType

MOST_DIGITS = 38
"""Digits of the engine's widest decimal."""

EXACT_DIGITS = 15
"""A decimal of so many digits becomes a double and comes back with the same digits (IEEE 754)."""

EXACT_INTEGER = 2**53
"""Every integer up to it is a double."""

INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
"""Digits of the largest integer, by bits."""

OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
"""A zone that is an offset from UTC, as Arrow writes it."""

NO_TYPE = pa.null()
"""The type of a column in which every value is null, as pandas writes it."""

TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, without the way they are stored: a dictionary of texts holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.UuidType | pa.JsonType) or any(holds(kind) for holds in TEXTS):
        return pa.string()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_decimal(kind) and kind.precision <= MOST_DIGITS:
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def column_type(kind: pa.DataType) -> ColumnType | None:
    """The type in field mapping's words; None where no field takes it."""
    kind = plain(kind)
    checks: list[tuple[ColumnType, bool]] = [
        ("text", pa.types.is_string(kind)),
        ("integer", pa.types.is_integer(kind)),
        ("decimal", pa.types.is_floating(kind) or pa.types.is_decimal128(kind)),
        ("boolean", pa.types.is_boolean(kind)),
        ("date", pa.types.is_date(kind)),
        ("timestamp", pa.types.is_timestamp(kind)),
    ]
    return next((name for name, holds in checks if holds), None)


def engine_type(kind: pa.DataType) -> str:
    """The engine's name of a type that a field takes; text for a column of nothing but nulls."""
    kind = plain(kind)
    if pa.types.is_integer(kind):
        sign = "u" if pa.types.is_unsigned_integer(kind) else ""
        return sign + {8: "tinyint", 16: "smallint", 32: "integer", 64: "bigint"}[kind.bit_width]
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    if pa.types.is_floating(kind):
        return "double" if pa.types.is_float64(kind) else "float"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    names = [("boolean", pa.types.is_boolean(kind)), ("date", pa.types.is_date(kind))]
    return next((name for name, holds in names if holds), "varchar")


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both and changes none of them; None if there is none.

    Timestamps go together whatever their zones are: all of them are moments, and one without a zone is in UTC.
    """
    one, other = plain(one), plain(other)
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other):
        return one if one.tz else other
    dates = {pa.date32(), pa.timestamp("us")}
    if {one, other} == dates:
        return pa.timestamp("us")
    return _wider_number(one, other) if _is_number(one) and _is_number(other) else None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal128(kind))


def _wider_number(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    floats = [kind for kind in (one, other) if pa.types.is_floating(kind)]
    if len(floats) == 1 and any(pa.types.is_decimal(kind) and kind.precision > EXACT_DIGITS for kind in (one, other)):
        return None
    if floats:
        return pa.float64()
    unsigned = [pa.types.is_unsigned_integer(kind) for kind in (one, other)]
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        if all(unsigned):
            return pa.uint64()
        wide = any(kind == pa.uint64() for kind in (one, other))
        return pa.decimal128(20, 0) if wide else pa.int64()
    scale = max(_digits(kind)[1] for kind in (one, other))
    before_point = max(_digits(kind)[0] for kind in (one, other))
    return pa.decimal128(min(before_point + scale, MOST_DIGITS), scale)


def _digits(kind: pa.DataType) -> tuple[int, int]:
    """Digits before and after the point."""
    if pa.types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return (20 if kind == pa.uint64() else INTEGER_DIGITS[kind.bit_width]), 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How the engine reads one column of one file.

    Attributes:
        type: the engine's type that the reader is asked for; its conversion to that is exact, or fails.
        sql: what becomes of the value, with `{}` for it.
    """

    type: str
    sql: str = "{}"


def reading(kind: pa.DataType, wide: pa.DataType, *, as_date: bool) -> Reading:
    """How a column of one type is read as the segment's type for it.

    Args:
        kind: the type in the file.
        wide: the type over all files of the segment.
        as_date: a timestamp is read as its date, in the column's own zone. Otherwise it is read in UTC.
    """
    kind, wide = plain(kind), plain(wide)
    name = engine_type(wide)
    if pa.types.is_timestamp(wide):
        if not pa.types.is_timestamp(kind) or not kind.tz:
            return Reading("timestamp", "{}::date" if as_date else "{}")
        return Reading("timestamptz", f"{at_zone(kind.tz if as_date else 'UTC')}{'::date' if as_date else ''}")
    if pa.types.is_float64(wide) and kind != wide:
        if pa.types.is_floating(kind):
            return Reading("float", "{}::varchar::double")  # by its digits: 0.1 stays 0.1
        if pa.types.is_integer(kind) and kind.bit_width > 32:  # noqa: PLR2004 - all smaller ones are exact
            small = f"{{}} between -{EXACT_INTEGER} and {EXACT_INTEGER}"
            return Reading(
                engine_type(kind), f"case when {small} then {{}}::double when {{}} is not null then {NOT_EXACT} end"
            )
    return Reading(name)


MIXED = "segexport: value outside the common type"
NOT_EXACT = f"error('{MIXED}')"


def known_zone(zone: str) -> bool:
    """Whether a time zone is an offset, or one of the IANA database."""
    if OFFSET.fullmatch(zone):
        return True
    try:
        return ZoneInfo(zone).key != "localtime"
    except (KeyError, ValueError, OSError):
        return False


def at_zone(zone: str) -> str:
    """SQL of a moment's date and time of day in a zone."""
    offset = OFFSET.fullmatch(zone)
    if offset is None:
        return f"timezone('{zone.replace(chr(39), chr(39) * 2)}', {{}})"
    sign, hours, minutes = offset.groups()
    return f"(timezone('UTC', {{}}) {sign} to_minutes({int(hours) * 60 + int(minutes)}))"
