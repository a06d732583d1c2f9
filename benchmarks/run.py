"""Runs all measurements in rounds, and writes results/latest.json, the tables and the plots.

Usage: python benchmarks/run.py [--quick] [--phones] [--quotas] [--rounds 5]. Each case runs once in a round, so that a
drift of the machine's speed affects all cases. The quoted figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page
import quota
from connections import FIELD_MAPPING
from figures import BASE_VENDOR, NO_PHONES, PEERS_PYTHON, VENDORS, Runs, figures, machine, phone_figures, quota_figures
from people import write, write_phones
from processes import (
    BENCHMARKS,
    CHECKOUT,
    DATA,
    HOME,
    TIMEOUT_S,
    environment,
    measure_process,
    measure_task,
    read_json,
    server,
)

PEERS = {"floor": "floor.py", "drt": "drt_project.py", "dlt": "dlt_reverse.py", "pandas_loop": "pandas_loop.py"}
NEEDS_NO_FOLDER = ("floor", "pandas_loop")
LATENCY_S = 0.02
"""Time of a response in the cases with latency: a vendor in the same region."""
SIZES = {"10k": 10_000, "100k": 100_000, "1m": 1_000_000, "10m": 10_000_000}
PHONES = ("e164", "repeated", "distinct")
"""Phone numbers of a segment, as `people.write_phones` has them."""
DAYS = ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")
RESULTS = BENCHMARKS / "results"
DAG_FILES = {
    "bare": "from airflow.providers.standard.operators.empty import EmptyOperator\n",
    "ours": "from airflow.providers.standard.operators.empty import EmptyOperator\n"
    "from airflow_provider_segexport.operators.segment_export import SegmentExportOperator\n",
}


class Bench:
    """Runs cases and stores their results."""

    def __init__(self, sizes: dict[str, int], *, plan: dict[str, int], say: Callable[[str], None] = print) -> None:
        self.sizes = sizes
        self.plan = plan
        self.runs: Runs = {}
        self._say = say

    def record(self, case: str, result: dict[str, Any]) -> None:
        """Store the result of a case."""
        self.runs.setdefault(case, []).append(result)
        self._say(f"  {case:<34} {result.get('cpu_s', result.get('ratio', 0)):8.2f}")

    def segment(self, size: str, snapshot: int = 1) -> str:
        """Return the path of a segment's file, which is written once."""
        return str(write(DATA / f"{self.sizes[size]}-{snapshot}.parquet", self.sizes[size], snapshot=snapshot))

    def export(self, case: str, vendor: str, size: str, *, latency_s: float = 0.0, **more: Any) -> None:
        """Measure one export to the sink in one task process.

        Args:
            case: name of the case.
            vendor: name of the vendor.
            size: name of the size.
            latency_s: seconds that each response takes.
            more: further values of the task's case.
        """
        with server(str(BENCHMARKS / "sink.py"), str(latency_s)) as sink:
            values = {"vendor": vendor, "server": sink, "segment": self.segment(size), "as_of": DAYS[0], **more}
            result = measure_task({**values, "max_profiles": self.sizes[size]})
            received = read_json(f"{sink}/_sink")
        delivered = result["report"]["counts"]["delivered"]
        if received["rows"] != delivered:
            raise SystemExit(f"{case}: {delivered} rows reported as delivered, and {received['rows']} arrived.")
        first = received["first_import"] - result["started"] if received["imports"] else None
        before = [cpu for seconds, _, cpu in result["samples"] if first is not None and seconds <= first]
        self.record(
            case,
            {**result, "first_call_s": first, "cpu_to_first_call_s": before[-1] if before else None, "sink": received},
        )

    def full_and_delta(self, size: str) -> None:
        """Measure a full export into an empty ledger, and the next day's export after it."""
        with tempfile.TemporaryDirectory(dir=HOME) as root:
            self.export(f"export_{size}/{BASE_VENDOR}", BASE_VENDOR, size, root=root)
            second = self.segment(size, 2)
            self.export(f"delta_{size}/{BASE_VENDOR}", BASE_VENDOR, size, root=root, segment=second, as_of=DAYS[1])

    def phones(self, size: str, *, with_distinct: bool) -> None:
        """Measure full exports without phone numbers, and with those of each kind.

        Args:
            size: name of the size.
            with_distinct: also measure numbers that are all different and in national form, which takes long.
        """
        segment = Path(self.segment(size))
        mapping = {**FIELD_MAPPING, "phone": "phone"}
        self.export(f"phones_{size}/{NO_PHONES}", BASE_VENDOR, size)
        for kind in PHONES if with_distinct else PHONES[:-1]:
            path = str(write_phones(segment.with_name(f"{segment.stem}-{kind}.parquet"), segment, kind))
            options = {"segment": path, "field_mapping": mapping, "default_region": "DE"}
            self.export(f"phones_{size}/{kind}", BASE_VENDOR, size, **options)

    def peer(self, name: str, size: str, *, latency_s: float = 0.0) -> None:
        """Measure a peer with the same file and the same server, after the export of that size.

        The floor runs in this checkout's environment, which has the same DuckDB and requests as an export.
        """
        case = "latency" if latency_s else "peer"
        with server(str(BENCHMARKS / "sink.py"), str(latency_s)) as sink, tempfile.TemporaryDirectory(dir=HOME) as home:
            command = [str(BENCHMARKS / "peers" / PEERS[name]), self.segment(size), sink]
            python = Path(sys.executable) if name == "floor" else PEERS_PYTHON
            result = measure_process(command + ([] if name in NEEDS_NO_FOLDER else [home]), python=python)
            received = read_json(f"{sink}/_sink")
        sent = self.runs[f"export_{size}/{BASE_VENDOR}"][-1]["sink"]["rows"]
        if received["rows"] != sent:
            raise SystemExit(f"{name} sent {received['rows']} rows, and the export sent {sent}.")
        self.record(f"{case}_{size}/{name}", {**result, "sink": received})

    def latency(self, size: str) -> None:
        """Measure exports whose calls take time, beside the floor and the pandas script."""
        for vendor in VENDORS:
            self.export(f"latency_{size}/{vendor}", vendor, size, latency_s=LATENCY_S)
        for name in NEEDS_NO_FOLDER if PEERS_PYTHON.exists() else ("floor",):
            self.peer(name, size, latency_s=LATENCY_S)

    def imports(self) -> None:
        """Measure the CPU of a DAG file's imports in a process with Airflow's SDK, like the DAG processor."""
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
                timeout=TIMEOUT_S,
            )
            self.record(f"import/{name}", {"cpu_s": float(done.stdout.split()[-1])})

    def quotas(self) -> None:
        """Measure exports at each vendor's published quota."""
        for vendor in VENDORS:
            self.record(f"quota/{vendor}", quota.measure(vendor, calls=self.plan.get("quota_calls")))

    def round(self, number: int) -> None:
        """Run every case of a round."""
        base = self.plan["size"]
        size = next(name for name, rows in self.sizes.items() if rows == base)
        self.record("idle", measure_task({}))
        self.imports()
        self.full_and_delta(size)
        self.phones(size, with_distinct=number < self.plan["stage_rounds"])
        for vendor in VENDORS[1:]:
            self.export(f"export_{size}/{vendor}", vendor, size)
        for smaller in [name for name, rows in self.sizes.items() if rows < base]:
            self.export(f"export_{smaller}/{BASE_VENDOR}", BASE_VENDOR, smaller)
        for name in PEERS if PEERS_PYTHON.exists() else ("floor",):
            self.peer(name, size)
        self.latency(size)
        if number < self.plan["stage_rounds"]:
            for vendor in VENDORS:
                self.export(f"stages_{size}/{vendor}", vendor, size, stages=True)
        if number < self.plan["quota_rounds"]:
            self.quotas()
        if number < self.plan["large_rounds"]:
            for larger in [name for name, rows in self.sizes.items() if rows > base]:
                self.export(f"export_{larger}/{BASE_VENDOR}", BASE_VENDOR, larger)


def main() -> int:
    """Measure, write the results, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one round, without a million rows; writes results/quick.*"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--phones", action="store_true", help="measure phone numbers alone, and keep all other results")
    parser.add_argument("--quotas", action="store_true", help="measure quotas alone, and keep all other results")
    arguments = parser.parse_args()
    if arguments.quick:
        sizes = {name: rows for name, rows in SIZES.items() if rows <= 100_000}  # noqa: PLR2004 - half a minute
        plan = {"size": 100_000, "stage_rounds": 1, "quota_rounds": 1, "quota_calls": 60, "large_rounds": 0}
    else:
        sizes, plan = SIZES, {"size": 1_000_000, "stage_rounds": 1, "quota_rounds": 1, "large_rounds": 1}
    rounds, name = (1, "quick") if arguments.quick else (arguments.rounds, "latest")
    DATA.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir(CHECKOUT / "airflow_provider_segexport", quiet=1)  # not in the first process of round 1
    bench = Bench(sizes, plan=plan)
    if arguments.phones:
        for number in range(rounds):
            bench.phones("100k" if arguments.quick else "1m", with_distinct=number < plan["stage_rounds"])
        write_result({**read_result(name), "phones": phone_figures(bench.runs)}, name)
        return 0
    if arguments.quotas:
        bench.quotas()
        write_result({**read_result(name), **quota_figures(bench.runs)}, name)
        return 0
    if name == "latest" and not PEERS_PYTHON.exists():
        raise SystemExit("The peers are not installed, and the plot needs matplotlib. To fix: run `make bench`.")
    for number in range(rounds):
        print(f"Round {number + 1} of {rounds}")
        bench.round(number)
        publish(bench.runs, number + 1, name)
    return 0


def publish(runs: Runs, rounds: int, name: str) -> None:
    """Write the result, the plots and, for a full run, the page. Called after each round, so early ends have results.

    Args:
        runs: results by case.
        rounds: number of finished rounds.
        name: `latest` for a full run, else `quick`.
    """
    write_result({**machine(), "rounds": rounds, **figures(runs)}, name)


def read_result(name: str) -> dict[str, Any]:
    """Return an earlier result."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def write_result(result: dict[str, Any], name: str) -> None:
    """Write a result with its tables, plots and page."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(page.tables(result))
    if PEERS_PYTHON.exists():
        subprocess.run(  # noqa: S603 - our own script
            [
                str(PEERS_PYTHON),
                str(BENCHMARKS / "plot.py"),
                str(RESULTS / f"{name}.json"),
                str(RESULTS / f"{name}.svg"),
            ],
            check=True,
            timeout=TIMEOUT_S,
        )
    if name == "latest":
        shutil.copy(RESULTS / "latest.svg", CHECKOUT / "docs" / "performance.svg")
        (CHECKOUT / "docs" / "performance.md").write_text(page.performance_page(result))
        subprocess.run([sys.executable, str(CHECKOUT / "scripts" / "scale.py"), "--write"], check=True)  # noqa: S603
    print(page.tables(result))


if __name__ == "__main__":
    sys.exit(main())
