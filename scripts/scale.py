"""Simulates a day of exports and tells which limit binds: quotas, calls in flight, workers' cores, workers' slots.

Usage: python scripts/scale.py [--check | --write]

Second by second: a task waits for a slot, plans on a core, and sends at the pace of whichever is slower, its calls in
flight or its part of the account's quota. Import jobs run on in the triggerer, without a slot. What vendors limit is
read from `vendors/`, what a task costs was measured (benchmarks/README.md), what is assumed stands in docs/scale.md.
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

PROFILES = 1_000_000
AUDIENCES = 25
"""A vendor; a hundred over all four."""

FIXED_CPU_S = 0.5
PLAN_CPU_S = 3.1
SEND_CPU_S = {"campaign_monitor": 2.3, "constant_contact": 1.1, "dotdigital": 3.3, "omnisend": 16.1}
"""CPU seconds of a task that sends 1,000,000: medians of five, up to the first call and after it."""

ROW_BYTES = {"campaign_monitor": 330, "constant_contact": 205, "dotdigital": 259, "omnisend": 294}
"""Measured over the benchmark's segment of thirteen matched columns."""

OTHER_CALLS = {"campaign_monitor": 1.0, "constant_contact": 1.1, "dotdigital": 1.0, "omnisend": 1.01}
"""Calls that count, for each import: polls of jobs, where the vendor counts them."""

LATENCY_S = {"campaign_monitor": 1.0, "constant_contact": 1.0, "dotdigital": 2.0, "omnisend": 0.5}
ASSUMED_RATE = {"dotdigital": 35 / 60}
"""Calls a second where the vendor publishes none for imports: dotdigital's lowest package."""

CORES, SLOTS = 2, 4
"""Of one worker."""


@dataclass(slots=True)
class Task:
    """One export under way."""

    vendor: str
    account: int
    plan_s: float
    calls: float
    cpu_a_call: float


@dataclass(frozen=True, slots=True)
class Day:
    """What is simulated; `pool` is how many exports to one vendor run at a time, as an Airflow pool limits them."""

    changed: float
    accounts: int
    workers: int
    pool: int = AUDIENCES

    def tasks(self, vendor: str) -> list[Task]:
        """The day's exports to a vendor."""
        rows = PROFILES * self.changed
        calls = max(1.0, math.ceil(rows / rows_a_call(vendor))) * OTHER_CALLS[vendor]
        cpu = SEND_CPU_S[vendor] * self.changed / calls
        return [Task(vendor, i % self.accounts, FIXED_CPU_S + PLAN_CPU_S, calls, cpu) for i in range(AUDIENCES)]


@dataclass(slots=True)
class Ended:
    """When the last export of each vendor had sent all, and how busy the workers were until then."""

    seconds: dict[str, int] = field(default_factory=dict)
    cpu_s: float = 0.0
    slot_s: float = 0.0
    waited_for_slots: int = 0


def rows_a_call(vendor: str) -> int:
    """As many as the vendor's rows and bytes allow."""
    limits = VENDORS[vendor].limits
    return min(limits.batch_rows, limits.batch_bytes // ROW_BYTES[vendor])


@cache
def flight(vendor: str) -> float:
    """Calls a second that one task can make with all its connections."""
    return VENDORS[vendor].limits.max_concurrency / LATENCY_S[vendor]


@cache
def rate(vendor: str) -> float:
    """Calls a second that an account may make; none published counts as none."""
    found = [one.calls / one.seconds for one in VENDORS[vendor].limits.rates if one.seconds < 86_400]  # noqa: PLR2004
    return min(found, default=ASSUMED_RATE.get(vendor, math.inf))


def daily(vendor: str) -> float:
    """Calls a day that an account may make."""
    found = [one.calls for one in VENDORS[vendor].limits.rates if one.seconds >= 86_400]  # noqa: PLR2004
    return min(found, default=math.inf)


def simulate(day: Day) -> Ended:
    """Run the day from its first second."""
    queue = [task for row in zip(*(day.tasks(vendor) for vendor in VENDORS), strict=True) for task in row]
    running: list[Task] = []
    ended, now = Ended(), 0
    while queue or running:
        _start(day, queue, running)
        ended.waited_for_slots += bool(queue) and len(running) >= day.workers * SLOTS
        cores = float(day.workers * CORES)
        planning = [task for task in running if task.plan_s > 0]
        for task in planning:
            used = min(1.0, cores / len(planning), task.plan_s)
            task.plan_s -= used
            ended.cpu_s += used
        cores -= min(cores, len(planning))
        ended.cpu_s += send([task for task in running if task not in planning], max(cores, 0.2))
        now += 1
        ended.slot_s += len(running)
        for task in [task for task in running if task.plan_s <= 0 and task.calls <= 0]:
            running.remove(task)
            ended.seconds[task.vendor] = now
    return ended


def _start(day: Day, queue: list[Task], running: list[Task]) -> None:
    """Fill the slots that are free, in order, with tasks whose pool has room."""
    for task in list(queue):
        if len(running) >= day.workers * SLOTS:
            return
        if sum(one.vendor == task.vendor for one in running) < day.pool:
            queue.remove(task)
            running.append(task)


def send(tasks: list[Task], cores: float) -> float:
    """One second of calls; returns the CPU seconds that it took."""
    wanted: dict[int, float] = {}
    peers = Counter((task.vendor, task.account) for task in tasks)
    for task in tasks:
        fair = rate(task.vendor) / peers[task.vendor, task.account]
        wanted[id(task)] = min(flight(task.vendor), fair, task.calls)
    cpu = sum(wanted[id(task)] * task.cpu_a_call for task in tasks)
    share = min(1.0, cores / cpu) if cpu else 1.0
    for task in tasks:
        task.calls -= wanted[id(task)] * share
        if task.calls < 1e-9:  # noqa: PLR2004 - what is left of a sum of parts
            task.calls = 0.0
    return cpu * share


def floors(day: Day, vendor: str) -> dict[str, float]:
    """How long a vendor's exports take at least, by each limit alone."""
    tasks = day.tasks(vendor)
    calls = sum(task.calls for task in tasks)
    return {
        "quota": calls / day.accounts / rate(vendor),
        "calls in flight": tasks[0].calls / flight(vendor),
        "day's quota": 86_400.0 if calls / day.accounts > daily(vendor) else 0.0,
    }


def spoken(seconds: float) -> str:
    """A time as people say it."""
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
    """The page's table."""
    names = [vendor.title for vendor in VENDORS.values()]
    lines = [
        f"| changed | accounts a vendor | workers | pool a vendor | {' | '.join(names)} | CPU | slots | binds first |",
        "|---|---|---|---|" + "---|" * (len(names) + 3),
    ]
    for day in DAYS:
        ended = simulate(day)
        whole = max(ended.seconds.values())
        last = max(ended.seconds, key=lambda vendor: ended.seconds[vendor])
        limits = floors(day, last)
        limits["slots of workers"] = float(ended.waited_for_slots) if ended.waited_for_slots > whole / 2 else 0.0
        limits["cores of workers"] = ended.cpu_s / (day.workers * CORES)
        binds = max(limits, key=lambda name: limits[name])
        cells = [
            f"{day.changed:.0%}",
            str(day.accounts),
            str(day.workers),
            str(day.pool) if day.pool < AUDIENCES else "none",
        ]
        cells += [spoken(ended.seconds[vendor]) for vendor in VENDORS]
        cells.append(f"{ended.cpu_s / (whole * day.workers * CORES):.0%}")
        cells.append(f"{ended.slot_s / (whole * day.workers * SLOTS):.0%}")
        lines.append(f"| {' | '.join(cells)} | {binds} ({VENDORS[last].title}) |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table, write it into the page, or check that it stands there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked, found = parser.parse_args(), table()
    if not (asked.write or asked.check):
        print(found, end="")
        return 0
    before, _, rest = PAGE.read_text().partition(BEGIN)
    text = f"{before}{BEGIN}\n{found}\n{END}{rest.partition(END)[2]}"
    if asked.check:
        current = PAGE.read_text() == text
        if not current:
            print("docs/scale.md is not current: python scripts/scale.py --write")
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
