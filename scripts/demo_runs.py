"""The processes in which the demo's DAGs run, and their progress."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo_stage import DAY, HOME, SEGMENTS, Stage

CHECKOUT = Path(__file__).resolve().parent.parent
PROCESSES = 2
"""Number of processes that export, each to a part of the vendors. Each refreshes the segments of one day before."""

MAX_RUN_S = 3600.0
"""Seconds after which a DAG run counts as hanging. A million profiles take minutes."""

BAR_CHARS = 24


class Progress:
    """A line with a progress bar. On a terminal it is rewritten; elsewhere it is printed at most once a second."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = ""
        self._at = 0.0

    def show(self, message: str, share: float) -> None:
        """Show a message; `share` is the part of the demo that is done, from 0 to 1."""
        seconds = time.monotonic() - self._started
        line = f"[{('#' * round(share * BAR_CHARS)).ljust(BAR_CHARS, '.')}] {message}"
        if sys.stdout.isatty():
            print(f"\r\033[K  {seconds:4.0f} s  {line}", end="", flush=True)
        elif line != self._shown and seconds - self._at >= 1:
            print(f"  {seconds:4.0f} s  {line}", flush=True)
            self._at = seconds
        self._shown = line

    def end(self) -> None:
        """Clear the line."""
        if sys.stdout.isatty():
            print("\r\033[K", end="")


def summaries() -> list[dict[str, Any]]:
    """Return the reports of all exports so far."""
    return [json.loads(path.read_text()) for path in sorted(HOME.glob("state/runs/**/summary.json"))]


def batches_settled() -> int:
    """Return the number of batches with a result so far, over all exports."""
    journals = HOME.glob("state/runs/**/journal.jsonl")
    return sum(path.read_bytes().count(b'"state":"settled"') for path in journals)


class Process:
    """A process in which Airflow runs the example DAGs, one after the other, with a database of its own.

    Args:
        stage: the simulator.
        profiles: profiles to generate and unify.
        number: of the process, from 0.
        vendors: connection types to export to.
        stages: the DAG runs.
    """

    def __init__(self, stage: Stage, profiles: int, number: int, vendors: list[str], stages: list[str]) -> None:
        self.is_ready = False
        connections = ",".join(f"{vendor}_default" for vendor in vendors)
        script = str(CHECKOUT / "scripts" / "demo_dags.py")
        command = [sys.executable, script, DAY, str(profiles), str(number), connections, *stages]
        with (HOME / "airflow.log").open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own script
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **stage.environment(number)},
                start_new_session=True,
                text=True,
            )

    def begin(self) -> None:
        """Let the process run its next DAG."""
        if self._child.stdin is None:
            raise SystemExit("The process has no pipes.")
        self._child.stdin.write("go\n")
        self._child.stdin.flush()
        self.is_ready = False

    def has_responded(self, seconds: float) -> bool:
        """Wait until the process is ready for another DAG or has failed; return whether it is so."""
        output = self._child.stdout
        if output is None:
            raise SystemExit("The process has no pipes.")
        if not select.select([output], [], [], seconds)[0]:
            return False
        # A process that has failed closes the pipe some time before it ends, so its exit code may not be known yet.
        self.is_ready = bool(output.readline())
        return True

    def stop(self) -> None:
        """Kill the process if it is still running."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


class Runs:
    """The processes of the demo, which run the same stages at the same time.

    Args:
        stage: the simulator.
        profiles: profiles to generate and unify.
        stages: the exports, which all processes run.
        refreshes: one refresh for each process, which it runs before the exports; None for no refresh.
    """

    def __init__(self, stage: Stage, profiles: int, stages: list[str], refreshes: list[str] | None = None) -> None:
        self.exports = len(stage.vendors) * len(SEGMENTS)
        self.was_killed = False
        vendors = list(stage.vendors)
        size = -(-len(vendors) // PROCESSES)
        self._processes = [
            Process(stage, profiles, number, vendors[start : start + size], (refreshes or [])[number:][:1] + stages)
            for number, start in enumerate(range(0, len(vendors), size))
        ]
        self._is_started = False

    def run(self, message: str, progress: Progress, share: float) -> bool:
        """Run the next stage of each process; return whether the DAG runs succeeded.

        Args:
            message: text of the progress line.
            progress: the progress line.
            share: part of the demo that is done before the stage.
        """
        return self._run(message, lambda text: progress.show(text, share))

    def export(
        self,
        message: str,
        progress: Progress,
        share: tuple[float, float],
        *,
        kill_at: int = 0,
        earlier: tuple[int, int] = (0, 0),
    ) -> bool:
        """Export the segments of a day; return whether the DAG runs succeeded.

        Args:
            message: text of the progress line.
            progress: the progress line.
            share: parts of the demo that are done before and after the stage.
            kill_at: number of batches with a result after which the processes are killed; 0 for never.
            earlier: numbers of exports and of batches with a result on an earlier day, which are not counted.
        """

        def show(text: str) -> None:
            done, settled = len(summaries()) - earlier[0], batches_settled() - earlier[1]
            detail = f": {done} of {self.exports} done, {settled} batches settled" if settled else ""
            progress.show(text + detail, share[0] + (share[1] - share[0]) * done / self.exports)
            if kill_at and settled >= kill_at:
                self.stop()
                self.was_killed = True

        return self._run(message, show, poll_s=0.02 if kill_at else 0.2)

    def _run(self, message: str, show: Callable[[str], None], *, poll_s: float = 0.2) -> bool:
        until = time.monotonic() + MAX_RUN_S
        waiting = [process for process in self._processes if not process.is_ready]
        if not _wait(waiting, lambda: show(message if self._is_started else "starting Airflow"), until, poll_s):
            return False
        self._is_started = True
        for process in self._processes:
            process.begin()
        return _wait(self._processes, lambda: show(message), until, poll_s) and not self.was_killed

    def stop(self) -> None:
        """Kill the processes that are still running."""
        for process in self._processes:
            process.stop()


def _wait(processes: list[Process], show: Callable[[], None], until: float, poll_s: float) -> bool:
    """Wait until each process is ready or one has failed; return whether all are ready.

    Args:
        processes: the processes.
        show: shows the progress, and may kill the processes.
        until: time of the monotonic clock at which a DAG run counts as hanging.
        poll_s: seconds between two calls of `show`.
    """
    waiting = list(processes)
    while waiting:
        show()
        if time.monotonic() > until:
            raise SystemExit(f"\nA DAG run has not ended in {MAX_RUN_S:.0f} s; Airflow's log is .demo/airflow.log.")
        for process in list(waiting):
            if process.has_responded(poll_s / len(waiting)):
                if not process.is_ready:
                    return False
                waiting.remove(process)
    return True
