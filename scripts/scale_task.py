"""Calls, CPU seconds and rates of one export of the simulated day, from the vendors' limits and from measurements."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_segexport.vendors.registry import VENDORS

DAY_S = 86_400.0
PROFILES = 1_000_000

LATENCY_S = {"campaign_monitor": 1.0, "constant_contact": 1.0, "dotdigital": 2.0, "omnisend": 0.5}
"""Assumed seconds of an import call by vendor. docs/scale.md says so."""

ASSUMED_RATE = {"dotdigital": 35 / 60}
"""Calls per second if the vendor publishes no limit for imports: dotdigital's lowest package."""

OTHER_CALLS = {"campaign_monitor": 1.0, "constant_contact": 1.1, "dotdigital": 1.0, "omnisend": 1.01}
"""Calls that count towards the quota for each import, the import included. From the table *Quotas* of
docs/performance.md, rounded up at Constant Contact, where an export of fewer imports makes relatively more polls."""


@cache
def measured() -> dict[str, dict[str, Any]]:
    """Return the benchmark's figures of an export of a million by vendor."""
    file = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "latest.json"
    figures: dict[str, dict[str, Any]] = json.loads(file.read_text())["export_1m"]["by_vendor"]
    return figures


MEASURED_VENDORS = {name: vendor for name, vendor in VENDORS.items() if name in measured()}
"""The vendors of the simulated day. A new vendor is one of them as soon as the benchmark has measured it."""


@cache
def plan_cpu_s(vendor: str) -> float:
    """Return the CPU seconds of a task before its first call, with imports; they do not depend on the changes."""
    return float(measured()[vendor]["cpu_to_first_call_s"])


@cache
def send_cpu_s(vendor: str) -> float:
    """Return the CPU seconds after the first call, for a million profiles sent."""
    return float(measured()[vendor]["cpu_s"]) - plan_cpu_s(vendor)


@cache
def rows_per_call(vendor: str) -> int:
    """Return the rows of a call, by the vendor's limits on rows and bytes."""
    limits, figures = VENDORS[vendor].limits, measured()[vendor]
    return min(limits.batch_rows, int(limits.batch_bytes * figures["rows"] / figures["bytes"]))


@cache
def calls(vendor: str, changed: float) -> float:
    """Return the calls of one export that count towards the quota."""
    return max(1.0, math.ceil(PROFILES * changed / rows_per_call(vendor))) * OTHER_CALLS[vendor]


@cache
def cpu_s_per_call(vendor: str, changed: float) -> float:
    """Return the CPU seconds of one call."""
    return send_cpu_s(vendor) * changed / calls(vendor, changed)


@cache
def starts(vendor: str) -> int:
    """Return how often Airflow starts the task: again when the vendor has worked on the import jobs."""
    return 2 if VENDORS[vendor].limits.max_jobs else 1


@cache
def task_rate(vendor: str) -> float:
    """Return the calls per second of one task with all its connections."""
    return VENDORS[vendor].limits.max_concurrency / LATENCY_S[vendor]


@cache
def account_rate(vendor: str) -> float:
    """Return the calls per second that an account may make; infinity without a published limit."""
    rates = [limit.calls / limit.seconds for limit in VENDORS[vendor].limits.rates if limit.seconds < DAY_S]
    return min(rates, default=ASSUMED_RATE.get(vendor, math.inf))


@cache
def account_calls_per_day(vendor: str) -> float:
    """Return the calls per day that an account may make; infinity without a published limit."""
    return min((limit.calls for limit in VENDORS[vendor].limits.rates if limit.seconds >= DAY_S), default=math.inf)
