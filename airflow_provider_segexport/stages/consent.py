"""Withhold people before anything is sent: by a consent column, by suppression lists, by other exports' bars.

`VALID_EMAIL_ROWS, SUPPRESSED_EMAILS, BARRED_EMAILS, NOT_SENT -> more of NOT_SENT`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.model import WITHDRAWN, Outcome, Reason
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed
from airflow_provider_segexport.storage.plan import SegmentFiles
from airflow_provider_segexport.storage.tables import (
    BARRED_EMAILS,
    NOT_SENT,
    SUPPRESSED_EMAILS,
    VALID_EMAIL_ROWS,
    add_not_sent,
)
from airflow_provider_segexport.vendors.base import ColumnType
from airflow_provider_segexport.yes_no import blank_sql, yes_no_sql

MAX_ANSWER_BYTES = 10_000
"""Longest answer that is read, with what surrounds it."""

CONSENT_TYPES: Sequence[ColumnType] = ("boolean", "text", "integer", "decimal")


def column_type(files: SegmentFiles, column: str) -> ColumnType:
    """Return the type of the consent column.

    Raises:
        InvalidSegment: a column of this type cannot express yes or no.
    """
    kind = files.columns[column]
    if kind is None or kind not in CONSENT_TYPES:
        raise InvalidSegment(
            f"The consent column {column!r} is {files.type_names[column]}, and should be boolean, text or a number. To "
            "fix: cast it in the task that writes the segment."
        )
    return kind


def withhold_without_consent(engine: Engine, files: SegmentFiles, column: str) -> Mapping[str, int]:
    """Withhold every row of an address if the consent column does not say yes in one of its rows.

    Args:
        engine: holds `VALID_EMAIL_ROWS` and `NOT_SENT`.
        files: the files of the segment.
        column: name of the consent column.

    Returns:
        Rows by answer: `yes`, `no`, `empty`, or `unclear` for a value that is neither yes nor no.

    Raises:
        InvalidSegment: a column of this type cannot express yes or no.
    """
    text = column_type(files, column) == "text"
    # An answer of megabytes is unclear. Changing its case would need several times its memory.
    value = f"(case when strlen(value) > {MAX_ANSWER_BYTES} then '?' else value::varchar end)" if text else "value"
    is_yes, is_empty = yes_no_sql(value, text=text), blank_sql(value, text=text)
    rows = relation(engine, files, [Read("value", column)])
    engine.run(
        f"""create or replace table no_consent_rows as
        select row, case when not is_yes then 'no' when is_empty then 'empty' else 'unclear' end as answer
        from (select row, {is_yes} as is_yes, {is_empty} as is_empty from {rows}) where not coalesce(is_yes, false)"""
    )
    answers = dict(engine.rows("select answer, count(*) from no_consent_rows group by answer"))
    engine.run(
        f"""create or replace table no_consent_emails as
        select distinct v.email from {VALID_EMAIL_ROWS} v semi join no_consent_rows n on n.row = v.row"""
    )
    _withhold(engine, "no_consent_emails", Reason.NO_CONSENT, column)
    counts = {answer: int(answers.get(answer, 0)) for answer in ("no", "empty", "unclear")}
    return {"yes": files.rows - sum(counts.values()), **counts}


def withhold_suppressed(engine: Engine) -> int:
    """Withhold every row of the people in `SUPPRESSED_EMAILS`; return the number of rows."""
    return _withhold(engine, SUPPRESSED_EMAILS, Reason.ON_SUPPRESSION_LIST, "email")


def withhold_barred(engine: Engine, bit: int) -> int:
    """Withhold every row of the people that another export of the audience has barred; return the number of rows.

    Args:
        engine: holds `BARRED_EMAILS`, from the ledger.
        bit: this export's bit in `barred`. Its own bar does not count, because its segment and lists decide again.
    """
    engine.run(
        f"""create or replace table barred_by_others as
        select email from {BARRED_EMAILS} where (barred & ~({bit}::ubigint)) <> 0"""
    )
    return _withhold(engine, "barred_by_others", Reason.WITHDRAWN_ELSEWHERE, "email")


def _withhold(engine: Engine, people: str, reason: Reason, field: str) -> int:
    """Withhold every row of some people. A withdrawal holds for an address, so it replaces any other reason.

    If several withdrawals apply, the first stays: consent, suppression, another export's bar.

    Args:
        engine: holds `VALID_EMAIL_ROWS` and `NOT_SENT`.
        people: name of a table with the column `email`.
        reason: the reason of these rows.
        field: the column that causes it.

    Returns:
        The number of rows that are now withheld for this reason.
    """
    engine.run(
        f"""create or replace table newly_withheld as
        select v.row from {VALID_EMAIL_ROWS} v semi join {people} p on p.email = v.email
        anti join (select row from {NOT_SENT} where reason in ({listed(WITHDRAWN)})) n on n.row = v.row"""
    )
    engine.run(f"delete from {NOT_SENT} where row in (select row from newly_withheld)")
    add_not_sent(engine, "newly_withheld", Outcome.WITHHELD, reason, field)
    return int(engine.single_row("select count(*) from newly_withheld")[0])
