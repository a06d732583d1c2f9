"""`airflow segexport prune`, and what an export removes of the old runs of its own task."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from airflow_provider_segexport.hooks import tidying
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.hooks.paths import resolve, state_path
from airflow_provider_segexport.storage.attempts import Attempt, attempts_file, record
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.retention import DAY_S, KEPT_RUNS
from airflow_provider_segexport.storage.run_folder import RunFolder

pytestmark = pytest.mark.airflow


def add(age_days: float, name: str, task: str = "prunes/export", root: str | None = None, now: float | None = None):
    """The folder of a run that ended well so many days ago."""
    folder_path = (resolve(root) if root else state_path() / "runs") / f"{task}/{name}/0/01"
    folder = RunFolder(folder_path)
    at = (time.time() if now is None else now) - age_days * DAY_S
    folder.write_summary({"finished": True, "ended_at": at, "run_folder": str(folder_path)})
    with (folder_path / "rejects.parquet").open("wb") as file:
        file.write(b"people")
    return folder_path


def aged(age_days: float = 31, count: int = 2, **more):
    """Old runs, and as many recent ones as every task keeps."""
    for number in range(KEPT_RUNS):
        add(0.1, f"recent{number}", **more)
    return [add(age_days + number, f"old{number}", **more) for number in range(count)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state root without any run."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "state"))
    return tmp_path


def test_old_runs_are_removed_and_named(home, command):
    """By default those that ended more than 30 days ago; a second command finds nothing."""
    old = aged()
    code, output = command("prune")
    assert code == 0
    assert sorted(output.splitlines()[:2]) == sorted(map(str, old))
    assert output.splitlines()[2] == "2 run folders of runs that ended more than 30 days ago removed."
    assert not any(path.exists() for path in old)
    assert len(list((home / "state" / "runs").rglob("summary.json"))) == KEPT_RUNS
    assert command("prune") == (0, "0 run folders of runs that ended more than 30 days ago removed.\n")


def test_a_dry_run_lists_them_only(home, command):
    """With --dry-run."""
    old = aged()
    code, output = command("prune", "--dry-run")
    assert (code, all(str(path) in output for path in old)) == (0, True)
    assert "2 run folders of runs that ended more than 30 days ago would be removed." in output
    assert all(path.exists() for path in old)


@pytest.mark.parametrize(("given", "days"), [("40d", 40), ("40", 40), (" 35d ", 35)])
def test_the_age_is_given_in_days(home, command, given, days):
    """With or without a d; it takes the place of the configured one."""
    aged(days - 0.5, count=1)
    old = add(days + 0.5, "on_stale")
    code, output = command("prune", "--older-than", given)
    assert (code, output) == (0, f"{old}\n1 run folder of runs that ended more than {days} days ago removed.\n")


@pytest.mark.parametrize("given", ["0", "-3d", "4w", "", "1e3", "999999d", "٣d"])
def test_an_age_that_is_none_removes_nothing(home, command, given):
    """The value is named, and what is one."""
    [old] = aged(count=1)
    code, output = command("prune", f"--older-than={given}")
    if given:
        assert code == 2
        assert f"{given!r} is no age. To fix: give a number of days from 1, such as 30d" in output
    else:
        assert (code, "the value is empty" in output) == (2, True)
    assert old.exists()


def test_with_all_runs_kept_the_age_must_be_given(home, command, monkeypatch):
    """`keep_runs_days` 0."""
    [old] = aged(count=1)
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__KEEP_RUNS_DAYS", "0")
    code, output = command("prune")
    assert code == 1
    assert "`[segexport] keep_runs_days` is 0, which keeps all runs. To fix: give --older-than 30d." in output
    assert old.exists()
    assert command("prune", "--older-than", "30d")[0] == 0
    assert not old.exists()


def test_runs_whose_reports_are_elsewhere_are_found_by_their_audience(stage, command, tmp_path):
    """`reports_path` put them there; the task may be gone by now."""
    stage.segment(3)
    conn_id = stage.connection("dotdigital")
    run = stage.export(conn_id=conn_id, reports_path=str(tmp_path / "elsewhere"))
    assert run.state == "success", run.errors
    report = Path(run.summary()["run_folder"])
    task = "/".join(report.relative_to(tmp_path / "elsewhere").parts[:2])
    old = [add(40, f"old{number}", task, str(tmp_path / "elsewhere")) for number in range(KEPT_RUNS + 1)]
    code, output = command("prune")
    removed = [str(path) for path in old if not path.exists()]
    assert (code, sorted(output.splitlines()[:-1])) == (0, sorted(removed))
    assert removed
    assert report.exists()


def test_a_folder_that_may_not_be_written_is_an_error_of_one_line(home, command):
    """And the command can be given again."""
    if os.geteuid() == 0:
        pytest.skip("the superuser may write everywhere")
    [old] = aged(count=1)
    Path(str(old)).chmod(0o500)
    try:
        code, output = command("prune")
    finally:
        Path(str(old)).chmod(0o700)
    assert code == 1
    assert "PermissionError: Permission denied" in output
    assert "To fix: let this user read and write `[segexport] state_path`" in output


def test_a_bucket_is_pruned(s3_root, command):
    """Objects of old runs go, those of others stay, and the folders that are left show no empty run."""
    old = aged()
    remaining = {key for key in s3_root() if "/recent" in key}
    assert len(remaining) == 2 * KEPT_RUNS
    code, output = command("prune", "--dry-run")
    assert (code, "2 run folders" in output) == (0, True)
    assert len(s3_root()) == len(remaining) + 4
    code, output = command("prune")
    assert (code, all(str(path) in output for path in old)) == (0, True)
    assert set(s3_root()) == remaining
    assert command("prune")[1].startswith("0 run folders")


def test_a_run_in_a_bucket_that_died_while_it_planned_is_dated_by_its_objects(s3_root, command, monkeypatch):
    """Its objects are new, so it is not old; on a machine whose clock is 40 days later it is."""
    died = state_path() / "runs/prunes/export/died/0/01"
    with (died / "config.json").open("wb") as file:
        file.write(b"{}")
    later = time.time() + 40 * DAY_S
    aged(count=0)
    assert command("prune")[1].startswith("0 run folders")
    monkeypatch.setattr(time, "time", lambda: later)
    aged(count=0)
    code, output = command("prune")
    assert (code, output.splitlines()[0]) == (0, str(died))
    assert not any("died" in key for key in s3_root())


@pytest.fixture
def old_runs_of(stage):
    """Old run folders of a task of a DAG `exports`, by the simulator's clock."""

    def make(count, root=None, age_days=31):
        now = SegmentExportHook.clock()
        for number in range(KEPT_RUNS):
            add(0.1, f"recent{number}", "exports/export", root, now)
        return [add(age_days + number, f"old{number}", "exports/export", root, now) for number in range(count)]

    stage.segment(3)
    return make


def exported(stage, **more):
    run = stage.export(conn_id=stage.connection("dotdigital"), **more)
    assert run.state == "success", run.errors
    return run


def test_an_export_removes_a_few_old_runs_of_its_task(stage, old_runs_of, caplog):
    """Five at a time, and each is logged; those of another task stay."""
    old = old_runs_of(7)
    other = add(100, "old", "others/export", now=SegmentExportHook.clock())
    caplog.set_level(logging.INFO)
    exported(stage)
    assert sum(path.exists() for path in old) == 2
    assert other.exists()
    logged = [record.getMessage() for record in caplog.records if "Removing an old run folder" in record.getMessage()]
    assert len(logged) == 5
    assert all("(folder=" in line and "days=30)" in line for line in logged)


def test_an_export_with_reports_elsewhere_removes_there(stage, old_runs_of, tmp_path):
    """Where its own run folders are."""
    old = old_runs_of(1, str(tmp_path / "elsewhere"))
    exported(stage, reports_path=str(tmp_path / "elsewhere"))
    assert not old[0].exists()


def test_an_export_to_a_bucket_removes_there(s3_root, stage, old_runs_of):
    """As on a disk."""
    old_runs_of(1)
    exported(stage)
    assert not any("/old" in key for key in s3_root())
    assert sum("/recent" in key for key in s3_root()) == 2 * KEPT_RUNS


@pytest.mark.parametrize(("days", "left"), [("0", 1), ("-5", 1), ("32", 1), ("31", 0)])
def test_how_long_runs_stay_is_configured(stage, old_runs_of, monkeypatch, days, left):
    """0 keeps all."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__KEEP_RUNS_DAYS", days)
    [old] = old_runs_of(1, age_days=31.5)
    exported(stage)
    assert old.exists() == bool(left)


def test_a_number_of_days_that_is_none_is_named(stage, old_runs_of, command, monkeypatch, caplog):
    """By each export, which must not fail for it, and by the command."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__KEEP_RUNS_DAYS", "30d")
    [old] = old_runs_of(1, age_days=31.5)
    exported(stage)
    expected = (
        "`[segexport] keep_runs_days` is '30d', so no old run folder is removed. To fix: set it to a number of days"
    )
    assert expected in caplog.text
    code, text = command("prune")
    assert (code, expected in text, old.exists()) == (1, True, True)


def test_an_export_that_fails_removes_nothing(stage, old_runs_of):
    """Only a run that has ended well tidies up."""
    [old] = old_runs_of(1)
    run = stage.export(conn_id=stage.connection("dotdigital", extra={"default_audience": "999999"}))
    assert run.state == "failed"
    assert old.exists()


def test_what_cannot_be_removed_fails_no_export(stage, old_runs_of, monkeypatch, caplog):
    """The export has ended well: a warning with the error's kind, and without its words."""

    def refuse(run):
        raise PermissionError(f"not allowed for ann@example.com: {run.path}")

    [old] = old_runs_of(1)
    monkeypatch.setattr(tidying, "remove_run", refuse)
    exported(stage)
    assert old.exists()
    assert "Leaving old run folders, which cannot be removed (error=PermissionError)" in caplog.text
    assert "ann@example.com" not in caplog.text


def test_a_damaged_state_of_any_audience_keeps_all_runs(stage, old_runs_of, caplog):
    """The limit that it needs is unknown."""
    exported(stage)
    [old] = old_runs_of(1)
    state = local_path(str(state_path())) / "ledgers" / "vendor" / "account" / "other"
    Path(str(state)).mkdir(parents=True)
    (Path(str(state)) / "audience_state.json").write_text("{")
    exported(stage)
    assert old.exists()
    assert "Leaving old run folders, which cannot be removed (error=DamagedState)" in caplog.text


def test_old_records_of_attempts_are_removed(home, command):
    """Those that no run has written for as long; a recent one stays, and a dry run removes none."""
    files = [attempts_file(state_path(), "c", str(number), "d/t") for number in range(2)]
    for file in files:
        record(file, Attempt("d/t/r/0"))
    old = time.time() - 40 * DAY_S
    os.utime(Path(str(files[0])), (old, old))
    command("prune", "--dry-run")
    assert [True, True] == [file.exists() for file in files]
    command("prune")
    assert [False, True] == [file.exists() for file in files]


def test_what_a_killed_process_has_left_beside_attempts_is_removed(home, command):
    """A temporary file that was never given its name; one that is being written stays."""
    folder = Path(str(attempts_file(state_path(), "c", "", "d/t").parent))
    folder.mkdir(parents=True, exist_ok=True)
    left, writing = (folder / f".x.json.{number:012x}.half" for number in range(2))
    for file in (left, writing):
        file.write_text("{")
    old = time.time() - DAY_S
    os.utime(left, (old, old))
    command("prune", "--dry-run")
    assert left.exists()
    command("prune")
    assert [False, True] == [file.exists() for file in (left, writing)]
