"""The main job, end to end, on this machine alone: simulator, extracts, unification, segments, exports, a table.

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
"""The demo's accounts have a contract for more calls than is published, in the simulator and in the connection alike:
at Omnisend's 400 a minute alone it would take minutes. `make sim` has the published quotas."""
OPTED_OUT = 25
"""People of the first segment who have unsubscribed at the vendor."""
OPT_OUTS_AT = ("campaign_monitor", "constant_contact")


@dataclass
class Stage:
    """The simulator and what Airflow is told about it."""

    url: str
    vendors: dict[str, Any]

    def get(self, path: str) -> Any:
        """Ask the simulator's control API."""
        with urllib.request.urlopen(self.url + path, timeout=60) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def post(self, path: str, body: Any) -> None:
        """Tell the simulator's control API something."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - loopback

    def environment(self) -> dict[str, str]:
        """Airflow's configuration, connections and Variables."""
        airflow = HOME / "airflow"
        found = {
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
            found[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection(name, vendor, **extra))
            ids = [str(audience["id"]) for audience in vendor["audiences"]]
            audiences[conn_id] = dict(zip(SEGMENTS, ids, strict=False))
        found["AIRFLOW_VAR_SEGEXPORT_AUDIENCES"] = json.dumps(audiences)
        return found


class Progress:
    """One line that says how far things are: rewritten on a terminal, now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._told = ""
        self._at = 0.0

    def tell(self, words: str) -> None:
        """Show a state."""
        seconds = time.monotonic() - self._started
        if sys.stdout.isatty():
            print(f"\r\033[K  {seconds:4.0f} s  {words}", end="", flush=True)
        elif words != self._told and seconds - self._at >= 1:
            print(f"  {seconds:4.0f} s  {words}", flush=True)
            self._at = seconds
        self._told = words

    def end(self) -> None:
        """Leave the line."""
        if sys.stdout.isatty():
            print("\r\033[K", end="")


def summaries() -> list[dict[str, Any]]:
    """The reports that are written so far."""
    return [json.loads(path.read_text()) for path in sorted(HOME.glob("state/runs/**/summary.json"))]


def batches_settled() -> int:
    """Batches with a verdict so far, over all exports."""
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

    def go(self, words: str, progress: Progress, kill_at: int = 0) -> bool:
        """Let the next DAG run until it asks for more or ends; with `kill_at`, kill it at so many settled batches."""
        child, told = self._child, self._child.stdout
        if child.stdin is None or told is None:
            raise SystemExit("The process has no pipes.")
        while not select.select([told], [], [], 0.2)[0]:
            progress.tell("starting Airflow")
        if not told.readline():
            return False
        child.stdin.write("go\n")
        child.stdin.flush()
        while not select.select([told], [], [], 0.02 if kill_at else 0.2)[0] and child.poll() is None:
            done, settled = len(summaries()) % (self._exports + 1), batches_settled()
            exporting = f": {done} of {self._exports} done, {settled} batches settled"
            progress.tell(words + (exporting if settled else ""))
            if kill_at and settled >= kill_at:
                self.stop()
                return False
        return child.poll() in {None, 0} and (child.poll() is None or child.wait() == 0)

    def stop(self) -> None:
        """Kill what still runs."""
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()


def seed_opt_outs(stage: Stage) -> None:
    """Let some people of the first segment have unsubscribed, at the vendors that keep them out of an import."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - not before the set-up is done

    table = pq.read_table(HOME / "data" / "segments" / SEGMENTS[0] / DAY, columns=["email"])
    plain = re.compile(r"[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9-]+\.)+[a-z]{2,}")
    emails = sorted({email.lower() for email in table.column("email").to_pylist() if email})
    clean = [email for email in emails if plain.fullmatch(email)]
    people = [{"email": email, "status": "unsubscribed"} for email in clean[:: max(1, len(clean) // OPTED_OUT)]]
    for name in OPT_OUTS_AT:
        audience = stage.vendors[name]["audiences"][0]["id"]
        stage.post(f"/_sim/{name}/contacts", {"people": people[:OPTED_OUT], "audience": audience})


def held(stage: Stage, vendor: str, audience: str) -> int:
    """How many people the simulator holds in the audience, without those it keeps as opted out or as taken out."""
    counts = stage.get(f"/_sim/{vendor}/audiences/{audience}?summary=1")["counts"]
    return sum(count for status, count in counts.items() if status.lower() not in {"unsubscribed", "deleted"})


ENDS = ("profiles", "delivered", "unchanged", "removed", "rejected", "withheld")
HEAD = ("segment", "vendor", *ENDS, "calls", "seconds")
NUMBERS = {2, 3, 4, 5, 8, 9}


def line(stage: Stage, summary: dict[str, Any]) -> tuple[str, ...]:
    """One export, as the table tells it."""
    counts, reasons = summary["counts"], summary["reasons"]
    where = {str(a["id"]): i for i, a in enumerate(stage.vendors[summary["vendor"]]["audiences"])}
    rejected, withheld = (
        ", ".join(f"{count:,} {reason}" for reason, count in reasons.get(outcome, {}).items()) or "0"
        for outcome in ("rejected", "withheld")
    )
    numbers = [f"{counts[name]:,}" for name in ("profiles", "delivered", "unchanged")]
    removed = f"{summary['removals']['removed']:,}"
    effort = (f"{summary['http']['calls']:,}", f"{summary['seconds']:.1f}")
    return (SEGMENTS[where[summary["audience"]]], summary["vendor"], *numbers, removed, rejected, withheld, *effort)


def table(stage: Stage, found: list[dict[str, Any]]) -> None:
    """Print what happened."""
    rows = sorted(line(stage, summary) for summary in found)
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]
    for row in [HEAD, tuple("-" * width for width in widths), *rows]:
        cells = [
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def wrong(stage: Stage, found: list[dict[str, Any]]) -> list[str]:
    """What does not add up: the counts of a run, or the ledger against what the vendor holds."""
    faults: list[str] = []
    for summary in found:
        name = f"{summary['run']} at {summary['vendor']}"
        for what, whole in (("counts", "profiles"), ("removals", "planned")):
            told = dict(summary[what])
            if told.pop(whole) != sum(told.values()):
                faults.append(f"{name}: the {what} do not add up: {summary[what]}")
        if not summary["finished"] or summary["counts"]["not_attempted"]:
            faults.append(f"{name}: the export did not finish: {summary['error']}")
    for path in HOME.glob("state/ledgers/*/*/*/latest.json"):
        card = json.loads(path.read_text())
        there = held(stage, card["vendor"], card["audience"])
        if there != card["members"]:
            faults.append(
                f"{card['audience_name']} at {card['vendor']}: {card['members']:,} in the ledger, {there:,} there"
            )
    return faults


def start_simulator() -> tuple[subprocess.Popen[str], Stage]:
    """The simulator on a free loopback port."""
    command = [sys.executable, "-m", "airflow_provider_segexport.simulator", "--port", "0", "--seed", "1"]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    line = process.stdout.readline() if process.stdout else ""
    if "ready on " not in line:
        raise SystemExit(f"The simulator did not start: {line!r}")
    stage = Stage(line.split("ready on ")[1].strip(), {})
    stage.vendors = stage.get("/_sim")["vendors"]
    soon = {"job_seconds": 0.1}
    contract = {
        "omnisend": {"calls_per_minute": CALLS_PER_MINUTE, "start_seconds": 0.1, **soon},
        "constant_contact": {
            "calls_per_second": CALLS_PER_MINUTE // 60,
            "calls_per_day": 200_000,
            "start_seconds": 0.1,
            **soon,
        },
        "dotdigital": {**{f"{tier}_per_minute": CALLS_PER_MINUTE for tier in ("low", "medium", "high")}, **soon},
    }
    stage.post("/_sim/reset", {"log_body_bytes": 0, "vendors": contract})
    return process, stage


def main() -> int:
    """Run the demo; 0 when everything adds up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=100_000, help="profiles to make up and unify")
    parser.add_argument("--kill", action="store_true", help="kill -9 the export half-way, then run it again")
    asked = parser.parse_args()
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir()
    started = time.monotonic()
    print(
        f"{asked.profiles:,} profiles: extracts, unification, segments, exports. Vendors: the simulator, on loopback."
    )
    simulator, stage = start_simulator()
    progress = Progress()
    runs = Runs(stage, asked.profiles, ["refresh", "export", "refresh+1", "export+1"])
    try:
        good = runs.go("unifying profiles, writing segments", progress)
        if good:
            seed_opt_outs(stage)
            good = runs.go("exporting", progress, kill_at=5 if asked.kill else 0)
        if asked.kill:
            print(f"\n  killed with {batches_settled()} batches settled; running it again")
            runs = Runs(stage, asked.profiles, ["export", "refresh+1", "export+1"])
            good = runs.go("exporting", progress)
        progress.end()
        first = summaries()
        if good:
            print(f"\nDay 1, {DAY}: everybody is new.\n")
            table(stage, first)
            good = runs.go("the next day: unifying", progress) and runs.go("the next day: exporting", progress)
            progress.end()
        if not good:
            print("A DAG run failed; Airflow's log is .demo/airflow.log.")
            return 1
        print("\nDay 2: only changes travel, and leavers are taken out.\n")
        known = {summary["run_folder"] for summary in first}
        table(stage, [summary for summary in summaries() if summary["run_folder"] not in known])
        faults = wrong(stage, summaries())
    finally:
        runs.stop()
        os.killpg(simulator.pid, signal.SIGTERM)
        simulator.wait(timeout=10)
    print(f"\n{time.monotonic() - started:.0f} s. Reports (summary.json, rejects.parquet) lie below .demo/state/runs/.")
    for fault in faults:
        print(f"WRONG: {fault}")
    if not faults:
        print("All counts add up, and the vendors hold what the ledgers say.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
