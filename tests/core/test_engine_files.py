"""Errors of files that DuckDB opens by number."""

from __future__ import annotations

import errno

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.storage import literal_names
from airflow_provider_segexport.storage.duckdb_engine import engine


@pytest.fixture
def odd_file(tmp_path):
    """A file whose name DuckDB would take for a pattern."""
    path = tmp_path / "part[1].parquet"
    pq.write_table(pa.table({"number": [1, 2]}), path)
    return path


@pytest.mark.parametrize("read", ["run", "rows", "stream"])
def test_a_file_that_cannot_be_opened_raises_the_error_of_the_disk(odd_file, monkeypatch, read):
    """DuckDB's own error would quote a traceback; Airflow would not see that a disk has failed."""

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(odd_file))

    with engine() as sql:
        query = f"from {sql.scan([odd_file])}"
        monkeypatch.setattr(literal_names, "_LocalFile", broken)
        with pytest.raises(OSError, match="Input/output") as caught:
            list(getattr(sql, read)(query) or ())
        assert caught.value.errno == errno.EIO
        monkeypatch.undo()
        assert sql.rows(f"select number from {sql.scan([odd_file])}") == [(1,), (2,)]


def test_an_error_of_a_file_is_raised_once(odd_file, monkeypatch):
    """A later error of SQL is DuckDB's own."""
    with engine() as sql:
        query = f"from {sql.scan([odd_file])}"
        odd_file.unlink()
        with pytest.raises(FileNotFoundError):
            sql.rows(query)
        with pytest.raises(Exception, match="no_such_table") as caught:
            sql.rows("from no_such_table")
        assert not isinstance(caught.value, OSError)
