"""Builds SQL that converts a mapped column's values to the form that the vendor's field accepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_segexport import date_formats, phone_number
from airflow_provider_segexport.countries import ALIASES, CODES
from airflow_provider_segexport.storage.duckdb_engine import literal, quoted
from airflow_provider_segexport.storage.plan import MappedColumn
from airflow_provider_segexport.trimming import trimmed_sql
from airflow_provider_segexport.vendors.base import ValueKind

CONTROL = r"[\x00-\x1f\x7f]"
JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"

_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?"
_ZONE = r" ?(?:Z|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)"
"""ISO 8601 has neither the blank nor `UTC`. Snowflake writes `+0100` after a blank, BigQuery `UTC`.

No time zone is further than 14 hours from UTC. DuckDB reads offsets of up to 99 hours, also with 99 minutes."""

ISO_TIME = f"{_TIME}({_ZONE})?"
"""An ISO 8601 time. Without a time zone it is in UTC."""

MAX_NUMBER_CHARS = 25
"""Maximum length of a number without padding zeros: 17 digits of a double, sign, point and a margin."""

MACROS = r"""
create or replace macro segexport_number(text) as case when regexp_full_match(text, '-?[1-9][0-9]*') then text else
    [case when t.unsigned = '0' then '0' else t.sign || t.unsigned end for t in
    [{'sign': s.sign,
      'unsigned': case when contains(s.plain, '.') then rtrim(rtrim(s.plain, '0'), '.') else s.plain end}
    for s in
    [{'sign': p.sign, 'plain': regexp_replace(case
        when p.point not between -400 and 400 then null
        when p.point <= 0 then '0.' || repeat('0', -p.point) || p.digits
        when p.point >= length(p.digits) then p.digits || repeat('0', p.point - length(p.digits))
        else left(p.digits, p.point) || '.' || substr(p.digits, p.point + 1) end, '^0+([0-9])', '\1')}
    for p in
    [{'sign': case when starts_with(n.mantissa, '-') then '-' else '' end,
      'digits': replace(ltrim(n.mantissa, '-'), '.', ''),
      'point': length(split_part(ltrim(n.mantissa, '-'), '.', 1)) + n.exponent}
    for n in
    [{'mantissa': split_part(lower(text), 'e', 1),
      'exponent': case when contains(lower(text), 'e')
        then try_cast(split_part(lower(text), 'e', 2) as integer) else 0 end}
    ]]]]][1] end;
create or replace macro segexport_decimal(number) as case
    when number is null then null
    when number = trunc(number) and abs(number::double) < 1e7 then number::bigint::varchar
    when abs(number::double) between 1e-4 and 1e15 and number <> trunc(number) then rtrim(number::varchar, '0')
    when isfinite(number::double) then segexport_number(number::varchar) end;
"""
"""SQL macros that format a number, or its text, as a plain decimal: no exponent, no trailing zeros, no `-0`.

A comprehension over one element holds a value that is used more than once. A macro's argument would be computed again.

The digits stay as written, so numbers that no machine type can hold keep theirs. An exponent beyond those of doubles
gives null, because `0e999999999` would fill the memory with zeros.
"""

DATE_PARTS: Mapping[ValueKind, str] = {"date": "", "month": "%-m", "day": "%-d"}
"""The `strftime` format of a date or a part of it; empty for the vendor's own date format."""

COUNTRY_KINDS = frozenset({"country_code", "country_name"})
"""Kinds of fields that never reject a text: it goes to the field for codes or to the field for names."""


def raw_name(column: MappedColumn) -> str:
    """Return the name of the relation's column with the value as read."""
    return "raw_" + column.name


def raw(column: MappedColumn) -> str:
    """Return SQL of the value as read."""
    return quoted(raw_name(column))


def typed(column: MappedColumn) -> str:
    """Return SQL of the value as read: NaN is null, a moment of consent is text, text with dates is a date or time."""
    sql = raw(column)
    if column.text_format:
        return _from_format(sql, column)
    if column.is_moment:
        # The smallest 64-bit number as a timestamp, NumPy's NaT, ends the engine when it becomes text (DuckDB 1.5).
        is_moment = f"try_cast({sql} as date) between date '0001-01-01' and date '9999-12-31'"
        return f"case when typeof({sql}) = 'TIMESTAMP' and not {is_moment} then 'out of range' else {sql}::varchar end"
    if column.type == "decimal":
        return f"case when not isnan({sql}::double) then {sql} end"
    return sql


def _from_format(sql: str, column: MappedColumn) -> str:
    """Return SQL of the date or time that a text names; `date_formats.NO_DATE` if it does not have the format.

    DuckDB's `strptime` alone reads `infinity` and `epoch` as 1900-01-01, `1990123` with `%Y%m%d` as 1990-12-03, the
    366th day of 1990 as 1991-01-01, and any name of a day. It reads no fraction of more than six digits.
    """
    text_format = column.text_format
    read, tests = "text", [_has_format("text", date_formats.pattern(text_format))]
    if date_formats.has(text_format, "f"):
        pattern = date_formats.pattern(text_format, fraction="[0-9]{1,6})[0-9]*(")
        read = f"regexp_replace(text, {literal(f'^({pattern})$')}, '\\1\\2')"
    if " " in text_format:
        read = f"regexp_replace({read}, {literal(date_formats.BLANKS)}, ' ', 'g')"
    if date_formats.has(text_format, "b"):  # Java writes `Sept` in British English since version 16
        read = f"regexp_replace({read}, '(?i)sept([^a-z]|$)', 'Sep\\1')"
    moment = f"try_strptime({read}, {literal(text_format)})"
    tests.append(f"{moment} >= timestamp '1000-01-01'")
    if date_formats.has(text_format, "aA"):
        tests.append(f"contains(lower(text), lower(strftime({moment}, '%a')))")
    if date_formats.has(text_format, "j"):
        pattern = date_formats.pattern(text_format, year=f"({date_formats.YEAR})")
        tests.append(f"year({moment}) = try_cast(regexp_extract(text, {literal(f'^{pattern}$')}, 1) as integer)")
    value_sql = f"case when {' and '.join(tests)} then {moment} else {date_formats.NO_DATE}::timestamp end"
    text = f"nullif({trimmed_sql(sql)}, '')"
    return f"[case when text is not null then ({value_sql})::{column.type} end for text in [{text}]][1]"


def _has_format(text: str, pattern: str) -> str:
    return f"regexp_full_match({text}, {literal(pattern)})"


def spaced(column: MappedColumn) -> str:
    """Return SQL of a trimmed text, with spaces for control characters and null for an empty text."""
    text = f"regexp_replace({raw(column)}, '{CONTROL}+', ' ', 'g')"
    return f"nullif({trimmed_sql(text)}, '')"


def value(column: MappedColumn, date_format: str, *, text: str | None = None) -> str:
    """Return SQL of the value as text in the form that the vendor's field accepts; null if it does not fit.

    Args:
        column: the mapped column.
        date_format: the vendor's date format, for `strftime`.
        text: SQL of a text column's trimmed value; None: the value as read.
    """
    written = _written(column, date_format, text or raw(column))
    if column.custom_field is None:
        return written
    if column.custom_field.options:
        return _chosen(written, column.custom_field.options, column.custom_field.separator)
    if column.value_kind == "number" and column.custom_field.decimals is not None:
        decimal = f"try_cast({written} as decimal(38, {column.custom_field.decimals}))"
        return f"[segexport_decimal(number) for number in [{decimal}]][1]"
    return written


def misfit(column: MappedColumn, date_format: str, *, text: str | None = None) -> str:
    """Return SQL of whether a row has a value that the vendor's field cannot hold.

    Args:
        column: the mapped column.
        date_format: the vendor's date format, for `strftime`.
        text: SQL of a text column's trimmed value; None: the value as read.
    """
    field = column.custom_field
    is_restricted = field is not None and bool(field.options or field.decimals is not None)
    if column.type == "text" or column.value_kind == "phone" or is_restricted:
        if column.value_kind in COUNTRY_KINDS or (column.type == column.value_kind == "text" and not is_restricted):
            return "false"
        original = (text or raw(column)) if column.type == "text" else raw(column)
        return f"({original} is not null and {value(column, date_format, text=text)} is null)"
    if column.type == "decimal":
        return f"coalesce(isinf({raw(column)}::double), false)"
    if column.type in {"date", "timestamp"}:
        return f"({raw(column)} is not null and not {_in_bounds(column, raw(column))})"
    return "false"


def may_grow(column: MappedColumn) -> str:
    """Return fast SQL that is true for every value that is longer in the vendor's form; it may be true for others.

    A number with an exponent is formatted without one, which adds as many zeros as the exponent says.
    """
    if column.type == "text" and column.value_kind == "number":
        return f"regexp_matches({raw(column)}, '[eE]')"
    if column.type == "decimal" and column.max_chars:
        most = max(column.max_chars - MAX_NUMBER_CHARS, 0)
        size = f"abs({raw(column)}::double)"
        return f"coalesce({size} >= 1e{min(most, 308)} or ({size} < 1e-{most} and {size} > 0), false)"
    return "false"


def too_long(column: MappedColumn, sql: str) -> str:
    """Return SQL of whether a text is too long for the vendor's field. Bytes are compared first, which is faster."""
    most = column.max_chars or 0
    return f"(strlen({sql}) > {most} and length({sql}) > {most})"


def _written(column: MappedColumn, date_format: str, sql: str) -> str:
    """Return SQL of the value in the form of the field's type, before options and decimal places apply."""
    if column.type == "text":
        return _from_text(column, sql, date_format)
    if column.type in {"date", "timestamp"}:
        return f"case when {_in_bounds(column, sql)} then {_moment(column, sql, date_format)} end"
    if column.value_kind == "phone":
        return _phone(f"{sql}::varchar")
    if column.type == "decimal":
        return f"segexport_decimal({sql})"
    return f"{sql}::varchar"


def _from_text(column: MappedColumn, text: str, date_format: str) -> str:
    number = f"case when isfinite(try_cast({text} as double)) then segexport_number({text}) end"
    forms: Mapping[ValueKind, str] = {
        "text": text,
        "boolean": f"case lower({text}) when 'true' then 'true' when 'false' then 'false' end",
        "gender": f"case when lower({text}) in ('m', 'f', 'male', 'female') then lower({text})[1] end",
        "country_code": _country_code(text),
        "country_name": f"case when {_country_code(text)} is null then {text} end",
        "phone": _phone(text),
        "number": f"case when regexp_full_match({text}, {literal(JSON_NUMBER)}) then {number} end",
    }
    if column.value_kind in forms:
        return forms[column.value_kind]
    if column.value_kind == "datetime":
        return _moment(column, read_time(text), date_format)
    day = _read_day(text)
    return f"case when {_in_bounds(column, day)} then {_moment(column, day, date_format)} end"


def read_time(text: str) -> str:
    """Return SQL of the moment in UTC that a text names: an ISO 8601 date or time; null for any other text."""
    return f"coalesce({_read_day(text)}, {_read_time(text, ISO_TIME)})"


def read_zoned_time(text: str) -> str:
    """Return SQL of the moment in UTC that an ISO 8601 time with a zone names; null for any other text."""
    return _read_time(text, f"{_TIME}{_ZONE}")


def _read_time(text: str, pattern: str) -> str:
    before_zone = f"regexp_extract({text}, {literal(f'^{_TIME}')})"
    zone = f"replace(replace(substr({text}, length({before_zone}) + 1), 'UTC', 'Z'), ' ', '')"
    moment = f"try_cast({before_zone} || {zone} as timestamptz)::timestamp"
    return f"case when regexp_full_match({text}, {literal(pattern)}) then {moment} end"


def _read_day(text: str) -> str:
    """Return SQL of a date. DuckDB's `strptime` alone reads `infinity` and `epoch` as 1900-01-01."""
    return f"case when regexp_full_match({text}, '{_DAY}') then try_strptime({text}, '%Y-%m-%d') end"


def _moment(column: MappedColumn, sql: str, date_format: str) -> str:
    """Return SQL of a date or time in the field's format; ISO 8601 for a text field."""
    if column.value_kind == "datetime" or (column.value_kind == "text" and column.type == "timestamp"):
        return f"strftime({sql}::timestamp, '%Y-%m-%dT%H:%M:%SZ')"
    written = (DATE_PARTS[column.value_kind] or date_format) if column.value_kind in DATE_PARTS else "%Y-%m-%d"
    return f"strftime({sql}::date, {literal(written)})"


def _in_bounds(column: MappedColumn, sql: str) -> str:
    """Return SQL of whether the vendor's field can hold a date: four-digit years, and the field's own bounds."""
    bounded = column.custom_field if column.custom_field is not None and column.value_kind == "date" else None
    earliest = (bounded and bounded.earliest) or "0001-01-01"
    latest = (bounded and bounded.latest) or "9999-12-31"
    return f"coalesce({sql}::date between date {literal(earliest)} and date {literal(latest)}, false)"


def _chosen(text: str, options: Sequence[str], separator: str) -> str:
    """Return SQL of a value's options in the vendor's spelling and order; null if the field lacks one of them."""
    exact, lowered = (
        f"[{', '.join(form.format(literal(option)) for option in options)}]" for form in ("{}", "lower({})")
    )
    alike = f"list_extract({exact}, list_position({lowered}, lower(given)))"
    chosen = f"case when list_contains({exact}, given) then given else {alike} end"
    if separator:
        parts = f"[trim(part) for part in string_split(lower(given), {literal(separator)}) if trim(part) <> '']"
        named = f"[option for option in {exact} if list_contains(parts, lower(option))]"
        named = f"array_to_string({named}, {literal(separator)})"
        several = f"[case when list_has_all({lowered}, parts) then nullif({named}, '') end for parts in [{parts}]][1]"
        chosen = f"case when contains(given, {literal(separator)}) then {several} else {chosen} end"
    return f"[{chosen} for given in [{text}]][1]"


def _country_code(text: str) -> str:
    """Return SQL of an ISO 3166-1 code from two letters that are a code or an alias; null for any other text.

    `CODES` has spaces between codes, so two letters never match across two of them.
    """
    aliases = " ".join(f"when {literal(alias)} then {literal(code)}" for alias, code in ALIASES.items())
    code = f"case when contains({literal(CODES)}, upper({text})) then upper({text}) end"
    return f"case when regexp_full_match({text}, '[A-Za-z]{{2}}') then case upper({text}) {aliases} else {code} end end"


def _phone(text: str) -> str:
    """Return SQL of a phone number in E.164; null for any other text.

    `phone_column` has converted every text that is one complete number. Any other text may hold two numbers or an
    extension. Without its separators it would be another person's number: `+49 40 1234567/8`.
    """
    return f"case when regexp_full_match({text}, {literal(phone_number.E164)}) then {text} end"
