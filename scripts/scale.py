"""Simulates a day of exports and shows which limit binds: quotas, calls in flight, workers' cores, workers' slots.

Usage: python scripts/scale.py [--check | --write]

The simulation advances by seconds. A task waits for a slot, plans on a core, and sends at the slower of two rates: its
calls in flight, or its share of the account's quota. The triggerer polls import jobs without a slot. Limits come from
`vendors/`, costs of a task from measurements (benchmarks/README.md). docs/scale.md lists the assumptions.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from airflow_provider_segexport.vendors.registry import VENDORS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"
BEGIN, END = "<!-- written by scripts/scale.py -->\n", "<!-- end -->\n"

DAY_S = 86_400.0
PROFILES = 1_000_000
AUDIENCES = 25
"""Audiences at each vendor: a hundred at all four."""

FIXED_CPU_S = 0.5
PLAN_CPU_S = 3.1
SEND_CPU_S = {"campaign_monitor": 2.3, "constant_contact": 1.1, "dotdigital": 3.3, "omnisend": 16.1}
"""CPU seconds of a task that sends 1,000,000 profiles, before and after the first call: medians of five runs."""

ROW_BYTES = {"campaign_monitor": 330, "constant_contact": 205, "dotdigital": 259, "omnisend": 294}
"""Bytes of a row, measured with the benchmark's segment of thirteen mapped columns."""

OTHER_CALLS = {"campaign_monitor": 1.0, "constant_contact": 1.1, "dotdigital": 1.0, "omnisend": 1.01}
"""Calls for each import that count against the quota, with polls of jobs if the vendor counts them."""

LATENCY_S = {"campaign_monitor": 1.0, "constant_contact": 1.0, "dotdigital": 2.0, "omnisend": 0.5}
ASSUMED_RATE = {"dotdigital": 35 / 60}
"""Calls per second if the vendor publishes no limit for imports: dotdigital's lowest package."""

CORES, SLOTS = 2, 4
"""Cores and slots of one worker."""


@dataclass(slots=True)
class Task:
    """One running export."""

    vendor: str
    account: int
    plan_s: float
    calls: float
    cpu_s_per_call: float


@dataclass(frozen=True, slots=True)
class Day:
    """Parameters of a day; `pool` is the size of an Airflow pool that limits the exports to one vendor."""

    changed: float
    accounts: int
    workers: int
    pool: int = AUDIENCES

    def tasks(self, vendor: str) -> list[Task]:
        """Return the day's exports to a vendor."""
        rows = PROFILES * self.changed
        calls = max(1.0, math.ceil(rows / rows_per_call(vendor))) * OTHER_CALLS[vendor]
        cpu = SEND_CPU_S[vendor] * self.changed / calls
        return [Task(vendor, i % self.accounts, FIXED_CPU_S + PLAN_CPU_S, calls, cpu) for i in range(AUDIENCES)]


@dataclass(slots=True)
class Result:
    """Seconds until the last export of each vendor has sent everything, and the workers' load until then."""

    seconds: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    slot_s: float = 0.0
    seconds_without_slot: int = 0


def rows_per_call(vendor: str) -> int:
    """Return the rows of a call, by the vendor's limits on rows and bytes."""
    limits = VENDORS[vendor].limits
    return min(limits.batch_rows, limits.batch_bytes // ROW_BYTES[vendor])


@cache
def task_rate(vendor: str) -> float:
    """Return the calls per second of one task with all its connections."""
    return VENDORS[vendor].limits.max_concurrency / LATENCY_S[vendor]


@cache
def account_rate(vendor: str) -> float:
    """Return the calls per second that an account may make; infinity without a published limit."""
    calls = [limit.calls / limit.seconds for limit in VENDORS[vendor].limits.rates if limit.seconds < DAY_S]
    return min(calls, default=ASSUMED_RATE.get(vendor, math.inf))


def account_rate_per_day(vendor: str) -> float:
    """Return the calls per day that an account may make; infinity without a published limit."""
    calls = [limit.calls for limit in VENDORS[vendor].limits.rates if limit.seconds >= DAY_S]
    return min(calls, default=math.inf)


def simulate(day: Day) -> Result:
    """Simulate a day until all exports have ended."""
    queue = [task for row in zip(*(day.tasks(vendor) for vendor in VENDORS), strict=True) for task in row]
    running: list[Task] = []
    result, now = Result(), 0
    while queue or running:
        _start(day, queue, running)
        result.seconds_without_slot += bool(queue) and len(running) >= day.workers * SLOTS
        cores = float(day.workers * CORES)
        planning = [task for task in running if task.plan_s > 0]
        for task in planning:
            used = min(1.0, cores / len(planning), task.plan_s)
            task.plan_s -= used
            result.cpu_s += used
        cores -= min(cores, len(planning))
        result.cpu_s += send([task for task in running if task not in planning], max(cores, 0.2))
        now += 1
        result.slot_s += len(running)
        for task in [task for task in running if task.plan_s <= 0 and task.calls <= 0]:
            running.remove(task)
            result.seconds[task.vendor] = now
    return result


def _start(day: Day, queue: list[Task], running: list[Task]) -> None:
    """Fill free slots in order with tasks whose pool has free slots."""
    for task in list(queue):
        if len(running) >= day.workers * SLOTS:
            return
        if sum(other.vendor == task.vendor for other in running) < day.pool:
            queue.remove(task)
            running.append(task)


def send(tasks: list[Task], cores: float) -> float:
    """Simulate one second of calls; return the CPU seconds that they took."""
    wanted: dict[int, float] = {}
    peers = Counter((task.vendor, task.account) for task in tasks)
    for task in tasks:
        fair = account_rate(task.vendor) / peers[task.vendor, task.account]
        wanted[id(task)] = min(task_rate(task.vendor), fair, task.calls)
    cpu = sum(wanted[id(task)] * task.cpu_s_per_call for task in tasks)
    share = min(1.0, cores / cpu) if cpu else 1.0
    for task in tasks:
        task.calls -= wanted[id(task)] * share
        if task.calls < 1e-9:  # noqa: PLR2004 - what is left of a sum of parts
            task.calls = 0.0
    return cpu * share


def minimum_seconds(day: Day, vendor: str) -> dict[str, float]:
    """Return the minimum duration of a vendor's exports in seconds, by each limit alone."""
    tasks = day.tasks(vendor)
    calls = sum(task.calls for task in tasks)
    return {
        "quota": calls / day.accounts / account_rate(vendor),
        "calls in flight": tasks[0].calls / task_rate(vendor),
        "day's quota": DAY_S if calls / day.accounts > account_rate_per_day(vendor) else 0.0,
    }


def duration_text(seconds: float) -> str:
    """Return a duration in the largest unit that fits."""
    if seconds < 90:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


DAYS = (
    Day(changed=0.01, accounts=1, workers=2),
    Day(changed=0.05, accounts=1, workers=2),
    Day(changed=1.0, accounts=1, workers=2),
    Day(changed=1.0, accounts=1, workers=2, pool=2),
    Day(changed=1.0, accounts=1, workers=8),
    Day(changed=1.0, accounts=5, workers=8),
    Day(changed=1.0, accounts=25, workers=8),
)


def table() -> str:
    """Return the page's table."""
    names = [vendor.title for vendor in VENDORS.values()]
    lines = [
        f"| changed | accounts a vendor | workers | pool a vendor | {' | '.join(names)} | CPU | slots | binds first |",
        "|---|---|---|---|" + "---|" * (len(names) + 3),
    ]
    for day in DAYS:
        result = simulate(day)
        total_s = max(result.seconds.values())
        last = max(result.seconds, key=lambda vendor: result.seconds[vendor])
        limits = minimum_seconds(day, last)
        limits["slots of workers"] = (
            float(result.seconds_without_slot) if result.seconds_without_slot > total_s / 2 else 0.0
        )
        limits["cores of workers"] = result.cpu_s / (day.workers * CORES)
        binds = max(limits, key=lambda name: limits[name])
        cells = [
            f"{day.changed:.0%}",
            str(day.accounts),
            str(day.workers),
            str(day.pool) if day.pool < AUDIENCES else "none",
        ]
        cells += [duration_text(result.seconds[vendor]) for vendor in VENDORS]
        cells.append(f"{result.cpu_s / (total_s * day.workers * CORES):.0%}")
        cells.append(f"{result.slot_s / (total_s * day.workers * SLOTS):.0%}")
        lines.append(f"| {' | '.join(cells)} | {binds} ({VENDORS[last].title}) |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table, write it into the page, or check that the page has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    arguments, rows = parser.parse_args(), table()
    if not (arguments.write or arguments.check):
        print(rows, end="")
        return 0
    before, _, rest = PAGE.read_text().partition(BEGIN)
    text = f"{before}{BEGIN}\n{rows}\n{END}{rest.partition(END)[2]}"
    if arguments.check:
        current = PAGE.read_text() == text
        if not current:
            print("docs/scale.md is not current: python scripts/scale.py --write")
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
