"""Commands over all audiences: a folder that cannot be read stops none of them, and each names it and ends with 1."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.retention import DAY_S, KEPT_RUNS
from airflow_provider_segexport.storage.run_folder import RunFolder

pytestmark = pytest.mark.airflow

RUN_LEVELS = ["runs/locked", "runs/locked/task", "runs/locked/task/run", "runs/locked/task/run/0"]
LEVELS = ["ledgers/other", "ledgers/other/account", "ledgers/other/account/list"]


@pytest.fixture(params=LEVELS, ids=["vendor", "account", "audience"])
def locked(stage, request, monkeypatch):
    """The state of one exported audience, and a folder beside it that this user may not read."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital"), dag_id="readable")
    assert run.state == "success", run.errors
    root = Path(str(state_path()))
    (root / LEVELS[-1] / "history").mkdir(parents=True)
    return lock(str(root / request.param), monkeypatch)


def lock(path, monkeypatch):
    """Make a folder one that cannot be listed."""
    real = os.listdir

    def listdir(folder="."):
        if str(folder).startswith(path):
            raise PermissionError(errno.EACCES, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    return path


def test_the_other_runs_are_listed(locked, command):
    """The folder is named, and the exit code says that the list is not whole."""
    code, text = command("runs")
    assert (code, "readable/export" in text) == (1, True)
    assert f"1 folder of the state path cannot be read: {locked} (Permission denied). Their runs are not" in text
    assert "To fix: let this user read the folder" in text
    code, text = command("runs", "-o", "json")
    assert (code, len(json.JSONDecoder().raw_decode(text)[0])) == (1, 1)


def test_a_run_is_found_by_its_id(locked, command):
    """If no readable folder has the run, the error says which folders were not searched."""
    _, text = command("runs", "-o", "json")
    run_id = json.JSONDecoder().raw_decode(text)[0][0]["id"]
    code, text = command("show", run_id)
    assert (code, "readable/export" in text) == (0, True)
    code, text = command("show", "0123456789ab")
    assert (code, locked in text) == (1, True)


def test_the_other_audiences_are_repaired(locked, command):
    """A damaged audience beside the folder is set right."""
    code, text = command("repair", "--dry-run")
    assert (code, locked in text, "Everything can be read" in text) == (1, True, False)
    [path] = (
        [path for path in ledger_paths(state_path()) if path.parent.parent.name == "dotdigital"]
        if (locked.endswith("list"))
        else list((Path(str(state_path())) / "ledgers" / "dotdigital").glob("*/*"))
    )
    [state] = Path(str(path)).glob("audience_state-*.json")
    state.write_bytes(b"{}")
    code, text = command("repair", "--yes")
    assert (code, "Repaired (audiences=1 runs=0)" in text, locked in text) == (1, True, True)
    assert "were not checked and not changed. To fix" in text


def test_only_runs_of_other_vendors_are_removed(locked, command):
    """Which runs the audiences in the folder need is not known, so a run that may be theirs stays."""
    old = {}
    for vendor in ("dotdigital", "other", None):
        for number in range(KEPT_RUNS + 1):
            folder = RunFolder(local_path(f"{state_path()}/runs/{vendor}/task/run{number}/0/01"))
            age = 40 + number if number == KEPT_RUNS else 0.1
            folder.write_summary({"finished": True, "ended_at": time.time() - age * DAY_S, "vendor": vendor})
            old[vendor] = Path(str(folder.path))
    code, text = command("prune")
    assert (code, {vendor: path.exists() for vendor, path in old.items()}) == (
        1,
        {"dotdigital": False, "other": True, None: True},
    )
    assert f"{locked} (Permission denied). No run in them was removed, and none of a vendor" in text


@pytest.mark.parametrize("level", RUN_LEVELS, ids=["dag", "task", "run", "index"])
def test_a_folder_of_runs_that_cannot_be_read_stops_no_command(stage, command, monkeypatch, level):
    """Tasks that run as different users may have such folders."""
    root, old = Path(str(state_path())), []
    for task in ("locked", "readable"):
        for number in range(KEPT_RUNS + 1):
            folder = RunFolder(local_path(f"{root}/runs/{task}/task/run{number or ''}/0/01"))
            folder.write_summary({"finished": True, "ended_at": time.time() - (40 + number) * DAY_S, "vendor": "v"})
        old.append(Path(str(folder.path)))
    path = lock(str(root / level), monkeypatch)
    code, text = command("prune")
    assert (code, old[1].exists(), f"{path} (Permission denied)" in text or level.endswith("0")) == (1, False, True)
    code, text = command("repair", "--dry-run")
    assert (code, path in text, "were not checked and not changed. To fix" in text) == (1, True, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("repair", "--dry-run"),
        ("prune",),
        ("explain", "jane@example.com"),
        ("erase", "jane@example.com", "--requested-by", "1", "--yes"),
        ("release", "349394", "--export", "a.b"),
    ],
    ids=" ".join,
)
def test_a_state_path_that_is_a_file_is_not_an_empty_state(tmp_path, monkeypatch, command, arguments):
    """No command says that there is no run, or that no record of a person exists."""
    (tmp_path / "state").write_text("x")
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "state"))
    code, text = command(*arguments)
    assert (code, "Not a directory" in text, "To fix" in text) == (1, True, True), text
