"""Parquet files of this package are read in one thread, and whatever rows they have."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.storage import parquet_tables
from airflow_provider_segexport.storage.parquet_tables import column_parts, matching_rows, read_table, row_groups

TABLE = pa.table({"hashes": [{"a": n} for n in range(9)], "email": [f"p{n}@example.com" for n in range(9)]})


@pytest.fixture(params=[0, 1, 9], ids=["no row group", "a row group", "many row groups"])
def path(request, tmp_path):
    path = tmp_path / "table.parquet"
    rows = TABLE if request.param else TABLE.slice(0, 0)
    with pq.ParquetWriter(path, TABLE.schema) as out:
        for number in range(request.param):
            part = rows.num_rows // request.param
            out.write_table(rows.slice(number * part, part))
    return path


def test_a_table_is_read_expected_or_by_columns(path):
    """In the order in which they are asked for; PyArrow up to 19 fails at a file without a row group."""
    with path.open("rb") as file:
        table = read_table(file)
    with path.open("rb") as file:
        assert ["email", "hashes"] == read_table(file, ["email", "hashes"]).column_names
    assert TABLE.schema == table.schema
    assert table in (TABLE, TABLE.slice(0, 0))
    with path.open("rb") as file:
        assert table.column("email").to_pylist() == [
            text for part in column_parts(file, "email") for text in part.to_pylist()
        ]
    with path.open("rb") as file:
        assert [] == list(column_parts(file, "other"))


@pytest.mark.parametrize("email", ["p0@example.com", "p5@example.com", "p8@example.com", "a@example.com", "z", ""])
def test_a_row_is_found_by_its_value(path, email):
    with path.open("rb") as file:
        rows = matching_rows(file, "email", email).to_pylist()
    expected = [row for row in pq.read_table(path).to_pylist() if row["email"] == email] if path.stat().st_size else []
    assert expected == rows


def test_an_interpreter_that_ends_after_a_read_ends_well(tmp_path):
    """A command may read last of all. PyArrow's own threads abort such an interpreter now and then."""
    path = tmp_path / "table.parquet"
    pq.write_table(TABLE, path)
    code = f"""
from airflow_provider_segexport.storage.parquet_tables import read_table
with open({str(path)!r}, "rb") as file:
    read_table(file)
"""
    for _ in range(3):
        assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


@pytest.mark.parametrize(
    ("sizes", "limits", "expected"),
    [
        ([2, 2, 2, 2, 2], {"rows": 4}, [4, 4, 2]),
        ([3, 3, 3], {"rows": 4}, [6, 3]),
        ([0, 1, 0, 2, 0], {"rows": 2}, [3]),
        ([2, 2, 2], {"rows": 100, "size": 1}, [2, 2, 2]),
        ([0, 0], {"rows": 2}, []),
        ([], {"rows": 2}, []),
    ],
    ids=str,
)
def test_row_groups_have_a_number_of_rows_or_of_bytes(sizes, limits, expected):
    """In order, and without a row group that has no row."""
    numbers = pa.RecordBatch.from_pydict({"n": list(range(20))})
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [numbers.slice(start, size) for start, size in zip(starts, sizes, strict=True)]
    groups = [table.column("n").to_pylist() for table in row_groups(batches, numbers.schema, **limits)]
    assert [len(group) for group in groups] == expected
    assert [number for group in groups for number in group] == list(range(sum(sizes)))


def test_each_batch_of_a_stream_is_counted_once(monkeypatch: pytest.MonkeyPatch):
    """A stream of single rows takes time in proportion to its length, not to its square."""

    class Batch:
        reads = 0
        nbytes = 1

        @property
        def num_rows(self) -> int:
            Batch.reads += 1
            return 1

    tables: list[list[Batch]] = []
    recorder = type("Table", (), {"from_batches": lambda batches, _: tables.append(batches)})
    monkeypatch.setattr(parquet_tables.pa, "Table", recorder)
    list(row_groups((Batch() for _ in range(1000)), pa.schema([]), rows=10_000))
    assert [len(batches) for batches in tables] == [1000]
    assert Batch.reads <= 2000
