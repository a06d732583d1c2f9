"""Cleans and de-duplicates: `segment files -> view clean, table aside`, without a row in Python.

After it, the engine holds `clean(row, email, <carried>...)`, everything ready to be encoded, and `aside(row, outcome,
reason, field)`, every row that will not be sent and why. A row stands in one of the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pyarrow as pa

from airflow_provider_segexport import address
from airflow_provider_segexport.contract import ColumnType, Kind
from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.ports.engine import Engine, literal, quoted
from airflow_provider_segexport.segment import Carried, Cleaned, Matching, SegmentFiles

CONTROL = r"[\x00-\x1f\x7f]"
JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
SLOW_CHUNK = 20_000

DATE_PARTS: Mapping[Kind, str] = {"date": "", "month": "%-m", "day": "%-d"}
"""How a part of a date is written; empty: as the vendor writes dates."""

EITHER_WAY = frozenset({"country_code", "country_name"})
"""A text that is not the one is the other: neither is a misfit."""

Warnings = dict[str, dict[str, int]]


def clean(engine: Engine, files: SegmentFiles, matching: Matching) -> Cleaned:
    """Make `clean` and `aside`; tells which values were changed or left out, by field."""
    _source(engine, files, matching)
    _judge_addresses(engine)
    _set_aside_by_address(engine)
    warnings, dirty = _set_aside_by_value(engine, matching)
    values = ", ".join(
        f"{_kept(one, dirty=one.name in dirty, date_format=matching.date_format)} as {quoted(one.name)}"
        for one in matching.carried
    )
    engine.run(
        f"""create or replace view clean as
        select s.row, coalesce(v.clean, s.email) as email{", " + values if values else ""}
        from source s left join verdict v on v.email = s.email anti join aside a on a.row = s.row"""
    )
    return Cleaned(files.rows, warnings)


def _source(engine: Engine, files: SegmentFiles, matching: Matching) -> None:
    """A row's number counts over all files; the address is trimmed and in lower case."""
    raw = "".join(f", {_typed(one)} as {quoted('raw_' + one.name)}" for one in matching.carried)
    first_rows = [file.first_row for file in files.files]
    trimmed = f"nullif(lower(trim({quoted(matching.email)}::varchar, {literal(address.WHITESPACE)})), '')"
    engine.run(
        f"""create or replace view source as
        select list_extract({first_rows}::bigint[], file_index::bigint + 1) + file_row_number as row,
            {trimmed} as email{raw}
        from {engine.scan([file.place for file in files.files], ", union_by_name=true")}"""
    )
    engine.run("create or replace table keys as select row, email from source")


def _typed(one: Carried) -> str:
    """A column as its type says: text may come as a column of nothing but nulls, a time in any unit, with a zone."""
    column = quoted(one.column)
    match one.type:
        case "text":
            return f"{column}::varchar"
        case "timestamp":
            return f"{column}::timestamptz::timestamp"  # UTC, as the engine is set
        case "decimal":
            return f"case when not isnan({column}::double) then {column} end"  # not a number: nothing is there
        case _:
            return column


def _judge_addresses(engine: Engine) -> None:
    """`verdict(email, clean, reason)`: one row for each address that is not plain."""
    plain = (
        f"(regexp_full_match(email, {literal(address.PLAIN)}) and length(email) <= {address.LONGEST} "
        f"and not regexp_matches(email, {literal(address.NOT_PLAIN)}))"
    )
    engine.run("create or replace table verdict (email varchar, clean varchar, reason varchar)")
    for batch in engine.stream(f"select distinct email from keys where email is not null and not {plain}", SLOW_CHUNK):
        texts = batch.column(0).to_pylist()
        verdicts = [address.judge(text) for text in texts]
        engine.table(
            "judged",
            pa.table(
                {
                    "email": pa.array(texts, pa.string()),
                    "clean": pa.array([verdict.email for verdict in verdicts], pa.string()),
                    "reason": pa.array([verdict.reason for verdict in verdicts], pa.string()),
                }
            ),
        )
        engine.run("insert into verdict select * from judged")


def _set_aside_by_address(engine: Engine) -> None:
    """No address, a bad one, or one that an earlier row has: the first row of a duplicate wins."""
    engine.run("create or replace table aside (row bigint, outcome varchar, reason varchar, field varchar)")
    engine.run(
        "insert into aside select row, ?, ?, 'email' from keys where email is null",
        [Outcome.REJECTED, Reason.NO_EMAIL],
    )
    engine.run(
        "insert into aside select k.row, ?, v.reason, 'email' from keys k join verdict v using (email) "
        "where v.reason is not null",
        [Outcome.REJECTED],
    )
    engine.run(
        """insert into aside
        with addressed as (
            select k.row, coalesce(v.clean, k.email) as email from keys k left join verdict v using (email)
            where k.email is not null and v.reason is null),
        repeated as (select email, min(row) as first_row from addressed group by email having count(*) > 1)
        select a.row, ?, ?, 'email' from addressed a join repeated r using (email) where a.row > r.first_row""",
        [Outcome.WITHHELD, Reason.DUPLICATE],
    )


def _set_aside_by_value(engine: Engine, matching: Matching) -> tuple[Warnings, set[str]]:
    """Find values with control characters, too long, or not of the field's type, in one scan over all columns."""
    warnings: Warnings = defaultdict(dict)
    if not matching.carried:
        return {}, set()
    found = engine.one(
        "select "
        + ", ".join(_counts(one, date_format=matching.date_format) for one in matching.carried)
        + " from source s anti join aside a on a.row = s.row"
    )
    dirty = set()
    for number, one in enumerate(matching.carried):
        control, long, misfit = found[3 * number : 3 * number + 3]
        if control:
            dirty.add(one.name)
            warnings[one.label]["control_characters_replaced"] = control
        for count, reason, test in (
            (long, Reason.VALUE_TOO_LONG, _too_long(one, dirty=True, date_format=matching.date_format)),
            (misfit, Reason.INVALID_VALUE, _misfit(one, date_format=matching.date_format)),
        ):
            if count and one.omit_misfit:
                warnings[one.label][f"left_out_{reason}"] = count
            elif count:
                engine.run(
                    f"""insert into aside select s.row, ?, ?, ?
                    from source s anti join aside a on a.row = s.row where {test}""",
                    [Outcome.REJECTED, reason, one.label],
                )
    return dict(warnings), dirty


def _counts(one: Carried, *, date_format: str) -> str:
    raw = quoted("raw_" + one.name)
    control = f"count_if(regexp_matches({raw}, '{CONTROL}'))" if one.type == "text" else "0"
    long = f"count_if({_too_long(one, dirty=True, date_format=date_format)})" if one.max_chars else "0"
    return f"{control}, {long}, count_if({_misfit(one, date_format=date_format)})"


def _too_long(one: Carried, *, dirty: bool, date_format: str) -> str:
    return f"length({value(one, dirty=dirty, date_format=date_format)}) > {one.max_chars or 0}"


def _misfit(one: Carried, *, date_format: str) -> str:
    """Something is there, and the vendor's field cannot hold it."""
    if one.type == one.wants == "text" or one.wants in EITHER_WAY:
        return "false"
    there = _text(quoted("raw_" + one.name), dirty=True) if one.type == "text" else quoted("raw_" + one.name)
    return f"({there} is not null and {value(one, dirty=True, date_format=date_format)} is null)"


def _kept(one: Carried, *, dirty: bool, date_format: str) -> str:
    """The value as it is sent; one that does not fit is null where the vendor's rule is to leave it out."""
    sql = value(one, dirty=dirty, date_format=date_format)
    if one.omit_misfit and one.max_chars:
        return f"case when length({sql}) <= {one.max_chars} then {sql} end"
    return sql


def _text(raw: str, *, dirty: bool) -> str:
    """Trimmed; empty is null; control characters become spaces (`dirty` is false where a scan saw none)."""
    if dirty:
        spaced = f"regexp_replace({raw}, '{CONTROL}+', ' ', 'g')"
        raw = f"case when regexp_matches({raw}, '{CONTROL}') then {spaced} else {raw} end"
    return f"nullif(trim({raw}, {literal(address.WHITESPACE)}), '')"


def value(one: Carried, *, dirty: bool, date_format: str) -> str:
    """SQL of a column's value in the form that the vendor's field takes, as text; null when it does not fit."""
    raw = quoted("raw_" + one.name)
    if one.type == "text":
        return _from_text(_text(raw, dirty=dirty), one.wants, date_format)
    if one.wants in DATE_PARTS:
        return f"strftime({raw}::date, {literal(DATE_PARTS[one.wants] or date_format)})"
    if one.wants == "phone":
        return _phone(f"{raw}::varchar")
    written: Mapping[ColumnType, str] = {
        "integer": f"{raw}::varchar",
        "decimal": f"case when isfinite({raw}::double) then {_plain_number(f'{raw}::varchar')} end",
        "boolean": f"{raw}::varchar",
        "date": f"strftime({raw}, '%Y-%m-%d')",
        "timestamp": f"strftime({raw}, '%Y-%m-%dT%H:%M:%SZ')",
    }
    return written[one.type]


def _from_text(text: str, wants: Kind, date_format: str) -> str:
    if wants in DATE_PARTS:
        return f"strftime(try_strptime({text}, '%Y-%m-%d')::date, {literal(DATE_PARTS[wants] or date_format)})"
    number = f"case when isfinite(try_cast({text} as double)) then {_plain_number(text)} end"
    forms: Mapping[Kind, str] = {
        "text": text,
        "boolean": f"case lower({text}) when 'true' then 'true' when 'false' then 'false' end",
        "gender": f"case when lower({text}) in ('m', 'f', 'male', 'female') then lower({text})[1] end",
        "country_code": f"case when regexp_full_match({text}, '[A-Za-z]{{2}}') then upper({text}) end",
        "country_name": f"case when not regexp_full_match({text}, '[A-Za-z]{{2}}') then {text} end",
        "phone": _phone(text),
        "number": f"case when regexp_full_match({text}, {literal(JSON_NUMBER)}) then {number} end",
    }
    return forms[wants]


def _phone(text: str) -> str:
    """E.164; the signs that people write between digits are taken out, and nothing is guessed."""
    digits = f"regexp_replace({text}, '[ ()./-]', '', 'g')"
    return f"case when regexp_full_match({digits}, '\\+[1-9][0-9]{{6,14}}') then {digits} end"


def _plain_number(text: str) -> str:
    """Whole numbers lose their `.0`, so that 5.0 and 5 are the same value. The digits stay as they are written."""
    return f"regexp_replace({text}, '\\.0+$', '')"
