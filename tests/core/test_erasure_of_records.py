"""Erasures whose records of runs, run folders or tables are damaged, or lead elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.person_files import ADA, ROWS, ledger, tools

from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import ensure_folder, local_path, write


@pytest.fixture
def root(tmp_path):
    return ensure_folder(local_path(str(tmp_path / "state")))


def run(folder):
    """A finished run whose rejects hold the person."""
    made = ensure_folder(local_path(str(folder)))
    write(made / "summary.json", b'{"finished": true}')
    write_parquet(made / "rejects.parquet", [pa.record_batch([[1], ["ada@example.com"]], schema=ROWS)], ROWS)
    return made


def recorded(root, folder):
    path = ledger(root, {"bob@example.com": "member"}).path
    history.record_run(path, {"run": "d/t/r/0", "run_folder": str(folder), "ended_at": 1.0}, members=1)
    return path


def test_a_record_that_is_torn_may_name_a_run_folder(root, tmp_path):
    """So the erasure is not complete."""
    folder = run(tmp_path / "reports" / "dag" / "task" / "r" / "0" / "01")
    path = recorded(root, folder)
    [record] = (path / "history").iterdir()
    write(record, b'{"run":')
    shutil.rmtree(str(root / "latest"))
    receipt = erase(tools(root), ADA, "Ann")
    assert any("the record of a run cannot be read" in left for left in receipt.left)


def test_a_path_that_goes_up_again_is_followed(root, tmp_path):
    """It begins as the folder of the state, and is not in it."""
    folder = run(tmp_path / "other" / "dag" / "task" / "r" / "0" / "01")
    ensure_folder(root / "runs")
    recorded(root, f"{root}/runs/../../other/dag/task/r/0/01")
    assert erase(tools(root), ADA, "Ann").complete
    assert files.count(folder / "rejects.parquet", ADA) == 0


@pytest.mark.parametrize("name", ["b/0/01", "data/reports/20260101/01", "", "models"])
def test_a_recorded_path_reaches_no_file_outside_run_folders(root, tmp_path, name):
    """A file of another project lies beside, with a file of its own that has a run folder's name."""
    others = [tmp_path / "models", tmp_path / "data" / "crm"]
    for folder in others:
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"email": ["ada@example.com"]}), folder / "people.parquet")
        (folder / "run.json").write_text("{}")
    (others[1] / "config.json").write_text("{}")
    before = [(folder / "people.parquet").read_bytes() for folder in others]
    recorded(root, tmp_path / name)
    erase(tools(root), ADA, "Ann")
    assert before == [(folder / "people.parquet").read_bytes() for folder in others]


@pytest.mark.parametrize(
    ("name", "content"), [("rejects.parquet", b"PAR1 x PAR1"), ("upserts.arrow", b"ARROW1xxARROW1")]
)
def test_a_file_that_only_ends_as_a_table_is_left_and_named(root, name, content):
    """The erasure goes on."""
    folder = run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    other = run(root / "runs" / "dag" / "task" / "s" / "0" / "01")
    (folder / name).write_bytes(content)
    receipt = erase(tools(root), ADA, "Ann")
    assert [str(folder / name)] == [left.partition(": ")[0] for left in receipt.left]
    assert files.count(other / "rejects.parquet", ADA) == 0


def test_a_column_of_another_type_is_left_and_named(root):
    """PyArrow compares no text with numbers."""
    folder = run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    schema = pa.schema([("email", pa.int64())])
    write_parquet(folder / "rejects.parquet", [pa.record_batch([[1]], schema=schema)], schema)
    assert "rejects.parquet: it is no table" in erase(tools(root), ADA, "Ann").left[0]


def test_a_record_with_a_nul_byte_is_left_and_named(root):
    """No file system has such a path."""
    recorded(root, "/a\0b/dag/task/r/0/01")
    assert "'/a\\x00b/dag" in erase(tools(root), ADA, "Ann").left[0]


def test_loops_of_links_are_entered_once(root):
    """Two links to the top would make a walk that doubles at each level."""
    folder = run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    for link in ("l", "l2"):
        Path(str(root / "runs" / "dag" / link)).symlink_to(str(root / "runs"))
    Path(str(folder / "in")).symlink_to(".")
    assert erase(tools(root), ADA, "Ann").complete
    assert files.count(folder / "rejects.parquet", ADA) == 0
