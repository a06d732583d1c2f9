"""Runs the example end to end on this machine: simulator, extracts, unification, segments, exports, tables of results.

Usage: python scripts/demo.py [--profiles 100000] [--kill]
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from demo_reports import find_faults, print_proofs, print_table
from demo_stage import DAY, HOME, SEGMENTS, Stage, seed_opt_outs, simulator
from ui_processes import exit_on_signals

CHECKOUT = Path(__file__).resolve().parent.parent
NEXT_DAY = ("unifying", "exporting")
KILL_AT = 5
"""Number of batches with a result after which `--kill` kills the export."""

MAX_RUN_S = 3600.0
"""Seconds after which a DAG run counts as hanging. A million profiles take minutes."""


class Progress:
    """A progress line. On a terminal it is rewritten; elsewhere a new line is printed at most once a second."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._shown = ""
        self._at = 0.0

    def show(self, message: str) -> None:
        """Show a message."""
        seconds = time.monotonic() - self._started
        if sys.stdout.isatty():
            print(f"\r\033[K  {seconds:4.0f} s  {message}", end="", flush=True)
        elif message != self._shown and seconds - self._at >= 1:
            print(f"  {seconds:4.0f} s  {message}", flush=True)
            self._at = seconds
        self._shown = message

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


class Runs:
    """A process in which Airflow runs the example DAGs, one after the other."""

    def __init__(self, stage: Stage, profiles: int, stages: list[str]) -> None:
        self._exports = len(stage.vendors) * len(SEGMENTS)
        self._is_ready = False
        self.was_killed = False
        command = [sys.executable, str(CHECKOUT / "scripts" / "demo_dags.py"), DAY, str(profiles), *stages]
        with (HOME / "airflow.log").open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own script
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **stage.environment()},
                start_new_session=True,
                text=True,
            )

    def run_next(
        self, message: str, progress: Progress, *, kill_at: int = 0, earlier: tuple[int, int] = (0, 0)
    ) -> bool:
        """Run the next DAG to its end.

        Args:
            message: text of the progress line.
            progress: the progress line.
            kill_at: number of batches with a result after which the process is killed; 0 for never.
            earlier: numbers of exports and of batches with a result on an earlier day, which are not counted.

        Returns:
            Whether the DAG run succeeded.
        """
        child, output = self._child, self._child.stdout
        if child.stdin is None or output is None:
            raise SystemExit("The process has no pipes.")
        until = time.monotonic() + MAX_RUN_S
        if not self._is_ready:
            while not select.select([output], [], [], 0.2)[0]:
                progress.show("starting Airflow")
                check_time(until)
            self._is_ready = bool(output.readline())
        if not self._is_ready:
            return False
        child.stdin.write("go\n")
        child.stdin.flush()
        while not select.select([output], [], [], 0.02 if kill_at else 0.2)[0]:
            done, settled = len(summaries()) - earlier[0], batches_settled() - earlier[1]
            exporting = f": {done} of {self._exports} done, {settled} batches settled"
            progress.show(message + (exporting if settled else ""))
            if kill_at and settled >= kill_at:
                self.stop()
                self.was_killed = True
                return False
            check_time(until)
        # A process that has failed closes the pipe some time before it ends, so its exit code may not be known yet.
        self._is_ready = bool(output.readline())
        return self._is_ready

    def stop(self) -> None:
        """Kill the process if it is still running."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def check_time(until: float) -> None:
    """Exit if the time of a DAG run is over; `until` is a time of the monotonic clock."""
    if time.monotonic() > until:
        raise SystemExit(f"\nA DAG run has not ended in {MAX_RUN_S:.0f} s; Airflow's log is .demo/airflow.log.")


def print_faults(faults: list[str]) -> int:
    """Print the faults; return 1 if there are any, else 0."""
    for fault in faults:
        print(f"WRONG: {fault}")
    if not faults:
        print("All counts add up, and the vendors hold what the ledgers say.")
    return 1 if faults else 0


def run_days(stage: Stage, profiles: int, *, kills: bool) -> list[str] | None:
    """Run refresh and export of two days, and print their tables.

    Args:
        stage: the simulator.
        profiles: profiles to generate and unify.
        kills: kill the first export, and run it again.

    Returns:
        Messages about figures that do not agree; None if a DAG run failed.
    """
    progress = Progress()
    runs = Runs(stage, profiles, ["refresh", "export", "refresh+1", "export+1"])
    try:
        if not runs.run_next("unifying profiles, writing segments", progress):
            return None
        seed_opt_outs(stage)
        succeeded = runs.run_next("exporting", progress, kill_at=KILL_AT if kills else 0)
        if runs.was_killed:
            print(f"\n  killed with {batches_settled()} batches settled; running it again")
            runs = Runs(stage, profiles, ["export", "refresh+1", "export+1"])
            succeeded = runs.run_next("exporting", progress)
        elif kills:
            print(f"\n  not killed: the export ended before {KILL_AT} batches had a result")
        progress.end()
        first = summaries()
        if not succeeded:
            return None
        print(f"\nDay 1, {DAY}: every profile is new.\n")
        print_table(stage, first)
        earlier = len(first), batches_settled()
        if not all(runs.run_next(f"the next day: {what}", progress, earlier=earlier) for what in NEXT_DAY):
            return None
        progress.end()
        print("\nDay 2: only changes are sent, and leavers are removed.\n")
        first_folders = {summary["run_folder"] for summary in first}
        second = [summary for summary in summaries() if summary["run_folder"] not in first_folders]
        print_table(stage, second)
        print_proofs(first, second)
        return find_faults(stage, summaries())
    finally:
        runs.stop()


def main() -> int:
    """Run the demo; return 0 if all counts add up, and 1 if they do not or a DAG run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=100_000, help="profiles to generate and unify")
    parser.add_argument(
        "--kill", action="store_true", help=f"kill -9 the export after {KILL_AT} batches, then run it again"
    )
    arguments = parser.parse_args()
    exit_on_signals()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    started = time.monotonic()
    print(f"{arguments.profiles:,} profiles: extracts, unification, segments, exports to the simulator on loopback.")
    with simulator() as stage:
        faults = run_days(stage, arguments.profiles, kills=arguments.kill)
    if faults is None:
        print("A DAG run failed; Airflow's log is .demo/airflow.log.")
        return 1
    print(f"\n{time.monotonic() - started:.0f} s. Reports (summary.json, rejects.parquet) are below .demo/state/runs/.")
    print("`make ui` starts Airflow with the same DAGs, and prints the address of the pages with the reports.")
    return print_faults(faults)


if __name__ == "__main__":
    sys.exit(main())
