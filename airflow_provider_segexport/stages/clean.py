"""Clean and de-duplicate a segment: `segment files -> CLEAN_ROWS, NOT_SENT`, without a row in Python.

Afterwards each row is either in `CLEAN_ROWS`, ready to be encoded, or in `NOT_SENT` with a reason. `VALID_EMAIL_ROWS`
holds every row with a valid address, duplicates too.

Most rows need no change, and examining a text character by character is slow. So one scan selects the suspect rows with
a single pattern over all texts. Only those rows are trimmed, mended and checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from airflow_provider_segexport import email_address, field_values
from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.null_words import add_null_words
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.storage.arrow import from_numpy, to_numpy
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal, quoted
from airflow_provider_segexport.storage.email_column import validate_column
from airflow_provider_segexport.storage.phone_column import create_phone_numbers, with_numbers
from airflow_provider_segexport.storage.plan import CleanResult, MappedColumn, ResolvedMapping, SegmentFiles
from airflow_provider_segexport.storage.tables import (
    CLEAN_ROWS,
    EMAIL_KEYS,
    NOT_SENT,
    VALID_EMAIL_ROWS,
    add_not_sent,
    create_not_sent,
)

HASH_CHUNK_ROWS = 131_072
"""Address hashes that leave the engine at a time."""

MAX_HASHES_IN_MEMORY = 4_000_000
"""Address hashes in memory at a time: 8 bytes each, so 32 MB."""

BLANK = "".join(f"\\x{{{ord(sign):x}}}" for sign in email_address.WHITESPACE if not sign.isascii()) + " "
SUSPECT_PATTERN = rf"""[\x00-\x1f\x7f]|""|"[{BLANK}]|[{BLANK}]\""""
"""Over texts joined by quotes: a control character, an empty text, or a blank at either end of a text."""

MAX_FORMATTED_CHARS = 40
"""No date, boolean or number without an exponent is longer, so a field that takes as much needs no length check."""

OVERSIZED = "(more than 1,000,000 bytes)"
"""Replaces an address that is too large to be examined."""

MAX_ROW_BYTES = 1_000_000
"""A profile whose texts are longer is rejected before they are processed. The smallest body that a vendor takes
(Omnisend, 990,000 bytes) cannot hold it, and no vendor takes a field of more than a few thousand characters."""

ANY_SUSPECT = "select 1 from suspect_rows limit 1"
Warnings = dict[str, dict[str, int]]


def clean(engine: Engine, files: SegmentFiles, field_mapping: ResolvedMapping) -> CleanResult:
    """Create `CLEAN_ROWS` and `NOT_SENT`; return which values were changed or left out, by field.

    Args:
        engine: where the tables are created.
        files: the files of the segment.
        field_mapping: the columns that feed the vendor's fields.
    """
    _create_read_rows(engine, files, field_mapping)
    _validate_emails(engine)
    _reject_by_email(engine, files.rows)
    converted = _create_source_rows(engine, field_mapping)
    warnings = _reject_by_value(engine, field_mapping, converted)
    engine.run(
        f"""create or replace table mended_rows as
        select row, any_value(email) as email, bool_or(suspect) as suspect from (
            select k.row, v.clean as email, false as suspect from {EMAIL_KEYS} k join email_results v using (email)
            where not k.plain and v.reason is null
            union all select s.row, null, true from suspect_rows s anti join {NOT_SENT} n on n.row = s.row)
        group by row"""
    )
    values = "".join(f", {sql} as {quoted(column.name)}" for column, sql in _values(engine, field_mapping))
    engine.run(
        f"""create or replace view {CLEAN_ROWS} as
        select s.row, coalesce(m.email, lower(s.email)) as email{values}
        from source_rows s left join mended_rows m on m.row = s.row anti join {NOT_SENT} n on n.row = s.row"""
    )
    return CleanResult(files.rows, warnings)


def use_emails(engine: Engine, emails: str) -> int:
    """Create `CLEAN_ROWS`, `NOT_SENT` and `EMAIL_KEYS` from addresses that the ledger holds, so they are clean.

    Args:
        engine: gets the tables.
        emails: SQL of a relation with the column `email`, without duplicates.

    Returns:
        The number of rows.
    """
    engine.run(
        f"""create or replace table {CLEAN_ROWS} as
        select (row_number() over (order by email) - 1)::bigint as row, email from {emails} order by email"""
    )
    engine.run(f"create or replace table {EMAIL_KEYS} as select row, true as plain, email from {CLEAN_ROWS}")
    create_not_sent(engine)
    return int(engine.single_row(f"select count(*) from {CLEAN_ROWS}")[0])


def _create_read_rows(engine: Engine, files: SegmentFiles, field_mapping: ResolvedMapping) -> None:
    """Create `read_rows(row, email, <raw values>...)`: the rows as read. `row` counts over all files."""
    columns = field_mapping.read_columns
    if any(column.type == "decimal" or column.value_kind == "number" for column in columns):
        engine.run(field_values.MACROS)  # only then, because it takes 3 ms
    raws = "".join(f", {field_values.typed(column)} as {field_values.raw(column)}" for column in columns)
    reads = [Read(field_values.raw_name(column), column.column, as_date=column.is_read_as_date) for column in columns]
    rows = relation(engine, files, [Read("email", field_mapping.email), *reads])
    engine.run(f"create or replace view read_rows as select row, email{raws} from {rows}")


def _create_source_rows(engine: Engine, field_mapping: ResolvedMapping) -> Warnings:
    """Create `source_rows`: as `read_rows`, with phone numbers in E.164 where they can be converted.

    Returns:
        The count of converted numbers, as a warning.
    """
    phone = next((column for column in field_mapping.read_columns if column.is_phone), None)
    if phone is None:
        engine.run("create or replace view source_rows as select * from read_rows")
        return {}
    raw = field_values.raw(phone)
    source = (column for column in field_mapping.read_columns if column.column == field_mapping.country)
    country = next(map(field_values.raw, source), None)
    rows = f"(select r.* from read_rows r anti join {NOT_SENT} n on n.row = r.row)"
    count = create_phone_numbers(engine, rows, raw, country, field_mapping.default_region)
    engine.run(f"create or replace view source_rows as {with_numbers('read_rows', raw, country)}")
    return {phone.label: {"converted_to_e164": count}} if count else {}


def _validate_emails(engine: Engine) -> None:
    """Create `EMAIL_KEYS` and `email_results` of all rows, and `VALID_EMAIL_ROWS`."""
    bounded = f"case when strlen(email) > {MAX_ROW_BYTES} then {literal(OVERSIZED)} else email end"
    validate_column(engine, f"(select row, {bounded} as email from read_rows)")
    engine.run(
        f"create or replace view {VALID_EMAIL_ROWS} as select row, email from validated_emails where reason is null"
    )


def _reject_by_email(engine: Engine, rows: int) -> None:
    """Reject rows without an address or with an invalid one, and withhold all but the first row of an address."""
    create_not_sent(engine)
    add_not_sent(engine, f"{EMAIL_KEYS} where email is null", Outcome.REJECTED, Reason.NO_EMAIL, "email")
    engine.run(
        f"""insert into {NOT_SENT}
        select k.row, ?, case when k.email = {literal(OVERSIZED)} then ? else v.reason end, 'email'
        from {EMAIL_KEYS} k join email_results v using (email) where not k.plain and v.reason is not null""",
        [Outcome.REJECTED, Reason.ROW_TOO_LARGE],
    )
    _find_duplicate_hashes(engine, rows)
    engine.run(
        f"""insert into {NOT_SENT}
        with candidates as materialized (
            select row, email from {VALID_EMAIL_ROWS} v semi join duplicate_hashes d on d.email_hash = hash(v.email)),
        repeated as (select email, min(row) as first_row from candidates group by email having count(*) > 1)
        select c.row, ?, ?, 'email' from candidates c join repeated r using (email) where c.row > r.first_row""",
        [Outcome.WITHHELD, Reason.DUPLICATE],
    )


def _find_duplicate_hashes(engine: Engine, rows: int) -> None:
    """Create `duplicate_hashes(email_hash)`: hashes that the addresses of two rows share.

    Only those addresses are compared as texts. The hashes are sorted as an array, which takes 8 bytes a row; grouping
    them in the engine takes 60 more. They are not stored, so the engine may change its hash function.
    """
    passes = -(-rows // MAX_HASHES_IN_MEMORY)
    duplicates = [np.zeros(0, np.uint64)]
    for number in range(passes):
        sql = f"""select email_hash from (select hash(email) as email_hash from {VALID_EMAIL_ROWS})
            where email_hash % {passes} = {number}"""
        chunks = [to_numpy(batch.column(0), np.uint64) for batch in engine.stream(sql, HASH_CHUNK_ROWS)]
        hashes = np.concatenate([duplicates[0], *chunks])
        chunks.clear()
        hashes.sort()
        duplicates.append(np.unique(hashes[1:][hashes[1:] == hashes[:-1]]))
    engine.table("duplicate_hashes", pa.table({"email_hash": from_numpy(np.concatenate(duplicates))}))


def _reject_by_value(engine: Engine, field_mapping: ResolvedMapping, converted: Warnings) -> Warnings:
    """Reject rows with values that are too long or not of the field's type; return `converted` with more warnings.

    Creates `suspect_rows(row, large, <raw values>...)`, which are mended afterwards.
    """
    names = [field_values.raw(column) for column in field_mapping.read_columns]
    raws = "".join(f", case when large is null then {name} end as {name}" for name in names)
    suspect = " or ".join(_suspect_tests(field_mapping)) or "false"
    engine.run(
        f"""create or replace table suspect_rows as
        select row, large{raws} from (
            select *, {_oversized_field(field_mapping)} as large from source_rows where {suspect})"""
    )
    engine.run(
        f"""insert into {NOT_SENT} select s.row, ?, ?, s.large
        from suspect_rows s anti join {NOT_SENT} n on n.row = s.row where s.large is not null""",
        [Outcome.REJECTED, Reason.ROW_TOO_LARGE],
    )
    warnings: Warnings = defaultdict(dict, converted)
    for column in field_mapping.read_columns if engine.rows(ANY_SUSPECT) else ():
        for count, reason, test in _faults(engine, column, field_mapping.date_format):
            if reason is None:
                warnings[column.label]["control_characters_replaced"] = count
            elif column.drop_invalid:
                warnings[column.label][f"left_out_{reason}"] = count
            else:
                faulty = f"(select s.* from suspect_rows s anti join {NOT_SENT} n on n.row = s.row where {test})"
                add_not_sent(engine, faulty, Outcome.REJECTED, reason, column.label)
    add_null_words(engine, "read_rows", field_mapping.read_columns, warnings)
    return dict(warnings)


def _joined(raws: Sequence[str]) -> str:
    """Return SQL of all texts of a row, joined by quotes."""
    return f"concat_ws('\"', '', {', '.join(raws)}, '')"


def _share_bytes(field_mapping: ResolvedMapping) -> int:
    """Return the bytes that at least one text of a row exceeds if the row is too large."""
    return MAX_ROW_BYTES // (sum(column.type == "text" for column in field_mapping.read_columns) + 1)


def _oversized_field(field_mapping: ResolvedMapping) -> str:
    """Return SQL of the first field that exceeds its share of a row that is too large; null for other rows."""
    labels = {field_values.raw(column): column.label for column in field_mapping.read_columns if column.type == "text"}
    if not labels:
        return "null::varchar"
    share = _share_bytes(field_mapping)
    fields = " ".join(f"when strlen({raw}) > {share} then {literal(label)}" for raw, label in labels.items())
    return f"case when strlen({_joined(list(labels))}) > {MAX_ROW_BYTES} then case {fields} else '' end end"


def _suspect_tests(field_mapping: ResolvedMapping) -> Iterator[str]:
    """Yield fast SQL tests. Each row that must be changed or rejected meets one, and some valid rows do, too."""
    raws = [field_values.raw(column) for column in field_mapping.read_columns if column.type == "text"]
    if raws:
        yield f"regexp_matches({_joined(raws)}, {literal(SUSPECT_PATTERN)})"
    share = _share_bytes(field_mapping)
    for column in field_mapping.read_columns:
        if column.type == "text":
            yield f"strlen({field_values.raw(column)}) > {min(column.max_chars or MAX_ROW_BYTES, share)}"
        elif column.max_chars and column.max_chars < MAX_FORMATTED_CHARS:
            yield f"strlen({field_values.value(column, field_mapping.date_format)}) > {column.max_chars}"
        if column.max_chars and (growth := field_values.may_grow(column)) != "false":
            yield growth
        misfit = field_values.misfit(column, field_mapping.date_format)
        if misfit != "false":
            yield misfit


def _faults(engine: Engine, column: MappedColumn, date_format: str) -> Iterator[tuple[int, Reason | None, str]]:
    """Yield count of rows, reason and SQL test of each fault of a column's values in the suspect rows.

    The reason is None for control characters, which are only replaced.
    """
    mended = field_values.spaced(column) if column.type == "text" else None
    tests: list[tuple[Reason | None, str]] = []
    if column.type == "text":
        tests.append((None, f"regexp_matches({field_values.raw(column)}, '{field_values.CONTROL}')"))
    if column.max_chars:
        value = field_values.value(column, date_format, text=mended)
        tests.append((Reason.VALUE_TOO_LONG, field_values.too_long(column, value)))
    tests.append((Reason.INVALID_VALUE, field_values.misfit(column, date_format, text=mended)))
    sums = ", ".join(f"count_if({test})" for _, test in tests)
    counts = engine.single_row(f"select {sums} from suspect_rows s anti join {NOT_SENT} n on n.row = s.row")
    for count, (reason, test) in zip(counts, tests, strict=True):
        if count:
            yield count, reason, test


def _values(engine: Engine, field_mapping: ResolvedMapping) -> Iterator[tuple[MappedColumn, str]]:
    """Yield each column with the SQL of its value as sent.

    If mending changes no value of a column in the suspect rows, the fast expression serves all rows.
    """
    date_format = field_mapping.date_format
    expressions = [
        (column, field_values.value(column, date_format), _mended(column, date_format))
        for column in field_mapping.read_columns
    ]
    differ = ", ".join(f"count_if({fast} is distinct from {mended})" for _, fast, mended in expressions)
    has_suspects = expressions and engine.rows(ANY_SUSPECT)
    counts = engine.single_row(f"select {differ} from suspect_rows") if has_suspects else [0] * len(expressions)
    for (column, fast, mended), count in zip(expressions, counts, strict=True):
        yield column, f"case when m.suspect then {mended} else {fast} end" if count else fast


def _mended(column: MappedColumn, date_format: str) -> str:
    """Return SQL of a suspect row's value; null if it is too long and the vendor's rule is to leave it out."""
    sql = field_values.value(column, date_format, text=field_values.spaced(column) if column.type == "text" else None)
    if column.drop_invalid and column.max_chars:
        return f"case when not {field_values.too_long(column, sql)} then {sql} end"
    return sql
