"""Draws a result as SVG: CPU compared with peers, memory over time, CPU over size.

Usage: python plot.py RESULT OUT; runs in the benchmark's own environment, which has matplotlib.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "segexport", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})

from matplotlib import pyplot as plt  # noqa: E402 - after the back end is chosen

OURS, THEIRS = "#2b6a99", "#b9b4ab"
ROWS = {"10k": 1e4, "100k": 1e5, "1m": 1e6, "10m": 1e7}


def bars(axes: Any, result: dict[str, Any]) -> None:
    """Draw CPU seconds of one export by vendor, and those of the peers."""
    size = largest_common_size(result)
    ours = {name: case["cpu_s"] for name, case in result[f"export_{size}"]["by_vendor"].items()}
    theirs = {name: case["cpu_s"] for name, case in result["peers"].items()}
    labels = [*ours, *theirs]
    axes.barh(labels, [*ours.values(), *theirs.values()], color=[OURS] * len(ours) + [THEIRS] * len(theirs))
    axes.bar_label(axes.containers[0], fmt="%.1f", padding=2)
    axes.invert_yaxis()
    axes.set_title(f"CPU seconds, {int(ROWS[size]):,} profiles")


def memory(axes: Any, result: dict[str, Any]) -> None:
    """Draw resident memory above the baseline task over the length of each run."""
    for case, samples in result["memory_over_time"].items():
        if not samples:
            continue
        end = samples[-1][0]
        over = [rss - result["idle"]["rss_mib"] for _, rss in samples]
        axes.plot([seconds / end for seconds, _ in samples], over, label=case.replace("/", " "), linewidth=1)
    axes.set_xlabel("share of the run")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=6, frameon=False)
    axes.set_title("MiB above a bare Airflow task")


def growth(axes: Any, result: dict[str, Any]) -> None:
    """Draw CPU over the number of profiles."""
    points = [(rows, result[f"export_{size}"]["cpu_s"]) for size, rows in ROWS.items() if f"export_{size}" in result]
    axes.loglog(*zip(*points, strict=True), "o-", color=OURS)
    axes.set_xlabel("profiles")
    axes.set_title("CPU seconds by size")


def largest_common_size(result: dict[str, Any]) -> str:
    """Return the size at which all vendors were measured."""
    return next(size for size in reversed(ROWS) if len(result.get(f"export_{size}", {}).get("by_vendor", {})) > 1)


def main() -> None:
    """Draw the figure."""
    path, out = map(Path, sys.argv[1:])
    result = json.loads(path.read_text())
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    bars(axes[0], result)
    memory(axes[1], result)
    growth(axes[2], result)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    main()
