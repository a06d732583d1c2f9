"""Runs the example end to end on this machine: simulator, extracts, unification, segments, exports, tables of results.

Usage: python scripts/demo.py [--profiles 100000] [--kill]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time

from demo_reports import find_faults, print_proofs, print_table
from demo_runs import Progress, Runs, batches_settled, summaries
from demo_stage import DAY, HOME, Stage, seed_opt_outs, simulator
from ui_processes import exit_on_signals

KILL_AT = 60
"""Number of batches with a result after which `--kill` kills the export. By then each process has logged in. A kill
while Constant Contact's login is renewed would lose it, because a refresh token works once."""


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
    runs = Runs(stage, profiles, ["export", "export+1"], refreshes=["refresh", "refresh+1"])
    try:
        if not runs.run("unifying the profiles of two days, writing segments", progress, 0.0):
            return None
        seed_opt_outs(stage)
        succeeded = runs.export("exporting", progress, (0.3, 0.65), kill_at=KILL_AT if kills else 0)
        if runs.was_killed:
            print(f"\n  killed with {batches_settled()} batches settled; running it again")
            runs = Runs(stage, profiles, ["export", "export+1"])
            succeeded = runs.export("exporting", progress, (0.3, 0.65))
        elif kills:
            print(f"\n  not killed: the export ended before {KILL_AT} batches had a result")
        progress.end()
        first = summaries()
        if not succeeded:
            return None
        print(f"\nDay 1, {DAY}: every profile is new.\n")
        print_table(stage, first)
        earlier = len(first), batches_settled()
        if not runs.export("the next day: exporting", progress, (0.65, 1.0), earlier=earlier):
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
    print("The pages of these exports in a browser:\n\n    make ui DEMO=1\n")
    return print_faults(faults)


if __name__ == "__main__":
    sys.exit(main())
