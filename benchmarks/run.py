"""Measures everything, in rounds, and writes it down: `nothing -> results/latest.json`, the table, the plots.

Usage: python benchmarks/run.py [--quick] [--rounds 5]. Within a round each case runs once, so that a machine whose
speed drifts does so for all of them; what is quoted is the median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import page
import quota
from people import write
from processes import CHECKOUT, DATA, HERE, HOME, environment, server, task, told, whole

VENDORS = ("campaign_monitor", "constant_contact", "dotdigital", "omnisend")
FIRST = VENDORS[0]
"""The vendor of the peers' calls, and of the cases that one vendor is enough for."""

PEERS = {"drt": "drt_project.py", "dlt": "dlt_reverse.py", "pandas_loop": "pandas_loop.py"}
SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
DAYS = ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")
PEERS_PYTHON = HOME / "venv" / "bin" / "python"
RESULTS = HERE / "results"
DAG_FILES = {
    "bare": "from airflow.providers.standard.operators.empty import EmptyOperator\n",
    "ours": "from airflow.providers.standard.operators.empty import EmptyOperator\n"
    "from airflow_provider_segexport.operators.segment_export import SegmentExportOperator\n",
}

Runs = dict[str, list[dict[str, Any]]]
"""What each case brought, once a round."""


class Bench:
    """Runs cases and keeps what they brought."""

    def __init__(self, sizes: dict[str, int], *, plan: dict[str, int], say: Callable[[str], None] = print) -> None:
        self.sizes = sizes
        self.plan = plan
        self.runs: Runs = {}
        self._say = say

    def keep(self, case: str, found: dict[str, Any]) -> None:
        """Note what a case brought."""
        self.runs.setdefault(case, []).append(found)
        self._say(f"  {case:<34} {found.get('cpu_s', found.get('ratio', 0)):8.2f}")

    def segment(self, size: str, snapshot: int = 1) -> str:
        """A segment's file, made once."""
        return str(write(DATA / f"{self.sizes[size]}-{snapshot}.parquet", self.sizes[size], snapshot=snapshot))

    def export(self, case: str, vendor: str, size: str, **more: Any) -> None:
        """One export to the sink, as one task process."""
        with server(str(HERE / "sink.py")) as sink:
            order = {"vendor": vendor, "server": sink, "segment": self.segment(size), "as_of": DAYS[0], **more}
            found = task({**order, "max_profiles": self.sizes[size]})
            got = told(f"{sink}/_sink")
        delivered = found["report"]["counts"]["delivered"]
        if got["rows"] != delivered:
            raise SystemExit(f"{case}: {delivered} rows reported as delivered, and {got['rows']} arrived.")
        first = got["first_import"] - found["started"] if got["imports"] else None
        before = [cpu for seconds, _, cpu in found["samples"] if first is not None and seconds <= first]
        self.keep(
            case, {**found, "first_call_s": first, "cpu_to_first_call_s": before[-1] if before else None, "sink": got}
        )

    def full_and_delta(self, size: str) -> None:
        """A full export into an empty ledger, and the next day's on top of it."""
        with tempfile.TemporaryDirectory(dir=HOME) as root:
            self.export(f"export_{size}/{FIRST}", FIRST, size, root=root)
            second = self.segment(size, 2)
            self.export(f"delta_{size}/{FIRST}", FIRST, size, root=root, segment=second, as_of=DAYS[1])

    def peer(self, name: str, size: str) -> None:
        """A peer on the same file and the same server."""
        with server(str(HERE / "sink.py")) as sink, tempfile.TemporaryDirectory(dir=HOME) as home:
            command = [str(HERE / "peers" / PEERS[name]), self.segment(size), sink]
            found = whole(command + ([] if name == "pandas_loop" else [home]), python=PEERS_PYTHON)
            self.keep(f"peer_{size}/{name}", {**found, "sink": told(f"{sink}/_sink")})

    def imports(self) -> None:
        """CPU of a DAG file's imports, in a process that has Airflow's SDK, as the DAG processor does."""
        for name, text in DAG_FILES.items():
            script = (
                f"import airflow.sdk, time; t = time.process_time(); exec({text!r}); print(time.process_time() - t)"
            )
            done = subprocess.run(  # noqa: S603 - our own interpreter
                [sys.executable, "-c", script],
                capture_output=True,
                text=True,
                check=True,
                env=environment() | {"AIRFLOW_HOME": str(HOME / "airflow")},
            )
            self.keep(f"import/{name}", {"cpu_s": float(done.stdout.split()[-1])})

    def round(self, number: int) -> None:
        """Every case that is due in this round."""
        base = self.plan["size"]
        size = next(name for name, rows in self.sizes.items() if rows == base)
        self.keep("idle", task({}))
        self.imports()
        self.full_and_delta(size)
        for vendor in VENDORS[1:]:
            self.export(f"export_{size}/{vendor}", vendor, size)
        for smaller in [name for name, rows in self.sizes.items() if rows < base]:
            self.export(f"export_{smaller}/{FIRST}", FIRST, smaller)
        for name in PEERS if PEERS_PYTHON.exists() else ():
            self.peer(name, size)
        if number < self.plan["stage_rounds"]:
            for vendor in VENDORS:
                self.export(f"stages_{size}/{vendor}", vendor, size, stages=True)
        if number < self.plan["quota_rounds"]:
            for vendor in VENDORS:
                self.keep(f"quota/{vendor}", quota.measure(vendor, calls=self.plan.get("quota_calls")))
        if number < self.plan["large_rounds"]:
            for larger in [name for name, rows in self.sizes.items() if rows > base]:
                self.export(f"export_{larger}/{FIRST}", FIRST, larger)


def median(runs: list[dict[str, Any]], figure: str) -> float:
    """The median of a figure over the rounds."""
    return round(statistics.median(run[figure] for run in runs), 3)


def figures(runs: Runs) -> dict[str, Any]:
    """The numbers that are quoted."""
    idle = median(runs["idle"], "peak_rss_mib")
    found: dict[str, Any] = {"idle": {"rss_mib": idle, "cpu_s": median(runs["idle"], "cpu_s")}}
    for case, brought in runs.items():
        name, _, vendor = case.partition("/")
        if name.startswith(("export_", "delta_")):
            here = {
                "cpu_s": median(brought, "cpu_s"),
                "rss_over_idle_mib": round(median(brought, "peak_rss_mib") - idle, 1),
                "wall_s": median(brought, "wall_s"),
                "first_call_s": median(brought, "first_call_s"),
                "cpu_to_first_call_s": median(brought, "cpu_to_first_call_s"),
                "runs": len(brought),
                "cpu_s_of_runs": [round(run["cpu_s"], 2) for run in brought],
                "calls": brought[0]["sink"]["calls"],
                "imports": brought[0]["sink"]["imports"],
                "rows": brought[0]["sink"]["rows"],
                "bytes": brought[0]["sink"]["bytes"],
            }
            by_vendor = found.setdefault(name, {}).setdefault("by_vendor", {})
            by_vendor[vendor] = here
            if vendor == FIRST:
                found[name] = {**{k: v for k, v in here.items() if k != "calls"}, "by_vendor": by_vendor}
        elif name.startswith("stages_"):
            stages = brought[-1]["report"]["stages"]
            rest = brought[-1]["cpu_s"] - sum(stages.values())
            found.setdefault(name, {})[vendor] = {k: round(v, 2) for k, v in {**stages, "the rest": rest}.items()}
    found["import_over_airflow_s"] = round(
        median(runs["import/ours"], "cpu_s") - median(runs["import/bare"], "cpu_s"), 3
    )
    found["quota_ratio"] = {v: median(runs[f"quota/{v}"], "ratio") for v in VENDORS if f"quota/{v}" in runs}
    found["quota"] = {v: runs[f"quota/{v}"][-1] for v in VENDORS if f"quota/{v}" in runs}
    found |= _peers(runs)
    found["memory_over_time"] = dict(_memory(runs))
    return found


def _peers(runs: Runs) -> dict[str, Any]:
    """Peers' CPU over ours, whole processes."""
    found: dict[str, Any] = {"peers": {}, "cpu_ratio": {}}
    for case, brought in runs.items():
        kind, _, name = case.partition("/")
        if kind.startswith("peer_"):
            ours = runs[f"export_{kind.removeprefix('peer_')}/{FIRST}"]
            of_rounds = [theirs["cpu_s"] / mine["cpu_s"] for theirs, mine in zip(brought, ours, strict=True)]
            found["cpu_ratio"][name] = round(statistics.median(of_rounds), 2)
            kept = ("cpu_s", "wall_s", "peak_rss_mib")
            found["peers"][name] = {figure: median(brought, figure) for figure in kept}
            found["peers"][name] |= {"rows": brought[0]["sink"]["rows"], "calls": brought[0]["sink"]["imports"]}
    return found


def _memory(runs: Runs) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Resident MiB over time of the last run of each, thinned out."""
    for case, brought in runs.items():
        if case.startswith(("export_1", "delta_")):
            samples = brought[-1]["samples"]
            step = max(1, len(samples) // 200)
            yield case, [(seconds, rss) for seconds, rss, _ in samples[::step]]


def machine() -> dict[str, Any]:
    """Where it was measured, and with what."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    packages = ("apache-airflow", "duckdb", "pyarrow", "requests", "pandas", "airflow-provider-segexport")
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": cpu.partition(":")[2].strip(),
            "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory),
            "load_1m": round(os.getloadavg()[0], 1),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
        },
        "versions": {name: metadata.version(name) for name in packages} | _peer_versions(),
    }


def _peer_versions() -> dict[str, str]:
    if not PEERS_PYTHON.exists():
        return {}
    script = "from importlib.metadata import version as v; print(v('drt-core'), v('dlt'))"
    done = subprocess.run([str(PEERS_PYTHON), "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    return dict(zip(("drt-core", "dlt"), done.stdout.split(), strict=True))


def main() -> int:
    """Measure, write down, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round, without a million rows; writes results/quick.*"
    )
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if asked.quick:
        sizes = {name: rows for name, rows in SIZES.items() if rows <= 100_000}  # noqa: PLR2004 - half a minute
        plan = {"size": 100_000, "stage_rounds": 1, "quota_rounds": 1, "quota_calls": 60, "large_rounds": 0}
    else:
        sizes, plan = SIZES, {"size": 1_000_000, "stage_rounds": 1, "quota_rounds": 1, "large_rounds": 1}
    rounds = 1 if asked.quick else asked.rounds
    DATA.mkdir(parents=True, exist_ok=True)
    bench = Bench(sizes, plan=plan)
    for number in range(rounds):
        print(f"Round {number + 1} of {rounds}")
        bench.round(number)
        publish(bench.runs, number + 1, "quick" if asked.quick else "latest")
    return 0


def publish(runs: Runs, rounds: int, name: str) -> None:
    """Result, plots and, of a whole run, the page; after each round, so that one that is ended early has a result."""
    RESULTS.mkdir(exist_ok=True)
    result = {**machine(), "rounds": rounds, **figures(runs)}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(page.tables(result))
    if PEERS_PYTHON.exists():
        subprocess.run(  # noqa: S603 - our own script
            [str(PEERS_PYTHON), str(HERE / "plot.py"), str(RESULTS / f"{name}.json"), str(RESULTS / f"{name}.svg")],
            check=True,
        )
    if name == "latest":
        shutil.copy(RESULTS / "latest.svg", CHECKOUT / "docs" / "performance.svg")
        (CHECKOUT / "docs" / "performance.md").write_text(page.whole(result))
    print(page.tables(result))


if __name__ == "__main__":
    sys.exit(main())
