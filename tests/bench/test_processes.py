"""Processes of the benchmark end with it, and their failures are shown."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PARENT = """
import os, sys, time
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(60)
"""
"""A process with a child, like a measured task. It prints the child's id."""


@pytest.fixture
def processes(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGEXPORT_BENCH", str(tmp_path))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "processes", raising=False)
    yield importlib.import_module("processes")
    sys.modules.pop("processes", None)


def has_ended(pid: int) -> bool:
    """Whether a process ends within ten seconds; a zombie has ended."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_server_ends_with_its_children(processes):
    """Otherwise the next case would share the machine with them."""
    with processes.server("-c", PARENT) as line:
        os.kill(int(line), 0)
    assert has_ended(int(line))


def test_a_server_that_prints_nothing_is_stopped(processes, monkeypatch):
    """The benchmark does not wait for its URL without end."""
    monkeypatch.setattr(processes, "START_S", 0.2)
    with pytest.raises(SystemExit, match=r"did not start within 0\.2 s"), processes.server("-c", "input()"):
        pass


@pytest.mark.parametrize(
    "measure",
    [
        lambda processes: processes.measure_task({}),
        lambda processes: processes.measure_process(["task.py"], python=Path(sys.executable)),
    ],
    ids=["task", "peer"],
)
def test_a_process_that_hangs_is_stopped_with_its_children(processes, monkeypatch, tmp_path, measure):
    """A fork of the task would go on after the task's own process."""
    pid_file = tmp_path / "pid"
    script = tmp_path / "task.py"
    script.write_text(f"import sys\nsys.stdout = open({str(pid_file)!r}, 'w')\n{PARENT}")
    monkeypatch.setattr(processes, "BENCHMARKS", tmp_path)
    monkeypatch.setattr(processes, "TIMEOUT_S", 1.0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((subprocess.TimeoutExpired, SystemExit)):
        measure(processes)
    assert has_ended(int(pid_file.read_text()))


def test_the_error_of_a_task_is_shown(tmp_path):
    """The fork ends without Python's own handling of exceptions."""
    case = json.dumps({"home": str(tmp_path), "vendor": "campaign_monitor", "server": "http://127.0.0.1:9"})
    task = subprocess.run(
        [sys.executable, BENCHMARKS / "task.py", case], capture_output=True, text=True, check=False, timeout=120
    )
    assert task.returncode == 1
    assert "KeyError: 'segment'" in task.stderr
    assert "The task failed; its output is above." in task.stderr


def test_a_measurement_without_a_store_fails(processes, monkeypatch, capsys):
    """An empty result would replace the last one, and the exit code would say that all is well."""
    module = importlib.import_module("shared_quota")
    monkeypatch.setitem(module.STORES, "redis", "redis://127.0.0.1:1/0")
    monkeypatch.setattr(sys, "argv", ["shared_quota.py", "--stores", "redis", "--rows", "10", "--write"])
    written = BENCHMARKS / "results" / "shared_quota.json"
    before = written.exists()
    assert module.main() == 1
    assert written.exists() == before
    assert capsys.readouterr().out.startswith("skipping redis: ")


def test_an_error_of_a_measurement_is_no_missing_store(processes, monkeypatch):
    """Only a server that cannot be reached is skipped."""
    module = importlib.import_module("shared_quota")

    def fail(name, options):
        raise ConnectionResetError("the simulator has ended")

    monkeypatch.setattr(module, "measure", fail)
    monkeypatch.setattr(sys, "argv", ["shared_quota.py", "--stores", "file"])
    with pytest.raises(ConnectionResetError):
        module.main()
