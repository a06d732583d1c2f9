"""Counts texts that a program wrote in place of null: `None`, `nan`. They are sent as they are, and the report says so.

Airflow's `SqlToS3Operator` writes each null of a text column to Parquet as `None` (its source, 2026-11), because it
converts the column with pandas' `astype(str)`. A person may be called None, so such a text is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport import field_values
from airflow_provider_segexport.storage.duckdb_engine import Engine, listed
from airflow_provider_segexport.storage.plan import MappedColumn
from airflow_provider_segexport.storage.tables import NOT_SENT

NULL_WORDS = ("None", "nan", "NaN", "NaT", "<NA>", "null", "NULL", r"\N")
"""Texts of null that Python, pandas, databases and their CSV files write."""

WARNING = "null_as_text"


def add_null_words(
    engine: Engine, rows: str, columns: Sequence[MappedColumn], warnings: dict[str, dict[str, int]]
) -> None:
    """Count the `NULL_WORDS` of each field that accepts any text, and add the counts to the warnings.

    Args:
        engine: holds the rows and `NOT_SENT`.
        rows: name of the relation with the values as read.
        columns: the mapped columns.
        warnings: counts by label of the field and kind of warning.
    """
    for column in columns:
        if column.type != "text" or column.value_kind not in {"text", "country_name"}:
            continue
        # One statement a column: the reader compares each value of a dictionary once, and skips row groups by their
        # statistics. One statement for all columns takes twice as long (2026-11).
        with_word = f"select row from {rows} where {field_values.raw(column)} in ({listed(NULL_WORDS)})"
        (count,) = engine.single_row(f"select count(*) from ({with_word}) r anti join {NOT_SENT} n on n.row = r.row")
        if count:
            of_field = warnings.setdefault(column.label, {})
            of_field[WARNING] = of_field.get(WARNING, 0) + int(count)
