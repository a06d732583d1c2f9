"""Withholds people before anything is sent: by a consent column, and by suppression lists.

`addressed, suppressed, aside -> more of aside`, where `addressed(row, email)` holds every row with a good address and
`suppressed(email)` the people of suppression lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.model import WITHDRAWN, Outcome, Reason
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed
from airflow_provider_segexport.storage.plan import SegmentFiles
from airflow_provider_segexport.vendors.base import ColumnType
from airflow_provider_segexport.yes_no import blank_sql, yes_no_sql

COUNTS: Sequence[ColumnType] = ("boolean", "text", "integer", "decimal")


def column_type(files: SegmentFiles, column: str) -> ColumnType:
    """The type of the consent column, if it is one that can say yes or no."""
    found = files.columns[column]
    if found is None or found not in COUNTS:
        raise InvalidSegment(
            f"The consent column {column!r} is {files.type_words[column]}, and should be boolean, text or a number."
        )
    return found


def withhold_without_consent(engine: Engine, files: SegmentFiles, column: str) -> Mapping[str, int]:
    """Set aside every row of an address of which any row does not say yes.

    Returns:
        Rows by what their value says: `yes`, `no`, `empty`, or `unclear` for a value that is neither yes nor no.
    """
    text = column_type(files, column) == "text"
    value = "value::varchar" if text else "value"
    says, empty = yes_no_sql(value, text=text), blank_sql(value, text=text)
    answer = f"select row, {says} as said, {empty} as blank from {relation(engine, files, [Read('value', column)])}"
    engine.run(
        f"""create or replace table refusing as
        select row, case when not said then 'no' when blank then 'empty' else 'unclear' end as answer
        from ({answer}) where not coalesce(said, false)"""
    )
    counts = dict(engine.rows("select answer, count(*) from refusing group by answer"))
    engine.run(
        """create or replace table unwilling as
        select distinct a.email from addressed a semi join refusing r on r.row = a.row"""
    )
    _withhold(engine, "unwilling", Reason.NO_CONSENT, column)
    refusing = {answer: int(counts.get(answer, 0)) for answer in ("no", "empty", "unclear")}
    return {"yes": files.rows - sum(refusing.values()), **refusing}


def withhold_suppressed(engine: Engine) -> int:
    """Set aside every row of the people in `suppressed`; returns how many."""
    return _withhold(engine, "suppressed", Reason.ON_SUPPRESSION_LIST, "email")


def withhold_barred(engine: Engine, bit: int) -> int:
    """Set aside every row of the people whom another export of the audience has barred; returns how many.

    Args:
        engine: holds `bars(email, barred)`, from the ledger.
        bit: this export's. Its own bar does not count, because its own segment and lists decide anew.
    """
    engine.run(
        f"""create or replace table barred_elsewhere as
        select email from bars where (barred & ~({bit}::ubigint)) <> 0"""
    )
    return _withhold(engine, "barred_elsewhere", Reason.WITHDRAWN_ELSEWHERE, "email")


def _withhold(engine: Engine, people: str, reason: Reason, field: str) -> int:
    """Set aside every row of these people, whatever other reason a row has: a withdrawal holds for an address.

    The first of these reasons stays: consent, suppression, another export's bar. Returns how many rows have this one.
    """
    rows = f"select a.row from addressed a semi join {people} p on p.email = a.email"
    engine.run(
        f"""create or replace table barred as select r.row from ({rows}) r
        anti join (select row from aside where reason in ({listed(WITHDRAWN)})) x
        on x.row = r.row"""
    )
    engine.run("delete from aside where row in (select row from barred)")
    engine.run("insert into aside select row, ?, ?, ? from barred", [Outcome.WITHHELD, reason, field])
    return int(engine.one("select count(*) from barred")[0])
