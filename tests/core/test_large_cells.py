"""Cells and rows of many megabytes are rejected alone, and memory rises with what a page needs."""

from __future__ import annotations

import pytest
from core.factories import cleaned, inspected, one_page, outcomes, values, written

from airflow_provider_segexport.errors import NeedsMemory
from airflow_provider_segexport.segment_files.memory import memory_for
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage.duckdb_engine import engine

LARGE = "x" * 16_000_000


@pytest.mark.parametrize("column", ["email", "first", "note"])
def test_a_row_with_a_cell_of_16_mb_is_rejected_alone(tmp_path, column):
    """Nothing is done to such a value; the other rows go."""
    columns = {"email": [f"p{n}@example.com" for n in range(5)], "first": ["Ann"] * 5, "note": ["hello"] * 5}
    columns[column][2] = f"{LARGE}@example.com" if column == "email" else LARGE
    path = written(tmp_path / "x.parquet", columns)
    fields = {"first_name": "first"}
    with cleaned(path, fields=fields, note="note") as (sql, _):
        label = {"email": "email", "first": "name", "note": "note"}[column]
        assert {2: ("rejected", "row_too_large", label)} == outcomes(sql)
        assert [0, 1, 3, 4] == values(sql, "row")


def test_many_large_cells_and_a_row_that_is_large_in_sum(tmp_path):
    """The sum of a row's texts counts, for all of them travel in one item."""
    size = 600_000
    columns = {
        "email": [f"p{n}@example.com" for n in range(40)],
        "first": ["x" * size] * 20 + ["Ann"] * 20,
        "note": ["y" * size] * 20 + ["hello"] * 20,
    }
    path = written(tmp_path / "x.parquet", columns, use_dictionary=False)
    with cleaned(path, fields={"first_name": "first"}, note="note") as (sql, _):
        assert {("rejected", "row_too_large")} == {outcome[:2] for outcome in outcomes(sql).values()}
        assert list(range(20, 40)) == values(sql, "row")


def test_memory_rises_with_what_a_page_needs(tmp_path):
    """A page that no usual engine holds is reported as such, and footers tell how much is needed."""
    rows = 200_000
    columns = {"email": [f"p{n}@example.com" for n in range(rows)]}
    columns |= {f"c{k}": [f"{n:0120}" for n in range(rows)] for k in range(8)}
    path = written(
        tmp_path / "x.parquet",
        columns,
        **one_page(rows),
    )
    files = inspected(path, wanted=list(columns))
    reads = [Read(f"value_{number}", column) for number, column in enumerate(columns)]
    total = " + ".join(f"strlen({column.name})" for column in reads)
    with (
        pytest.raises(NeedsMemory, match="memory or disk is full"),
        engine("64MB") as sql,
        read.translate_read_errors(files),
    ):
        sql.rows(f"select sum({total}) from {relation(sql, files, reads)}")
    with engine(memory_for(files)) as sql, read.translate_read_errors(files):
        assert sql.rows(f"select sum({total}) from {relation(sql, files, reads)}") > [(rows * 960,)]
