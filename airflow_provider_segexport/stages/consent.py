"""Withholds people before anything is sent: by a consent column, and by files of addresses not to be mailed.

`addressed, aside -> more of aside`, where `addressed(row, email)` holds every row with a good address.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq

from airflow_provider_segexport.contract import ColumnType
from airflow_provider_segexport.errors import BadSegment
from airflow_provider_segexport.model import Outcome, Reason
from airflow_provider_segexport.ports.engine import Engine, literal, quoted
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.ports.segment_rows import Read, relation
from airflow_provider_segexport.segment import SegmentFiles

YES = ("true", "yes", "y", "1", "on")
"""What a text column says for yes, in any case. Everything else, and nothing at all, is no."""

SHA256 = "[0-9a-f]{64}"

COUNTS: Sequence[ColumnType] = ("boolean", "text", "integer")


def column_type(files: SegmentFiles, column: str) -> ColumnType:
    """The type of the consent column, if it is one that can say yes or no."""
    found = files.columns[column]
    if found is None or found not in COUNTS:
        raise BadSegment(
            f"The consent column {column!r} is {files.type_words[column]}, and should be boolean, text or integer."
        )
    return found


def withhold_without_consent(engine: Engine, files: SegmentFiles, column: str) -> int:
    """Set aside every row of an address of which any row does not say yes; returns how many."""
    kind = column_type(files, column)
    words = ", ".join(map(literal, YES))
    yes = f"lower(trim(said::varchar)) in ({words})" if kind != "boolean" else "said"
    source = relation(engine, files, [Read("said", column)])
    engine.run(f"create or replace table refusing as select row from {source} where not coalesce({yes}, false)")
    engine.run(
        """create or replace table unwilling as
        select distinct a.email from addressed a semi join refusing r on r.row = a.row"""
    )
    return _withhold(engine, "unwilling", Reason.NO_CONSENT, column)


def withhold_suppressed(engine: Engine, places: Sequence[tuple[Place, str]]) -> int:
    """Set aside whoever stands in a suppression file, in clear or as the SHA-256 of the address in lower case."""
    engine.run("create or replace table suppression (mark varchar)")
    for place, name in places:
        column = quoted(_only_column(place, name))
        engine.run(
            f"""insert into suppression select lower(trim({column}::varchar)) from {engine.scan([place])}
            where {column} is not null"""
        )
    hashed = f"select mark from suppression where regexp_full_match(mark, '{SHA256}')"
    engine.run(
        """create or replace table unwilling as
        select distinct a.email from addressed a semi join suppression s on s.mark = a.email"""
    )
    if engine.one(f"select count(*) from ({hashed})") != (0,):
        engine.run(
            f"""insert into unwilling select distinct a.email from addressed a
            where sha256(a.email) in ({hashed}) and a.email not in (select email from unwilling)"""
        )
    return _withhold(engine, "unwilling", Reason.SUPPRESSED_HERE, "email")


def _withhold(engine: Engine, people: str, reason: Reason, field: str) -> int:
    """Set aside every row of these people, whatever other reason a row has: a withdrawal holds for an address.

    A row that lacks consent keeps that reason when its address is suppressed too. Returns how many rows have this one.
    """
    rows = f"select a.row from addressed a semi join {people} p on p.email = a.email"
    engine.run(
        f"""create or replace table barred as select r.row from ({rows}) r
        anti join (select row from aside where reason in ('{Reason.NO_CONSENT}', '{Reason.SUPPRESSED_HERE}')) x
        on x.row = r.row"""
    )
    engine.run("delete from aside where row in (select row from barred)")
    engine.run("insert into aside select row, ?, ?, ? from barred", [Outcome.WITHHELD, reason, field])
    return int(engine.one("select count(*) from barred")[0])


def _only_column(place: Place, name: str) -> str:
    """The column `email`, or the only one that there is."""
    try:
        with place.open("rb") as file:
            columns = pq.read_schema(file).names
    except (OSError, ValueError):
        raise BadSegment(f"The suppression file {name} cannot be read as Parquet.") from None
    for column in columns:
        if column.lower() == "email" or len(columns) == 1:
            return str(column)
    raise BadSegment(
        f"The suppression file {name} has the columns {', '.join(columns)}, and should have one `email`: addresses, "
        "plain or as SHA-256 in hexadecimal digits."
    )
