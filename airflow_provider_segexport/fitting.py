"""The form of a column's value that the vendor's field takes: `Carried -> SQL`."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_segexport import address
from airflow_provider_segexport.contract import ColumnType, Kind
from airflow_provider_segexport.countries import CODES, OTHERS
from airflow_provider_segexport.ports.engine import literal, quoted
from airflow_provider_segexport.segment import Carried

CONTROL = r"[\x00-\x1f\x7f]"
JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"

DATE_PARTS: Mapping[Kind, str] = {"date": "", "month": "%-m", "day": "%-d"}
"""How a part of a date is written; empty: as the vendor writes dates."""

EITHER_WAY = frozenset({"country_code", "country_name"})
"""A text that is not the one is the other: neither is a misfit."""


def raw_name(one: Carried) -> str:
    """The name of the column as the files have it."""
    return "raw_" + one.name


def raw(one: Carried) -> str:
    """The column as the files have it, as SQL."""
    return quoted(raw_name(one))


def typed(one: Carried) -> str:
    """The raw column as its type says, of a relation that holds it as it was read."""
    column = raw(one)
    if one.type == "decimal":
        return f"case when not isnan({column}::double) then {column} end"  # not a number: nothing is there
    return column


def spaced(one: Carried) -> str:
    """A text trimmed, with spaces for control characters; empty is null. Slow: one step for each character."""
    return f"nullif(trim(regexp_replace({raw(one)}, '{CONTROL}+', ' ', 'g'), {literal(address.WHITESPACE)}), '')"


def value(one: Carried, date_format: str, *, text: str | None = None) -> str:
    """The value in the form that the vendor's field takes, as text; null when it does not fit.

    Args:
        one: the column.
        date_format: how the vendor writes dates.
        text: SQL of a text column's value; the raw column, where nothing is to be trimmed.
    """
    if one.type == "text":
        return _from_text(text or raw(one), one.wants, date_format)
    if one.wants in DATE_PARTS:
        return f"strftime({raw(one)}::date, {literal(DATE_PARTS[one.wants] or date_format)})"
    if one.wants == "phone":
        return _phone(f"{raw(one)}::varchar")
    written: Mapping[ColumnType, str] = {
        "integer": f"{raw(one)}::varchar",
        "decimal": f"case when isfinite({raw(one)}::double) then {_plain_number(f'{raw(one)}::varchar')} end",
        "boolean": f"{raw(one)}::varchar",
        "date": f"strftime({raw(one)}, '%Y-%m-%d')",
        "timestamp": f"strftime({raw(one)}, '%Y-%m-%dT%H:%M:%SZ')",
    }
    return written[one.type]


def misfit(one: Carried, date_format: str, *, text: str | None = None) -> str:
    """Something is there, and the vendor's field cannot hold it."""
    if one.type == one.wants == "text" or one.wants in EITHER_WAY:
        return "false"
    if one.type == "decimal" and one.wants in {"text", "number"}:
        return f"coalesce(isinf({raw(one)}::double), false)"
    if one.type in {"integer", "boolean", "date", "timestamp"} and one.wants != "phone":
        return "false"
    there = (text or raw(one)) if one.type == "text" else raw(one)
    return f"({there} is not null and {value(one, date_format, text=text)} is null)"


def too_long(one: Carried, sql: str) -> str:
    """Longer than the vendor's field. Bytes are counted first: that is quick, and mostly the answer."""
    most = one.max_chars or 0
    return f"(strlen({sql}) > {most} and length({sql}) > {most})"


def _from_text(text: str, wants: Kind, date_format: str) -> str:
    if wants in DATE_PARTS:
        return f"strftime(try_strptime({text}, '%Y-%m-%d')::date, {literal(DATE_PARTS[wants] or date_format)})"
    number = f"case when isfinite(try_cast({text} as double)) then {_plain_number(text)} end"
    forms: Mapping[Kind, str] = {
        "text": text,
        "boolean": f"case lower({text}) when 'true' then 'true' when 'false' then 'false' end",
        "gender": f"case when lower({text}) in ('m', 'f', 'male', 'female') then lower({text})[1] end",
        "country_code": _country_code(text),
        "country_name": f"case when {_country_code(text)} is null then {text} end",
        "phone": _phone(text),
        "number": f"case when regexp_full_match({text}, {literal(JSON_NUMBER)}) then {number} end",
    }
    return forms[wants]


def _country_code(text: str) -> str:
    """Two letters that are a code of ISO 3166-1, or stand for one. Codes are a blank apart: nothing spans two."""
    others = " ".join(f"when {literal(word)} then {literal(code)}" for word, code in OTHERS.items())
    code = f"case when contains({literal(CODES)}, upper({text})) then upper({text}) end"
    return f"case when regexp_full_match({text}, '[A-Za-z]{{2}}') then case upper({text}) {others} else {code} end end"


def _phone(text: str) -> str:
    """E.164; the signs that people write between digits are taken out, and nothing is guessed."""
    digits = f"regexp_replace({text}, '[ ()./-]', '', 'g')"
    return f"case when regexp_full_match({digits}, '\\+[1-9][0-9]{{6,14}}') then {digits} end"


def _plain_number(text: str) -> str:
    """Whole numbers lose their `.0`, so that 5.0 and 5 are the same value. The digits stay as they are written."""
    return f"case when ends_with({text}, '0') then regexp_replace({text}, '\\.0+$', '') else {text} end"
