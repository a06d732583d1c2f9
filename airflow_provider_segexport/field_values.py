"""The form of a column's value that the vendor's field takes: `Carried -> SQL`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_segexport import email_address
from airflow_provider_segexport.countries import ALIASES, CODES
from airflow_provider_segexport.storage.duckdb_engine import literal, quoted
from airflow_provider_segexport.storage.plan import MappedColumn
from airflow_provider_segexport.vendors.base import ValueKind

CONTROL = r"[\x00-\x1f\x7f]"
JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"

ISO_TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?"
"""A time without a zone is UTC."""

DIGITS = 25
"""Characters of a number's shortest form besides zeros: 17 digits of a double, sign, point and a margin."""

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
"""SQL functions that write a number, or its text, as a plain decimal: no exponent, no zeros at its end, no `-0`.

A comprehension over one element holds a value that is used more than once: an argument would be computed each time.

The digits stay as they are written, so that numbers which no machine number holds keep theirs. An exponent beyond those
of doubles is refused: `0e999999999` would fill the memory with zeros.
"""

DATE_PARTS: Mapping[ValueKind, str] = {"date": "", "month": "%-m", "day": "%-d"}
"""How a part of a date is written; empty: as the vendor writes dates."""

EITHER_WAY = frozenset({"country_code", "country_name"})
"""A text that is not the one is the other: neither is a misfit."""


def raw_name(one: MappedColumn) -> str:
    """The name of the column as the files have it."""
    return "raw_" + one.name


def raw(one: MappedColumn) -> str:
    """The column as the files have it, as SQL."""
    return quoted(raw_name(one))


def typed(one: MappedColumn) -> str:
    """The raw column as its type says, of a relation that holds it as it was read."""
    column = raw(one)
    if one.type == "decimal":
        return f"case when not isnan({column}::double) then {column} end"  # not a number: nothing is there
    return column


def spaced(one: MappedColumn) -> str:
    """A text trimmed, with spaces for control characters; empty is null. Slow: one step for each character."""
    return f"nullif(trim(regexp_replace({raw(one)}, '{CONTROL}+', ' ', 'g'), {literal(email_address.WHITESPACE)}), '')"


def value(one: MappedColumn, date_format: str, *, text: str | None = None) -> str:
    """The value in the form that the vendor's field takes, as text; null when it does not fit.

    Args:
        one: the column.
        date_format: how the vendor writes dates.
        text: SQL of a text column's value; the raw column, where nothing is to be trimmed.
    """
    written = _written(one, date_format, text or raw(one))
    if one.custom_field is None:
        return written
    if one.custom_field.options:
        return _chosen(written, one.custom_field.options, one.custom_field.separator)
    if one.value_kind == "number" and one.custom_field.decimals is not None:
        decimal = f"try_cast({written} as decimal(38, {one.custom_field.decimals}))"
        return f"[segexport_decimal(number) for number in [{decimal}]][1]"
    return written


def misfit(one: MappedColumn, date_format: str, *, text: str | None = None) -> str:
    """Something is there, and the vendor's field cannot hold it."""
    chosen = one.custom_field is not None and (one.custom_field.options or one.custom_field.decimals is not None)
    if one.type == "text" or one.value_kind == "phone" or chosen:
        if one.type == one.value_kind == "text" and not chosen:
            return "false"
        there = (text or raw(one)) if one.type == "text" else raw(one)
        return (
            "false"
            if one.value_kind in EITHER_WAY
            else f"({there} is not null and {value(one, date_format, text=text)} is null)"
        )
    if one.type == "decimal":
        return f"coalesce(isinf({raw(one)}::double), false)"
    if one.type in {"date", "timestamp"}:
        return f"({raw(one)} is not null and not {_in_bounds(one, raw(one))})"
    return "false"


def may_grow(one: MappedColumn) -> str:
    """A quick test that finds every value which is longer in the vendor's form than in the column; it may find more.

    A number with an exponent is written without one: digits and sign aside, in as many zeros as the exponent says.
    """
    if one.type == "text" and one.value_kind == "number":
        return f"regexp_matches({raw(one)}, '[eE]')"
    if one.type == "decimal" and one.max_chars:
        most = max(one.max_chars - DIGITS, 0)
        size = f"abs({raw(one)}::double)"
        return f"coalesce({size} >= 1e{min(most, 308)} or ({size} < 1e-{most} and {size} > 0), false)"
    return "false"


def too_long(one: MappedColumn, sql: str) -> str:
    """Longer than the vendor's field. Bytes are counted first: that is quick, and mostly the answer."""
    most = one.max_chars or 0
    return f"(strlen({sql}) > {most} and length({sql}) > {most})"


def _written(one: MappedColumn, date_format: str, sql: str) -> str:
    """The value as the field's type writes it, whatever else the vendor's field asks for."""
    if one.type == "text":
        return _from_text(one, sql, date_format)
    if one.type in {"date", "timestamp"}:
        return f"case when {_in_bounds(one, sql)} then {_moment(one, sql, date_format)} end"
    if one.value_kind == "phone":
        return _phone(f"{sql}::varchar")
    if one.type == "decimal":
        return f"segexport_decimal({sql})"
    return f"{sql}::varchar"


def _from_text(one: MappedColumn, text: str, date_format: str) -> str:
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
    if one.value_kind in forms:
        return forms[one.value_kind]
    day = f"try_strptime({text}, '%Y-%m-%d')"
    if one.value_kind == "datetime":
        time = f"case when regexp_full_match({text}, {literal(ISO_TIME)}) then try_cast({text} as timestamptz) end"
        return _moment(one, f"coalesce({day}, {time}::timestamp)", date_format)
    return f"case when {_in_bounds(one, day)} then {_moment(one, day, date_format)} end"


def _moment(one: MappedColumn, sql: str, date_format: str) -> str:
    """A date or time as the field writes it; as ISO 8601 where the field takes any text."""
    if one.value_kind == "datetime" or (one.value_kind == "text" and one.type == "timestamp"):
        return f"strftime({sql}::timestamp, '%Y-%m-%dT%H:%M:%SZ')"
    written = (DATE_PARTS[one.value_kind] or date_format) if one.value_kind in DATE_PARTS else "%Y-%m-%d"
    return f"strftime({sql}::date, {literal(written)})"


def _in_bounds(one: MappedColumn, sql: str) -> str:
    """Whether the vendor's field holds this date: years have four digits, and a vendor may name bounds of its own."""
    bounded = one.custom_field if one.custom_field is not None and one.value_kind == "date" else None
    earliest = (bounded and bounded.earliest) or "0001-01-01"
    latest = (bounded and bounded.latest) or "9999-12-31"
    return f"coalesce({sql}::date between date {literal(earliest)} and date {literal(latest)}, false)"


def _chosen(text: str, options: Sequence[str], separator: str) -> str:
    """The options that a value names, in the vendor's own spelling and order; null when the field lacks one of them."""
    known, lowered = (
        f"[{', '.join(way.format(literal(option)) for option in options)}]" for way in ("{}", "lower({})")
    )
    alike = f"list_extract({known}, list_position({lowered}, lower(given)))"
    chosen = f"case when list_contains({known}, given) then given else {alike} end"
    if separator:
        parts = f"[trim(part) for part in string_split(lower(given), {literal(separator)}) if trim(part) <> '']"
        named = f"[option for option in {known} if list_contains(parts, lower(option))]"
        named = f"array_to_string({named}, {literal(separator)})"
        several = f"[case when list_has_all({lowered}, parts) then nullif({named}, '') end for parts in [{parts}]][1]"
        chosen = f"case when contains(given, {literal(separator)}) then {several} else {chosen} end"
    return f"[{chosen} for given in [{text}]][1]"


def _country_code(text: str) -> str:
    """Two letters that are a code of ISO 3166-1, or stand for one. Codes are a blank apart: nothing spans two."""
    others = " ".join(f"when {literal(word)} then {literal(code)}" for word, code in ALIASES.items())
    code = f"case when contains({literal(CODES)}, upper({text})) then upper({text}) end"
    return f"case when regexp_full_match({text}, '[A-Za-z]{{2}}') then case upper({text}) {others} else {code} end end"


def _phone(text: str) -> str:
    """E.164; the signs that people write between digits are taken out, and nothing is guessed."""
    digits = f"regexp_replace({text}, '[ ()./-]', '', 'g')"
    return f"case when regexp_full_match({digits}, '\\+[1-9][0-9]{{6,14}}') then {digits} end"
