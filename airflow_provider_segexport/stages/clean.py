"""Cleans and de-duplicates: `segment files -> view clean, table aside`, without a row in Python.

After it, the engine holds `clean(row, email, <carried>...)`, everything ready to be encoded, and `aside(row, outcome,
reason, field)`, every row that will not be sent and why. A row stands in one of the two. `addressed(row, email)` holds
every row with a good address, duplicates too.

Most rows need nothing done to them, and what has to be looked at letter by letter is dear. So one scan finds the rows
in doubt by a single pattern over all texts, and only those are trimmed, mended and judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from airflow_provider_segexport import email_address, field_values
from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.storage.arrow import from_numpy, to_numpy
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal, quoted
from airflow_provider_segexport.storage.email_column import judge_column
from airflow_provider_segexport.storage.plan import CleanResult, MappedColumn, ResolvedMapping, SegmentFiles

MARKS_CHUNK = 131_072
MARKS_AT_ONCE = 4_000_000
"""Hashes of addresses in memory at a time."""

BLANK = "".join(f"\\x{{{ord(sign):x}}}" for sign in email_address.WHITESPACE if not sign.isascii()) + " "
DOUBT = rf"""[\x00-\x1f\x7f]|""|"[{BLANK}]|[{BLANK}]\""""
"""Over texts joined by quotes: a control character, an empty text, or a blank at either end of one."""

SHORT = 40
"""No date, switch or number without an exponent is written in more characters."""

OVERSIZED = "(more than 1,000,000 bytes)"
"""What stands for an address that is too large to be looked at."""

MOST_ROW_BYTES = 1_000_000
"""A profile whose texts are longer is rejected before anything is done to them. The smallest body that a vendor takes
(Omnisend, 990,000 bytes) cannot hold it, and no vendor takes a field of more than a few thousand characters."""

Warnings = dict[str, dict[str, int]]


def clean(engine: Engine, files: SegmentFiles, field_mapping: ResolvedMapping) -> CleanResult:
    """Make `clean` and `aside`; tells which values were changed or left out, by field."""
    _source(engine, files, field_mapping)
    _judge_addresses(engine)
    _set_aside_by_address(engine, files.rows)
    warnings = _set_aside_by_value(engine, field_mapping)
    engine.run(
        """create or replace table special as
        select row, any_value(email) as email, bool_or(doubtful) as doubtful from (
            select k.row, v.clean as email, false as doubtful from keys k join verdict v using (email)
            where not k.plain and v.reason is null
            union all select d.row, null, true from doubts d anti join aside a on a.row = d.row)
        group by row"""
    )
    values = "".join(f", {sql} as {quoted(one.name)}" for one, sql in _values(engine, field_mapping))
    engine.run(
        f"""create or replace view clean as
        select s.row, coalesce(x.email, lower(s.email)) as email{values}
        from source s left join special x on x.row = s.row anti join aside a on a.row = s.row"""
    )
    return CleanResult(files.rows, warnings)


def _source(engine: Engine, files: SegmentFiles, field_mapping: ResolvedMapping) -> None:
    """`source(row, email, <raw values>...)`: the rows as the files have them. A row's number counts over all files."""
    engine.run(field_values.MACROS)
    raws = "".join(f", {field_values.typed(one)} as {field_values.raw(one)}" for one in field_mapping.columns)
    reads = [Read(field_values.raw_name(one), one.column, as_date=one.type == "date") for one in field_mapping.columns]
    rows = relation(engine, files, [Read("email", field_mapping.email), *reads])
    engine.run(f"create or replace view source as select row, email{raws} from {rows}")


def _judge_addresses(engine: Engine) -> None:
    """`keys` and `verdict` of all rows, and `addressed`: every row with a good address."""
    bounded = f"case when strlen(email) > {MOST_ROW_BYTES} then {literal(OVERSIZED)} else email end"
    judge_column(engine, f"(select row, {bounded} as email from source)")
    engine.run("create or replace view addressed as select row, email from judged where reason is null")


def _set_aside_by_address(engine: Engine, rows: int) -> None:
    """No address, a bad one, or one that an earlier row has: the first row of a duplicate wins."""
    engine.run("create or replace table aside (row bigint, outcome varchar, reason varchar, field varchar)")
    engine.run(
        "insert into aside select row, ?, ?, 'email' from keys where email is null",
        [Outcome.REJECTED, Reason.NO_EMAIL],
    )
    engine.run(
        f"""insert into aside
        select k.row, ?, case when k.email = {literal(OVERSIZED)} then ? else v.reason end, 'email'
        from keys k join verdict v using (email) where not k.plain and v.reason is not null""",
        [Outcome.REJECTED, Reason.ROW_TOO_LARGE],
    )
    _note_repeated(engine, rows)
    engine.run(
        """insert into aside
        with alike as materialized (select row, email from addressed a semi join marks m on m.mark = hash(a.email)),
        repeated as (select email, min(row) as first_row from alike group by email having count(*) > 1)
        select a.row, ?, ?, 'email' from alike a join repeated r using (email) where a.row > r.first_row""",
        [Outcome.WITHHELD, Reason.DUPLICATE],
    )


def _note_repeated(engine: Engine, rows: int) -> None:
    """`marks(mark)`: hashes that two rows' addresses share. Only those addresses are compared as texts.

    Sorted as an array they take 8 bytes a row; grouped in the engine, 60 more. They are of this run alone.
    """
    turns = -(-rows // MARKS_AT_ONCE)
    repeated = [np.zeros(0, np.uint64)]
    for turn in range(turns):
        sql = f"select mark from (select hash(email) as mark from addressed) where mark % {turns} = {turn}"
        found = [to_numpy(batch.column(0), np.uint64) for batch in engine.stream(sql, MARKS_CHUNK)]
        marks = np.concatenate([repeated[0], *found])
        found.clear()
        marks.sort()
        repeated.append(np.unique(marks[1:][marks[1:] == marks[:-1]]))
    engine.table("marks", pa.table({"mark": from_numpy(np.concatenate(repeated))}))


def _set_aside_by_value(engine: Engine, field_mapping: ResolvedMapping) -> Warnings:
    """Find values with control characters, too long, or not of the field's type; leaves `doubts`, rows to be mended."""
    names = [field_values.raw(one) for one in field_mapping.columns]
    raws = "".join(f", case when large is null then {name} end as {name}" for name in names)
    doubt = " or ".join(_doubts(field_mapping)) or "false"
    engine.run(
        f"""create or replace table doubts as
        select row, large{raws} from (select *, {_large(field_mapping)} as large from source where {doubt})"""
    )
    engine.run(
        """insert into aside select d.row, ?, ?, d.large from doubts d anti join aside a on a.row = d.row
        where d.large is not null""",
        [Outcome.REJECTED, Reason.ROW_TOO_LARGE],
    )
    warnings: Warnings = defaultdict(dict)
    for one in field_mapping.columns:
        for count, reason, test in _faults(engine, one, field_mapping.date_format):
            if reason is None:
                warnings[one.label]["control_characters_replaced"] = count
            elif one.drop_invalid:
                warnings[one.label][f"left_out_{reason}"] = count
            else:
                engine.run(
                    f"""insert into aside select d.row, ?, ?, ?
                    from doubts d anti join aside a on a.row = d.row where {test}""",
                    [Outcome.REJECTED, reason, one.label],
                )
    return dict(warnings)


def _joined(raws: Sequence[str]) -> str:
    """SQL of all texts of a row, joined by quotes."""
    return f"concat_ws('\"', '', {', '.join(raws)}, '')"


def _share(field_mapping: ResolvedMapping) -> int:
    """Bytes that at least one text of a row has which is too large."""
    return MOST_ROW_BYTES // (sum(one.type == "text" for one in field_mapping.columns) + 1)


def _large(field_mapping: ResolvedMapping) -> str:
    """SQL of the field that makes a row too large, which is the first with its share of the bytes; null elsewhere."""
    labels = {field_values.raw(one): one.label for one in field_mapping.columns if one.type == "text"}
    if not labels:
        return "null::varchar"
    fields = " ".join(
        f"when strlen({raw}) > {_share(field_mapping)} then {literal(label)}" for raw, label in labels.items()
    )
    return f"case when strlen({_joined(list(labels))}) > {MOST_ROW_BYTES} then case {fields} else '' end end"


def _doubts(field_mapping: ResolvedMapping) -> Iterator[str]:
    """Quick tests that no good row fails; a row that fails one may be good all the same."""
    raws = [field_values.raw(one) for one in field_mapping.columns if one.type == "text"]
    if raws:
        yield f"regexp_matches({_joined(raws)}, {literal(DOUBT)})"
    for one in field_mapping.columns:
        if one.type == "text":
            yield f"strlen({field_values.raw(one)}) > {min(one.max_chars or MOST_ROW_BYTES, _share(field_mapping))}"
        elif one.max_chars and one.max_chars < SHORT:
            yield f"strlen({field_values.value(one, field_mapping.date_format)}) > {one.max_chars}"
        if one.max_chars and (growth := field_values.may_grow(one)) != "false":
            yield growth
        misfit = field_values.misfit(one, field_mapping.date_format)
        if misfit != "false":
            yield misfit


def _faults(engine: Engine, one: MappedColumn, date_format: str) -> Iterator[tuple[int, Reason | None, str]]:
    """What is wrong with a column's values in the rows in doubt: how often, why, and how it is found."""
    mended = field_values.spaced(one) if one.type == "text" else None
    tests: list[tuple[Reason | None, str]] = []
    if one.type == "text":
        tests.append((None, f"regexp_matches({field_values.raw(one)}, '{field_values.CONTROL}')"))
    if one.max_chars:
        tests.append(
            (Reason.VALUE_TOO_LONG, field_values.too_long(one, field_values.value(one, date_format, text=mended)))
        )
    tests.append((Reason.INVALID_VALUE, field_values.misfit(one, date_format, text=mended)))
    counts = ", ".join(f"count_if({test})" for _, test in tests)
    found = engine.one(f"select {counts} from doubts d anti join aside a on a.row = d.row")
    for count, (reason, test) in zip(found, tests, strict=True):
        if count:
            yield count, reason, test


def _values(engine: Engine, field_mapping: ResolvedMapping) -> Iterator[tuple[MappedColumn, str]]:
    """Each column as it is sent. Where nothing in doubt has to be mended, there is nothing to choose between."""
    ways = [
        (one, field_values.value(one, field_mapping.date_format), _mended(one, field_mapping.date_format))
        for one in field_mapping.columns
    ]
    if not ways:
        return
    differ = ", ".join(f"count_if({quick} is distinct from {mended})" for _, quick, mended in ways)
    for (one, quick, mended), count in zip(ways, engine.one(f"select {differ} from doubts"), strict=True):
        yield one, f"case when x.doubtful then {mended} else {quick} end" if count else quick


def _mended(one: MappedColumn, date_format: str) -> str:
    """The value of a row in doubt; one that does not fit is null where the vendor's rule is to leave it out."""
    sql = field_values.value(one, date_format, text=field_values.spaced(one) if one.type == "text" else None)
    if one.drop_invalid and one.max_chars:
        return f"case when not {field_values.too_long(one, sql)} then {sql} end"
    return sql
