"""Simulates a day of exports and shows how long it takes, which limit binds first, and what it costs.

Usage: python scripts/scale.py [--check | --write]

`scale_task.py` has the calls and the CPU of one export, `scale_day.py` the simulation, `scale_costs.py` the prices.
docs/scale.md has the tables, and says which figures are measured and which are assumed.
"""

from __future__ import annotations

import argparse
import math
import sys
from itertools import product
from pathlib import Path

from scale_costs import MIN_BILLED_S, compute_usd, storage
from scale_day import Cluster, Day, Result, Simulation
from scale_task import MEASURED_VENDORS, OTHER_CALLS, calls, measured

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- written by scripts/scale.py: {} -->\n", "<!-- end: {} -->\n"

WORKERS, CORES, SLOTS, WORKER_GIB = 8, 2, 4, 4.0
CELERY = Cluster(
    name="Celery",
    slots=WORKERS * SLOTS,
    cores=float(WORKERS * CORES),
    task_cores=1.0,
    task_gib=WORKER_GIB / SLOTS,
    start_s=2.0,
    start_cpu_s=1.0,
    starts_a_second=2.0,
)
KUBERNETES = Cluster(
    name="Kubernetes",
    slots=32,
    cores=math.inf,
    task_cores=0.5,
    task_gib=1.0,
    start_s=20.0,
    start_cpu_s=3.0,
    starts_a_second=1.0,
    has_pods=True,
)
CHANGED, ACCOUNTS = (0.01, 0.05, 1.0), (1, 5, 25)
"""Shares of changed profiles, and numbers of accounts at each vendor, of the simulated days."""

MAX_OWN_LIMIT_FACTOR = 1.25
"""If a vendor's exports take more than this many times the time of their own slowest limit, they wait for slots that
exports to other vendors hold."""


def duration_text(seconds: float) -> str:
    """Return a duration in minutes, or in hours from an hour and a half."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


def binding(day: Day, vendor: str, result: Result) -> str:
    """Return the name of the limit that decides how long a vendor's exports take."""
    limits = day.limits(vendor, result.cpu_s)
    name = max(limits, key=lambda limit: limits[limit])
    return name if result.seconds[vendor] <= limits[name] * MAX_OWN_LIMIT_FACTOR else "slots"


def usage(day: Day, result: Result) -> tuple[float, float]:
    """Return the core-hours and GiB-hours that are billed until the last export has ended."""
    cluster = day.cluster
    if cluster.has_pods:
        # A task that waits for import jobs ends its pod, and gets another one. Short pods are billed for a minute.
        pods = day.audiences * sum(2 if vendor.limits.max_jobs else 1 for vendor in MEASURED_VENDORS.values())
        pod_hours = max(result.task_s, pods * MIN_BILLED_S) / 3600
        return pod_hours * cluster.task_cores, pod_hours * cluster.task_gib
    hours = max(result.seconds.values()) / 3600
    return hours * cluster.cores, hours * cluster.slots * cluster.task_gib


def days_table(days: list[Day]) -> str:
    """Return a table of days."""
    names = " | ".join(vendor.title for vendor in MEASURED_VENDORS.values())
    lines = [
        f"| changed | accounts a vendor | pools | {names} | core-hours | GiB-hours | USD |",
        "|---|--:|---|" + "---|" * len(MEASURED_VENDORS) + "--:|--:|--:|",
    ]
    for day in days:
        result = Simulation(day).run()
        cores, gib = usage(day, result)
        vendors = [f"{duration_text(result.seconds[name])} {binding(day, name, result)}" for name in MEASURED_VENDORS]
        cells = [f"{day.changed:.0%}", str(day.accounts), "yes" if day.has_pools else "no", *vendors]
        cells += [f"{cores:,.0f}", f"{gib:,.0f}", f"{compute_usd(cores, gib):,.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def storage_table(audiences: int) -> str:
    """Return the table of the object storage's use; `audiences` is the number of audiences at each vendor."""
    lines = [
        "| changed | imports a day | requests a day | GB-months a month | USD a day, at most |",
        "|---|--:|--:|--:|--:|",
    ]
    for changed in CHANGED:
        imports = sum(calls(name, changed) / OTHER_CALLS[name] for name in MEASURED_VENDORS) * audiences
        used = storage(audiences * len(MEASURED_VENDORS), imports, changed)
        cells = [f"{changed:.0%}", f"{imports:,.0f}", f"{used.requests:,.0f}", f"{used.gb:,.0f}"]
        lines.append(f"| {' | '.join([*cells, f'{used.usd_a_day:,.2f}'])} |")
    return "\n".join(lines) + "\n"


def tables() -> dict[str, str]:
    """Return the page's tables by name."""
    cases = list(product(CHANGED, ACCOUNTS, (False, True)))
    result = {
        cluster.name: days_table([Day(share, accounts, cluster, has_pools=pools) for share, accounts, pools in cases])
        for cluster in (CELERY, KUBERNETES)
    }
    hundred = [Day(changed, 1, CELERY, audiences=25, has_pools=pools) for changed in CHANGED for pools in (False, True)]
    memory = max(figures["rss_over_idle_mib"] for figures in measured().values())
    return result | {
        "hundred": days_table(hundred),
        "storage": storage_table(250),
        "memory": f"A task needs at most {memory:.0f} MiB more than a task that does nothing.\n",
    }


def main() -> int:
    """Print the tables, write them into the page, or check that the page has them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = current = PAGE.read_text()
    for name, table in tables().items():
        if not (arguments.write or arguments.check):
            print(f"{name}\n\n{table}")
            continue
        begin, end = BEGIN.format(name), END.format(name)
        if begin not in text or end not in text:
            print(f"docs/scale.md has no place for the table {name!r}.")
            return 1
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    if arguments.check and text != current:
        print("docs/scale.md is not current: python scripts/scale.py --write")
        return 1
    if arguments.write:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
