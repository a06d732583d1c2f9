"""Runs the example end to end on this machine: simulator, extracts, unification, segments, exports, and a table.

Usage: python scripts/demo.py [--profiles 100000] [--kill]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_segexport.simulator.connections import connection

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = CHECKOUT / ".demo"
DAY = "2026-11-21"
SEGMENTS = ("newsletter_active", "high_value", "lapsed")
CALLS_PER_MINUTE = 20_000
"""Calls per minute of the demo's accounts, in the simulator and in the connections: more than the published quotas,
because Omnisend's 400 calls per minute would make the demo take minutes. `make sim` has the published quotas."""
OPTED_OUT = 25
"""People of the first segment who have unsubscribed at the vendor."""
OPT_OUTS_AT = ("campaign_monitor", "constant_contact")


@dataclass
class Stage:
    """The simulator, and Airflow's configuration for it."""

    url: str
    vendors: dict[str, Any]

    def get(self, path: str) -> Any:
        """Read from the simulator's control API."""
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def post(self, path: str, body: Any) -> None:
        """Post to the simulator's control API."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - loopback

    def environment(self) -> dict[str, str]:
        """Return Airflow's configuration, connections and Variables as environment variables."""
        airflow = HOME / "airflow"
        variables = {
            "AIRFLOW_HOME": str(airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__SEGEXPORT__STATE_PATH": str(HOME / "state"),
            "SEGEXPORT_DEMO_ROOT": str(HOME / "data"),
            "PYTHONWARNINGS": "ignore",
        }
        audiences: dict[str, dict[str, str]] = {}
        for name, vendor in self.vendors.items():
            conn_id = f"{name}_default"
            extra = {
                "consented_by": "the demo",
                "allowed_dags": "segment_exports",
                "calls_per_minute": CALLS_PER_MINUTE,
            }
            variables[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection(name, vendor, **extra))
            ids = [str(audience["id"]) for audience in vendor["audiences"]]
            audiences[conn_id] = dict(zip(SEGMENTS, ids, strict=False))
        variables["AIRFLOW_VAR_SEGEXPORT_AUDIENCES"] = json.dumps(audiences)
        return variables


class Progress:
    """A progress line: rewritten on a terminal, printed at most once a second elsewhere."""

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
    """Return the reports that have been written so far."""
    return [json.loads(path.read_text()) for path in sorted(HOME.glob("state/runs/**/summary.json"))]


def batches_settled() -> int:
    """Return the number of batches with a result so far, over all exports."""
    journals = HOME.glob("state/runs/**/journal.jsonl")
    return sum(path.read_bytes().count(b'"state": "settled"') for path in journals)


class Runs:
    """A process in which Airflow runs the example DAGs, one after the other."""

    def __init__(self, stage: Stage, profiles: int, stages: list[str]) -> None:
        self._exports = len(stage.vendors) * len(SEGMENTS)
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

    def run_next(self, message: str, progress: Progress, kill_at: int = 0) -> bool:
        """Run the next DAG to its end.

        Args:
            message: text of the progress line.
            progress: the progress line.
            kill_at: number of batches with a result after which the process is killed; 0 for never.

        Returns:
            Whether the DAG run succeeded.
        """
        child, output = self._child, self._child.stdout
        if child.stdin is None or output is None:
            raise SystemExit("The process has no pipes.")
        while not select.select([output], [], [], 0.2)[0]:
            progress.show("starting Airflow")
        if not output.readline():
            return False
        child.stdin.write("go\n")
        child.stdin.flush()
        while not select.select([output], [], [], 0.02 if kill_at else 0.2)[0] and child.poll() is None:
            done, settled = len(summaries()) % (self._exports + 1), batches_settled()
            exporting = f": {done} of {self._exports} done, {settled} batches settled"
            progress.show(message + (exporting if settled else ""))
            if kill_at and settled >= kill_at:
                self.stop()
                return False
        return child.poll() in {None, 0} and (child.poll() is None or child.wait() == 0)

    def stop(self) -> None:
        """Kill the process if it is still running."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def seed_opt_outs(stage: Stage) -> None:
    """Unsubscribe some people of the first segment, at the vendors that withhold them from an import."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - not before the set-up is done

    table = pq.read_table(HOME / "data" / "segments" / SEGMENTS[0] / DAY, columns=["email"])
    plain = re.compile(r"[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9-]+\.)+[a-z]{2,}")
    emails = sorted({email.lower() for email in table.column("email").to_pylist() if email})
    clean = [email for email in emails if plain.fullmatch(email)]
    people = [{"email": email, "status": "unsubscribed"} for email in clean[:: max(1, len(clean) // OPTED_OUT)]]
    for name in OPT_OUTS_AT:
        audience = stage.vendors[name]["audiences"][0]["id"]
        stage.post(f"/_sim/{name}/contacts", {"people": people[:OPTED_OUT], "audience": audience})


def count_members(stage: Stage, vendor: str, audience: str) -> int:
    """Return the number of people in the audience at the simulator, without opted-out and deleted people."""
    counts = stage.get(f"/_sim/{vendor}/audiences/{audience}?summary=1")["counts"]
    return sum(count for status, count in counts.items() if status.lower() not in {"unsubscribed", "deleted"})


OUTCOMES = ("profiles", "delivered", "unchanged", "removed", "rejected", "withheld")
HEADINGS = ("segment", "vendor", *OUTCOMES, "calls", "seconds")
NUMBER_COLUMNS = {2, 3, 4, 5, 8, 9}


def report_row(stage: Stage, summary: dict[str, Any]) -> tuple[str, ...]:
    """Return one export's row of the table."""
    counts, reasons = summary["counts"], summary["reasons"]
    segment_of = {str(a["id"]): i for i, a in enumerate(stage.vendors[summary["vendor"]]["audiences"])}
    rejected, withheld = (
        ", ".join(f"{count:,} {reason}" for reason, count in reasons.get(outcome, {}).items()) or "0"
        for outcome in ("rejected", "withheld")
    )
    numbers = [f"{counts[name]:,}" for name in ("profiles", "delivered", "unchanged")]
    removed = f"{summary['removals']['removed']:,}"
    effort = (f"{summary['http']['calls']:,}", f"{summary['seconds']:.1f}")
    return (
        SEGMENTS[segment_of[summary["audience"]]],
        summary["vendor"],
        *numbers,
        removed,
        rejected,
        withheld,
        *effort,
    )


def table(stage: Stage, reports: list[dict[str, Any]]) -> None:
    """Print a table of the exports."""
    rows = sorted(report_row(stage, summary) for summary in reports)
    widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in range(len(HEADINGS))]
    for row in [HEADINGS, tuple("-" * width for width in widths), *rows]:
        cells = [
            cell.rjust(width) if column in NUMBER_COLUMNS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def find_faults(stage: Stage, reports: list[dict[str, Any]]) -> list[str]:
    """Return messages about counts that do not add up, and ledgers that differ from the vendor."""
    faults: list[str] = []
    for summary in reports:
        name = f"{summary['run']} at {summary['vendor']}"
        for key, total in (("counts", "profiles"), ("removals", "planned")):
            counts = dict(summary[key])
            if counts.pop(total) != sum(counts.values()):
                faults.append(f"{name}: the {key} do not add up: {summary[key]}")
        if not summary["finished"] or summary["counts"]["not_attempted"]:
            faults.append(f"{name}: the export did not finish: {summary['error']}")
    for path in HOME.glob("state/ledgers/*/*/*/latest.json"):
        latest = json.loads(path.read_text())
        members = count_members(stage, latest["vendor"], latest["audience"])
        if members != latest["members"]:
            name = f"{latest['audience_name']} at {latest['vendor']}"
            faults.append(f"{name}: {latest['members']:,} in the ledger, {members:,} at the vendor")
    return faults


def start_simulator() -> tuple[subprocess.Popen[str], Stage]:
    """Start the simulator on a free loopback port."""
    command = [sys.executable, "-m", "airflow_provider_segexport.simulator", "--port", "0", "--seed", "1"]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    report_row = process.stdout.readline() if process.stdout else ""
    if "ready on " not in report_row:
        raise SystemExit(f"The simulator did not start: {report_row!r}")
    stage = Stage(report_row.split("ready on ")[1].strip(), {})
    stage.vendors = stage.get("/_sim")["vendors"]
    fast_jobs = {"job_seconds": 0.1}
    settings = {
        "omnisend": {"calls_per_minute": CALLS_PER_MINUTE, "start_seconds": 0.1, **fast_jobs},
        "constant_contact": {
            "calls_per_second": CALLS_PER_MINUTE // 60,
            "calls_per_day": 200_000,
            "start_seconds": 0.1,
            **fast_jobs,
        },
        "dotdigital": {**{f"{tier}_per_minute": CALLS_PER_MINUTE for tier in ("low", "medium", "high")}, **fast_jobs},
    }
    stage.post("/_sim/reset", {"log_body_bytes": 0, "vendors": settings})
    return process, stage


def main() -> int:
    """Run the demo; return 0 if everything adds up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=100_000, help="profiles to generate and unify")
    parser.add_argument("--kill", action="store_true", help="kill -9 the export half-way, then run it again")
    arguments = parser.parse_args()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    started = time.monotonic()
    print(f"{arguments.profiles:,} profiles: extracts, unification, segments, exports to the simulator on loopback.")
    simulator, stage = start_simulator()
    progress = Progress()
    runs = Runs(stage, arguments.profiles, ["refresh", "export", "refresh+1", "export+1"])
    try:
        succeeded = runs.run_next("unifying profiles, writing segments", progress)
        if succeeded:
            seed_opt_outs(stage)
            succeeded = runs.run_next("exporting", progress, kill_at=5 if arguments.kill else 0)
        if arguments.kill:
            print(f"\n  killed with {batches_settled()} batches settled; running it again")
            runs = Runs(stage, arguments.profiles, ["export", "refresh+1", "export+1"])
            succeeded = runs.run_next("exporting", progress)
        progress.end()
        first = summaries()
        if succeeded:
            print(f"\nDay 1, {DAY}: every profile is new.\n")
            table(stage, first)
            succeeded = runs.run_next("the next day: unifying", progress) and runs.run_next(
                "the next day: exporting", progress
            )
            progress.end()
        if not succeeded:
            print("A DAG run failed; Airflow's log is .demo/airflow.log.")
            return 1
        print("\nDay 2: only changes are sent, and leavers are removed.\n")
        first_folders = {summary["run_folder"] for summary in first}
        table(stage, [summary for summary in summaries() if summary["run_folder"] not in first_folders])
        faults = find_faults(stage, summaries())
    finally:
        runs.stop()
        os.killpg(simulator.pid, signal.SIGTERM)
        simulator.wait(timeout=10)
    print(f"\n{time.monotonic() - started:.0f} s. Reports (summary.json, rejects.parquet) are below .demo/state/runs/.")
    for fault in faults:
        print(f"WRONG: {fault}")
    if not faults:
        print("All counts add up, and the vendors hold what the ledgers say.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
