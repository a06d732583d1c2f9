"""`airflow segexport repair`: what it says, asks, does and returns, as a shell gives it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.paths import listing
from airflow_provider_segexport.storage.run_folder import RunFolder

pytestmark = pytest.mark.airflow


@pytest.fixture
def audience(stage):
    """An audience at dotdigital that four people were exported to twice; its place."""
    for count in (3, 4):
        stage.segment(count)
        run = stage.export(conn_id=stage.connection("dotdigital", "dotdigital_repair"), dag_id="repairs")
        assert run.state == "success", run.errors
    [path] = ledger_paths(state_path())
    return path


@pytest.fixture
def answer(monkeypatch):
    """The user's input at the terminal; None without a terminal."""

    def give(text):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: text is not None, raising=False)
        monkeypatch.setattr("builtins.input", lambda _: text)

    give(None)
    return give


def damage(ledger, name: str) -> Path:
    path = Path(str(ledger)) / next(
        file_name for file_name in sorted(listing(ledger), reverse=True) if file_name.startswith(name)
    )
    path.write_bytes(path.read_bytes()[:-40])
    return path


def test_nothing_to_repair(audience, command):
    """The exit code is 0, and nothing is asked."""
    assert command("repair") == (0, "Everything can be read (audiences=1).\n")
    assert command("repair", audience.name) == (0, "Everything can be read (audiences=1).\n")


def test_a_damaged_state_is_made_again(stage, audience, command, answer):
    """It asks first; the damaged file is kept, the owner is known again, and the next run sends every row."""
    damage(audience, "audience_state")
    answer("yes")
    code, output = command("repair")
    assert code == 0
    assert f"Audience {audience}:\nThe audience's state (audience_state.json) cannot be read" in output
    assert "This command removes no person." in output
    assert "Repaired (audiences=1 runs=0). Damaged files are kept as damaged-*." in output
    assert AudienceState.of(audience).owner == "repairs.export"
    assert [name for name in listing(audience) if name.startswith("damaged-audience_state")]
    stage.segment(4)
    run = stage.export(conn_id="dotdigital_repair", dag_id="repairs")
    assert run.state == "success", run.errors
    assert command("repair")[1] == "Everything can be read (audiences=1).\n"


def test_a_damaged_ledger_falls_back_to_the_version_before(stage, audience, command):
    """With --yes it asks nothing."""
    damage(audience, "00")
    code, output = command("repair", audience.name, "--yes")
    assert code == 0
    assert "The ledger's newest version (2) cannot be read. Version 1 replaces it." in output
    run = stage.export(conn_id="dotdigital_repair", dag_id="repairs")
    assert run.state == "success", run.errors
    assert run.summary()["counts"]["delivered"] == 4


def test_an_older_version_of_the_ledger_is_set_aside(audience, command):
    """Only an undo and an erasure read it, so the next run sends no more than without the damage."""
    path = Path(str(audience)) / min(name for name in listing(audience) if name.startswith("00"))
    path.write_bytes(b"")
    code, output = command("repair", audience.name, "--yes")
    assert code == 0
    assert "Older versions of the ledger cannot be read (1). Lost: they cannot be undone." in output
    assert "sends every person" not in output
    assert command("repair")[1] == "Everything can be read (audiences=1).\n"


def test_looking_changes_nothing(audience, command, answer):
    """With --dry-run, with any answer but yes, and without a terminal, where --yes is needed."""
    damage(audience, "00")
    damage(audience, "audience_state")
    files = {path: path.read_bytes() for path in Path(str(audience)).rglob("*") if path.is_file()}
    for argv, given in ((("--dry-run",), "yes"), ((), "n"), ((), "")):
        answer(given)
        code, output = command("repair", *argv)
        assert (code, output.splitlines()[-1]) == (0, "Nothing was changed.")
        assert "audience_state.json) cannot be read" in output
    answer(None)
    code, output = command("repair")
    assert code == 1
    assert "There is no terminal to ask at. To fix: give --yes to repair, or --dry-run to look only." in output
    code, output = command("repair", "nowhere", "--yes")
    assert code == 1
    assert "No audience 'nowhere' has a ledger. Audiences: dotdigital/" in output
    lease = Path(str(audience)) / "lease"
    left = {path: path.read_bytes() for path in Path(str(audience)).rglob("*") if path.is_file()}
    assert {path for path in left if lease not in path.parents} == {path for path in files if lease not in path.parents}
    assert all(left[path] == content for path, content in files.items() if lease not in path.parents)


def test_a_damaged_report_of_a_task_is_set_aside(audience, command):
    """Its next try makes a new plan, in the next generation."""
    home = state_path() / "runs/repairs/export/manual/0"
    folder = home / "01"
    Path(str(folder)).mkdir(parents=True)
    (Path(str(folder)) / "plan.json").write_text("{")
    code, output = command("repair", "--yes")
    assert code == 0
    assert f"A run that its task would resume cannot be read ({folder / 'plan.json'}: " in output
    assert "Repaired (audiences=0 runs=1)." in output
    assert RunFolder.open(home).path.name == "02"
    assert command("repair")[1] == "Everything can be read (audiences=1).\n"
