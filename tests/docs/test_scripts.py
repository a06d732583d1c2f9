"""The scripts behind the Makefile report a failure as a failure, and stop what they have started."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import time

import pytest
from docs.pages import REPO

from airflow_provider_segexport.storage.history import record_run


@pytest.fixture
def script(monkeypatch):
    """Return a function that imports a script."""
    monkeypatch.syspath_prepend(str(REPO / "scripts"))
    return importlib.import_module


@pytest.mark.parametrize(("people", "faults"), [(2, 0), (3, 1)])
def test_the_demo_compares_each_ledger_with_the_vendor(script, monkeypatch, tmp_path, people, faults):
    """The newest state of an audience, where an export records it, has the members of the ledger."""
    reports = script("demo_reports")
    counts = {"profiles": 2, "delivered": 2, "not_attempted": 0}
    summary = {"vendor": "omnisend", "audience": "vip", "audience_name": "VIP", "run": "r", "run_folder": "f"}
    summary |= {"ended_at": 1.0, "finished": True, "counts": counts, "removals": {"planned": 0, "removed": 0}}
    record_run(tmp_path / "state" / "ledgers" / "omnisend" / "shop" / "vip", summary, members=2)
    monkeypatch.setattr(reports, "HOME", tmp_path)
    monkeypatch.setattr(reports, "count_members", lambda *_: people)
    assert len(reports.find_faults(None, [summary])) == faults


def test_the_demo_finds_an_audience_without_a_state(script, monkeypatch, tmp_path):
    """A check that reads nothing would always pass."""
    reports = script("demo_reports")
    monkeypatch.setattr(reports, "HOME", tmp_path)
    counts = {"profiles": 0, "not_attempted": 0}
    summary = {"vendor": "omnisend", "audience": "vip", "run": "r", "finished": True, "counts": counts}
    faults = reports.find_faults(None, [summary | {"removals": {"planned": 0}}])
    assert faults == ["audiences with a report: 1; with a newest state: 0"]


def test_a_process_of_the_demo_that_fails_ends_the_stage(script, monkeypatch):
    """Also while the other one is still running; a process that is ready again has run its DAG."""
    runs = script("demo_runs")

    class Process:
        def __init__(self, *responses):
            self.responses, self.is_ready = list(responses), False

        def has_responded(self, seconds):
            response = self.responses.pop(0)
            self.is_ready = bool(response)
            return response is not None

    shown = []
    until = time.monotonic() + 60
    assert runs._wait([Process(None, 1), Process(1)], lambda: shown.append(1), until, 0.2)
    assert len(shown) == 2
    assert not runs._wait([Process(None, None), Process(None, 0)], lambda: None, until, 0.2)


def test_the_bar_of_the_demo_is_that_of_its_share(script, capsys):
    """Empty at first, full at the end."""
    progress = script("demo_runs").Progress()
    progress._at = -10.0
    progress.show("exporting", 0.5)
    assert f"[{'#' * 12}{'.' * 12}] exporting" in capsys.readouterr().out


def test_the_pages_of_a_demo_need_a_demo(script, monkeypatch, tmp_path):
    """The error names the command."""
    stage = script("demo_stage")
    monkeypatch.setattr(stage, "HOME", tmp_path)
    with pytest.raises(SystemExit, match="run `make demo` first"):
        stage.ui_environment()
    (tmp_path / "state").mkdir()
    assert str(tmp_path / "state") == stage.ui_environment()["AIRFLOW__SEGEXPORT__STATE_PATH"]


def test_the_demo_stops_its_simulator_after_a_signal(script, tmp_path):
    """SIGTERM ends the demo's process, and the simulator in its own session."""
    code = (
        "import time, demo_stage, ui_processes\n"
        "ui_processes.exit_on_signals()\n"
        "with demo_stage.simulator() as stage:\n"
        "    print(stage.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPO / "scripts", stdout=subprocess.PIPE, text=True
    ) as demo:
        url = demo.stdout.readline().strip()
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 128 + signal.SIGTERM
    stage = script("demo_stage").Stage(url, {})
    with pytest.raises(OSError, match="refused"):
        stage.get("/_sim")


@pytest.mark.parametrize("rows", ["3.9-3.13", "3.2-3.11,", "3.3"])
def test_the_matrix_knows_its_rows(script, monkeypatch, capsys, rows):
    """A row that does not exist is no row that passed."""
    matrix = script("matrix")
    monkeypatch.setattr(sys, "argv", ["matrix.py", "--rows", rows])
    with pytest.raises(SystemExit, match="2"):
        matrix.main()
    assert "no such row" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "status"), [(["--rows", "3.3-3.12"], "FAILED"), ([], "skipped")])
def test_the_matrix_fails_if_no_row_ran(script, monkeypatch, capsys, arguments, status):
    """A named row must run, and so must one of all rows."""
    matrix = script("matrix")
    monkeypatch.setattr(sys, "argv", ["matrix.py", *arguments])
    monkeypatch.setattr(matrix, "pythons", dict)
    assert matrix.main() == 1
    assert f"Python 3.12  {status}: this machine has no such Python" in capsys.readouterr().out


def test_a_site_is_not_built_over_other_files(script, tmp_path):
    """The folder of `--output` is deleted only if it holds a site."""
    docs_site = script("docs_site")
    (tmp_path / "letter.txt").touch()
    with pytest.raises(SystemExit, match="not a site"):
        docs_site.remove_site(tmp_path)
    (tmp_path / ".buildinfo").touch()
    docs_site.remove_site(tmp_path)
    assert not tmp_path.exists()
    docs_site.remove_site(tmp_path)


def test_the_site_lists_the_versions_that_have_a_tag(script):
    """This one is first, with or without its tag; a tag that is no version is left out."""
    docs_site = script("docs_site")
    assert docs_site.versions("0.2.0", "") == ["0.2.0"]
    assert docs_site.versions("0.2.0", "v0.10.0\nv0.2.0\nv0.1.0\nvery-old\n") == ["0.2.0", "0.10.0", "0.1.0"]


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        (["success"] * 2, "Done: every audience has its history."),
        (["success", "failed"], "Done, but failed DAG runs: 1."),
    ],
)
def test_the_ui_says_which_exports_have_failed(script, monkeypatch, tmp_path, states, sentence):
    """An ended run is not always a successful one."""
    ui_airflow = script("ui_airflow")
    ui = ui_airflow.Ui(home=tmp_path, wanted_port=0)
    monkeypatch.setattr(ui.api, "runs", lambda dag_id: [{"state": state} for state in states])
    assert ui.wait_for_exports(2) == sentence


def test_the_ui_waits_while_airflow_does_not_respond(script, tmp_path):
    """A busy machine exceeds the timeout of a request."""

    def busy():
        raise TimeoutError

    assert script("ui_airflow").Ui._holds(busy) is False


def test_an_audit_without_a_result_says_so(script, tmp_path, monkeypatch, capsys):
    """The tool may fail for another reason than its database, so its last line is shown."""
    tool = tmp_path / "pip-audit"
    tool.write_text("#!/bin/sh\necho 'no such file' >&2\nexit 1\n")
    tool.chmod(0o700)
    monkeypatch.setattr(sys, "argv", ["audit.py", str(tool), "requirements.txt"])
    assert script("audit").main() == 0
    assert "NOT AUDITED: requirements.txt: pip-audit gave no result" in capsys.readouterr().out
    tool.write_text("#!/bin/sh\necho '" + json.dumps({"dependencies": [VULNERABLE]}) + "'\n")
    assert script("audit").main() == 1


VULNERABLE = {"name": "demo", "version": "1.0", "vulns": [{"id": "CVE-0", "fix_versions": ["1.1"]}]}
