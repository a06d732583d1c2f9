"""The quoted figures, computed from the results of all rounds, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from connections import AUDIENCES
from processes import HOME

VENDORS = tuple(AUDIENCES)
BASE_VENDOR = VENDORS[0]
"""The vendor of the peers' calls, and of the cases that need only one vendor."""
NO_PHONES = "none"
PEERS_PYTHON = HOME / "venv" / "bin" / "python"

Runs = dict[str, list[dict[str, Any]]]
"""Results of each case, one for each round."""


def median(runs: list[dict[str, Any]], figure: str) -> float:
    """Return the median of a figure over the rounds."""
    return round(statistics.median(run[figure] for run in runs), 3)


def figures(runs: Runs) -> dict[str, Any]:
    """Return the quoted numbers."""
    idle = median(runs["idle"], "peak_rss_mib")
    result: dict[str, Any] = {"idle": {"rss_mib": idle, "cpu_s": median(runs["idle"], "cpu_s")}}
    for case, results in runs.items():
        name, _, vendor = case.partition("/")
        if name.startswith(("export_", "delta_")):
            export = {
                "cpu_s": median(results, "cpu_s"),
                "rss_over_idle_mib": round(median(results, "peak_rss_mib") - idle, 1),
                "wall_s": median(results, "wall_s"),
                "first_call_s": median(results, "first_call_s"),
                "cpu_to_first_call_s": median(results, "cpu_to_first_call_s"),
                "runs": len(results),
                "cpu_s_of_runs": [round(run["cpu_s"], 2) for run in results],
                "calls": results[0]["sink"]["calls"],
                "imports": results[0]["sink"]["imports"],
                "rows": results[0]["sink"]["rows"],
                "bytes": results[0]["sink"]["bytes"],
            }
            by_vendor = result.setdefault(name, {}).setdefault("by_vendor", {})
            by_vendor[vendor] = export
            if vendor == BASE_VENDOR:
                result[name] = {**{k: v for k, v in export.items() if k != "calls"}, "by_vendor": by_vendor}
        elif name.startswith("stages_"):
            stages = results[-1]["report"]["stages"]
            rest = results[-1]["cpu_s"] - sum(stages.values())
            result.setdefault(name, {})[vendor] = {k: round(v, 2) for k, v in {**stages, "the rest": rest}.items()}
    result["import_over_airflow_s"] = round(
        median(runs["import/ours"], "cpu_s") - median(runs["import/bare"], "cpu_s"), 3
    )
    result |= quota_figures(runs)
    result |= _peers(runs)
    result["phones"] = phone_figures(runs)
    result["latency"] = {
        case.partition("/")[2]: {name: median(results, name) for name in ("wall_s", "cpu_s")}
        for case, results in runs.items()
        if case.startswith("latency_")
    }
    result["share_of_floor"] = _shares_of_floor(runs)
    result["memory_over_time"] = dict(_memory(runs))
    return result


def quota_figures(runs: Runs) -> dict[str, Any]:
    """Return the use of each vendor's quota, and the measurements of the last run."""
    measured = {vendor: runs[f"quota/{vendor}"] for vendor in VENDORS if f"quota/{vendor}" in runs}
    return {
        "quota_ratio": {vendor: median(results, "ratio") for vendor, results in measured.items()},
        "quota": {vendor: results[-1] for vendor, results in measured.items()},
    }


def phone_figures(runs: Runs) -> dict[str, Any]:
    """Return CPU by kind of phone numbers, with the rows and the machine's state of this measurement."""
    cases = {case.partition("/")[2]: results for case, results in runs.items() if case.startswith("phones_")}
    if not cases:
        return {}
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_1m": round(os.getloadavg()[0], 1),
        "rounds": len(cases[NO_PHONES]),
        "rows": cases[NO_PHONES][0]["sink"]["rows"],
        "cpu_s": {kind: median(results, "cpu_s") for kind, results in cases.items()},
        "cpu_s_of_runs": {kind: [round(run["cpu_s"], 2) for run in results] for kind, results in cases.items()},
    }


def _peers(runs: Runs) -> dict[str, Any]:
    """Return the peers' figures, and the ratio of their CPU to ours, for whole processes."""
    figures_by_peer: dict[str, Any] = {"peers": {}, "cpu_ratio": {}}
    for case, results in runs.items():
        kind, _, name = case.partition("/")
        if kind.startswith("peer_"):
            ours = runs[f"export_{kind.removeprefix('peer_')}/{BASE_VENDOR}"]
            ratios = [theirs["cpu_s"] / mine["cpu_s"] for theirs, mine in zip(results, ours, strict=True)]
            figures_by_peer["cpu_ratio"][name] = round(statistics.median(ratios), 2)
            names = ("cpu_s", "wall_s", "peak_rss_mib")
            figures_by_peer["peers"][name] = {figure: median(results, figure) for figure in names}
            figures_by_peer["peers"][name] |= {
                "rows": results[0]["sink"]["rows"],
                "calls": results[0]["sink"]["imports"],
            }
    return figures_by_peer


def _shares_of_floor(runs: Runs) -> dict[str, float]:
    """Return our CPU as a share of the floor's, for the full export and for one with 1 % changed."""
    shares = {}
    for case, floors in runs.items():
        size = case.removeprefix("peer_").removesuffix("/floor")
        if case == f"peer_{size}/floor":
            for kind in ("export", "delta"):
                ours = runs[f"{kind}_{size}/{BASE_VENDOR}"]
                ratios = [mine["cpu_s"] / floor["cpu_s"] for mine, floor in zip(ours, floors, strict=True)]
                shares[kind] = round(statistics.median(ratios), 2)
    return shares


def _memory(runs: Runs) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Yield resident MiB over time of the last run of each case, with at most 400 samples."""
    for case, results in runs.items():
        if case.startswith(("export_1", "delta_")):
            samples = results[-1]["samples"]
            step = max(1, len(samples) // 200)
            yield case, [(seconds, rss) for seconds, rss, _ in samples[::step]]


def machine() -> dict[str, Any]:
    """Return the machine and the versions of the measurement."""
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
