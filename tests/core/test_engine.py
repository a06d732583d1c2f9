"""Each engine is empty, wherever its DuckDB instance was before."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_segexport.storage import duckdb_engine
from airflow_provider_segexport.storage.duckdb_engine import engine

PEOPLE = pa.table({"email": ["a@example.com"]})


@pytest.fixture
def idle(monkeypatch):
    """The instances of this process that no engine uses; none at first."""
    instances = []
    monkeypatch.setattr(duckdb_engine, "_idle", {os.getpid(): instances})
    yield instances
    for instance in instances:
        instance.close()


def content(sql):
    return sql.rows(
        "select table_name from duckdb_tables() union all select view_name from duckdb_views() where not internal"
    )


def test_an_engine_is_empty_although_its_instance_was_used_before(idle):
    with engine() as sql:
        sql.table("people", PEOPLE)
        sql.run("create view adults as from people")
        sql.run("create temp table minors as from people")
        stream = sql.stream("select email from people")
        assert next(stream).num_rows == 1
    [instance] = idle
    with engine() as sql:
        assert not idle
        assert content(sql) == []
        sql.table("people", PEOPLE)
        assert [batch.num_rows for batch in sql.stream("select email from people")] == [1]
    assert idle == [instance]


def test_two_engines_at_once_share_nothing(idle):
    with engine() as outer:
        outer.table("people", PEOPLE)
        with engine() as inner:
            assert content(inner) == []
        assert outer.rows("from people") == [("a@example.com",)]
    assert len(idle) == 2


def test_an_instance_is_not_kept_after_an_error(idle):
    with pytest.raises(KeyError), engine():
        raise KeyError
    assert not idle


def test_an_instance_that_knows_files_by_number_is_not_kept(idle, tmp_path):
    pq.write_table(PEOPLE, path := tmp_path / "part[1].parquet")
    with engine() as sql:
        assert sql.rows(f"from {sql.scan([path])}") == [("a@example.com",)]
    assert not idle


def test_an_engine_spills_into_its_own_folder_after_another_one_has_spilled(idle, monkeypatch):
    """DuckDB cannot change its temporary folder once data has spilled into it, and that folder is deleted."""

    def spill(sql):
        sql.run("create table wide as select range as number, md5(range::varchar) as hash from range(600_000)")
        [(folder, size)] = sql.rows("select current_setting('temp_directory'), sum(size) from duckdb_temporary_files()")
        assert size
        return folder

    with engine("16MB") as sql:
        first = spill(sql)
    assert not pathlib.Path(first).exists()
    with engine("16MB") as sql:
        assert spill(sql) != first


def test_a_forked_child_does_not_use_an_instance_of_its_parent(idle, monkeypatch):
    with engine():
        pass
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with engine():
        assert len(idle) == 1


def test_each_engine_has_its_own_limit_of_memory(idle):
    with engine("64MiB"):
        pass
    with engine("32MiB") as sql:
        assert sql.single_row("select current_setting('memory_limit')") == ("32.0 MiB",)


def test_an_export_imports_no_module_that_costs_memory_and_is_not_needed():
    """Each costs tens of MiB or of milliseconds in every task."""
    script = (
        "import sys, airflow_provider_segexport.export.pipeline; print({'pandas', 'pyarrow.compute'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
