"""Types of Parquet columns: the type in a field mapping, how DuckDB reads them, and the common type of two columns."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.vendors.base import ColumnType

MAX_DECIMAL_DIGITS = 38
"""Maximum digits of a decimal in DuckDB."""

MAX_EXACT_DIGITS = 15
"""Maximum digits of a decimal that is unchanged after a conversion to a double and back (IEEE 754)."""

MAX_EXACT_INTEGER = 2**53
"""The largest integer up to which every integer is exact as a double."""

INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19}
"""Digits of the largest integer, by bits."""

OFFSET = re.compile(r"([+-])(0\d|1[0-4]):?([0-5]\d)", re.ASCII)
"""A time zone that is an offset from UTC, as Arrow writes it. No time zone is further than 14 hours from UTC."""

NO_TYPE = pa.null()
"""The type of a column that holds only nulls, as pandas writes it."""

TEXT_EXTENSIONS = {"arrow.uuid", "arrow.json"}
"""Names of extension types that are read as text. pyarrow 18 has no class for JSON, so they are compared by name."""

TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, whatever their storage: a dictionary of texts holds texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if getattr(kind, "extension_name", "") in TEXT_EXTENSIONS or any(is_text(kind) for is_text in TEXTS):
        return pa.string()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_decimal(kind) and kind.precision <= MAX_DECIMAL_DIGITS:
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def column_type(kind: pa.DataType) -> ColumnType | None:
    """Return the type's name in a field mapping; None if no field accepts it."""
    kind = value_type(kind)
    checks: list[tuple[ColumnType, bool]] = [
        ("text", pa.types.is_string(kind)),
        ("integer", pa.types.is_integer(kind)),
        ("decimal", pa.types.is_floating(kind) or pa.types.is_decimal128(kind)),
        ("boolean", pa.types.is_boolean(kind)),
        ("date", pa.types.is_date(kind)),
        ("timestamp", pa.types.is_timestamp(kind)),
    ]
    return next((name for name, matches in checks if matches), None)


def engine_type(kind: pa.DataType) -> str:
    """Return DuckDB's name of a type that a field accepts; `varchar` for a column that holds only nulls."""
    kind = value_type(kind)
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
    return next((name for name, matches in names if matches), "varchar")


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both types exactly; None if there is none.

    Timestamps of any two time zones have a common type, because each is a moment. One without a zone is in UTC.
    """
    left, right = value_type(left), value_type(right)
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right):
        return left if left.tz else right
    dates = {pa.date32(), pa.timestamp("us")}
    if {left, right} == dates:
        return pa.timestamp("us")
    return _common_number(left, right) if _is_number(left) and _is_number(right) else None


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal128(kind))


def _common_number(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    floats = [kind for kind in (left, right) if pa.types.is_floating(kind)]
    if len(floats) == 1 and any(
        pa.types.is_decimal(kind) and kind.precision > MAX_EXACT_DIGITS for kind in (left, right)
    ):
        return None
    if floats:
        return pa.float64()
    unsigned = [pa.types.is_unsigned_integer(kind) for kind in (left, right)]
    if pa.types.is_integer(left) and pa.types.is_integer(right):
        if all(unsigned):
            return pa.uint64()
        wide = any(kind == pa.uint64() for kind in (left, right))
        return pa.decimal128(20, 0) if wide else pa.int64()
    scale = max(_digits(kind)[1] for kind in (left, right))
    before_point = max(_digits(kind)[0] for kind in (left, right))
    return pa.decimal128(min(before_point + scale, MAX_DECIMAL_DIGITS), scale)


def _digits(kind: pa.DataType) -> tuple[int, int]:
    """Return the digits before and after the decimal point."""
    if pa.types.is_decimal(kind):
        return kind.precision - kind.scale, kind.scale
    return (20 if kind == pa.uint64() else INTEGER_DIGITS[kind.bit_width]), 0


@dataclass(frozen=True, slots=True)
class Conversion:
    """How DuckDB reads one column of one file.

    Attributes:
        type: the type that DuckDB's reader returns. The reader's conversion to this type is exact, or it fails.
        sql: SQL that converts the value that was read; `{}` is its place.
    """

    type: str
    sql: str = "{}"


def is_converted(kind: pa.DataType, wide: pa.DataType) -> bool:
    """Return whether DuckDB's reader can convert a column that holds only nulls or NaN to another type."""
    kind, wide = value_type(kind), value_type(wide)
    if pa.types.is_floating(kind):
        return False
    if pa.types.is_string(wide) or pa.types.is_null(wide):
        return True
    return all(_is_number(each) or pa.types.is_boolean(each) for each in (kind, wide))


def conversion(kind: pa.DataType, wide: pa.DataType, *, as_date: bool) -> Conversion:
    """Return how a column of a file is read as the segment's type.

    Args:
        kind: the type in the file.
        wide: the common type of that column over all files of the segment.
        as_date: read a timestamp as its date in the column's own time zone. Otherwise it is read in UTC.
    """
    wide = value_type(wide)
    if pa.types.is_timestamp(wide):
        return _moment(kind.value_type if pa.types.is_dictionary(kind) else kind, as_date=as_date)
    kind, name = value_type(kind), engine_type(wide)
    if pa.types.is_float64(wide) and kind != wide:
        if pa.types.is_floating(kind):
            return Conversion("float", "{}::varchar::double")  # through its decimal digits, so 0.1 stays 0.1
        if pa.types.is_integer(kind) and kind.bit_width > 32:  # noqa: PLR2004 - all smaller ones are exact
            small = f"{{}} between -{MAX_EXACT_INTEGER} and {MAX_EXACT_INTEGER}"
            return Conversion(
                engine_type(kind), f"case when {small} then {{}}::double when {{}} is not null then {NOT_EXACT_SQL} end"
            )
    return Conversion(name)


def _moment(kind: pa.DataType, *, as_date: bool) -> Conversion:
    """Return how a date or timestamp is read as a moment in UTC, or as its date in the column's own time zone."""
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    name = "timestamptz" if zone else "timestamp"
    sql = at_zone_sql(zone if as_date else "UTC") if zone else "{}"
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        # A cast rounds 23:59:59.999999999 up to the next day (DuckDB 2.0). An infinite time has no nanoseconds.
        microseconds = "epoch_ns({}) // 1000 - (epoch_ns({}) % 1000 < 0)::integer"
        sql, name = sql.replace("{}", f"coalesce(make_{name}({microseconds}), {{}}::{name})"), f"{name}_ns"
    return Conversion(name, f"{sql}::date" if as_date else sql)


NOT_EXACT_MESSAGE = "segexport: value outside the common type"
NOT_EXACT_SQL = f"error('{NOT_EXACT_MESSAGE}')"


EARLIEST_S = -62_135_683_200
"""Epoch seconds of the day before the year 1, which has begun by then in every time zone."""


def is_known_zone(zone: str) -> bool:
    """Return whether a time zone is an offset, or one that the engine knows."""
    return OFFSET.fullmatch(zone) is not None or zone == "UTC" or zone in _engine_zones()


@functools.cache
def _engine_zones() -> frozenset[str]:
    """Return the names of the engine's time zones, which may differ from those of Python and of the machine."""
    with engine() as sql:
        return frozenset(name for (name,) in sql.rows("select name from pg_timezone_names()"))


def at_zone_sql(zone: str) -> str:
    """Return SQL, with `{}` for a moment, of its date and time of day in a time zone.

    A moment before the year 1 becomes minus infinity: DuckDB cannot convert the smallest one, NumPy's NaT.
    """
    offset = OFFSET.fullmatch(zone)
    if offset is None:
        local = f"timezone('{zone.replace(chr(39), chr(39) * 2)}', {{}})"
    else:
        sign, hours, minutes = offset.groups()
        local = f"timezone('UTC', {{}}) {sign} to_minutes({int(hours) * 60 + int(minutes)})"
    return f"(case when {{}} < to_timestamp({EARLIEST_S}) then '-infinity'::timestamp else {local} end)"
