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
from airflow_provider_segexport.storage.run_folder import EXPERIMENT_NOTES


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


def test_a_table_that_is_a_link_is_left_and_named(root, tmp_path):
    """A new file in place of the link would leave the file that the link leads to."""
    folder = run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    outside = Path(shutil.move(str(folder / "rejects.parquet"), str(tmp_path / "rejects.parquet")))
    link = Path(str(folder / "rejects.parquet"))
    link.symlink_to(outside)
    for dry_run in (True, False):
        [left] = erase(tools(root), ADA, "Ann", dry_run=dry_run).left
        assert f"{link}: a link to {outside}, which contains the person" in left
    assert link.is_symlink()
    shutil.move(str(outside), str(link))
    assert erase(tools(root), ADA, "Ann").complete


@pytest.mark.parametrize("folder", ["dag/task/r/0/01", "dag/task/r/0.2/01", "dag/copies"])
def test_tables_in_a_folder_without_files_of_a_run_lose_the_person(root, folder):
    """Its configuration, plan and report are lost."""
    folders = [run(root / "runs" / folder), run(root / "runs" / folder / "removals")]
    for path in folders:
        (path / "summary.json").unlink()
    assert erase(tools(root), ADA, "Ann").complete
    assert [0, 0] == [files.count(path / "rejects.parquet", ADA) for path in folders]


def test_a_folder_with_only_a_copy_of_a_table_is_named(root):
    """The column of addresses may have any name."""
    copies = ensure_folder(root / "runs" / "dag" / "task" / "r" / "0" / "01" / "snapshots")
    write(copies / "000.parquet", b"ada@example.com")
    assert "000.parquet: a process is writing it" in erase(tools(root), ADA, "Ann").left[0]


def test_a_stray_file_above_run_folders_makes_no_run_of_them(root):
    """Each run decides by its own plan, and one that may be resumed keeps its rows."""
    folder = run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    open_run = run(root / "runs" / "dag" / "task" / "s" / "0" / "01")
    write(open_run / "summary.json", b'{"finished": false}')
    write(open_run / "plan.json", b"damaged")
    write(root / "runs" / "dag" / "task" / "config.json", b"{}")
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith(f"{open_run}: a run that is not finished")
    assert files.count(folder / "rejects.parquet", ADA) == 0
    assert files.count(open_run / "rejects.parquet", ADA) == 1


def test_earlier_plans_of_a_second_call_in_a_task_lose_the_person(root, tmp_path):
    """The history names the last one only."""
    task = tmp_path / "reports" / "dag" / "task"
    folders = [run(task / "r" / "0.2" / number) for number in ("01", "02")]
    recorded(root, folders[1])
    assert erase(tools(root), ADA, "Ann").complete
    assert [0, 0] == [files.count(folder / "rejects.parquet", ADA) for folder in folders]


def test_a_recorded_folder_that_this_machine_does_not_have_is_named(root, tmp_path):
    """Another worker may have it. A removed run leaves the task's folder."""
    recorded(root, tmp_path / "reports" / "dag" / "task" / "r" / "0" / "01")
    task = tmp_path / "reports" / "dag" / "task"
    for dry_run in (True, False):
        [left] = erase(tools(root), ADA, "Ann", dry_run=dry_run).left
        assert left.startswith(f"{task}: run reports name this folder, which is not on this machine")
    task.mkdir(parents=True)
    assert erase(tools(root), ADA, "Ann").complete


def test_a_state_path_that_has_another_name_in_records_is_here(root):
    """A container sees the state path at another place than the host. An old run was removed."""
    run(root / "runs" / "dag" / "task" / "r" / "0" / "01")
    recorded(root, "/opt/state/runs/dag/task/q/0/01")
    assert erase(tools(root), ADA, "Ann").complete


def test_an_empty_state_path_is_named(root):
    """The machine may lack the mount of the state path."""
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith(f"{root}: this state path holds no ledger and no run.")


def test_a_run_whose_experiment_is_not_undone_is_named(root):
    """A repair has set it aside: the next run undoes the experiment by its notes, which hold the person's address."""
    folder = run(str(root / "runs" / "dag" / "task" / "r" / "0" / "01"))
    write(folder / EXPERIMENT_NOTES, b"{}")
    [left] = erase(tools(root), ADA, "Ann").left
    assert left.startswith(f"{folder}: a run that is not finished.")
    (folder / EXPERIMENT_NOTES).unlink()
    assert erase(tools(root), ADA, "Ann").complete
