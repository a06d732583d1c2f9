"""Measures the share of a vendor's quota that an export uses: seconds / (calls / quota) at the simulator.

A fast clock drives the simulator and the hook, and every call takes 300 ms of that clock. Batches are smaller than the
vendor's, so that the simulator's CPU does not dominate the time. Calls are those that the quota counts, from the first
to the last, in the simulator's log.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from people import write
from processes import BENCHMARKS, DATA, measure_task, read_json, server

LATENCY_S = 0.3
AS_OF = "2026-11-01T00:00:00+00:00"


@dataclass(frozen=True)
class Case:
    """One vendor's published quota, and the export that uses it.

    Attributes:
        per_second: calls per second of the account; without a published quota, those of four connections.
        description: the quota as text.
        calls: approximate number of batches.
        batch_rows: rows of a batch.
        speed: speed of the clock; slow enough for the simulator's CPU.
        counts: whether a call counts for the quota.
        settings: settings of the simulated vendor.
        credentials: credential in the simulator by field of the connection.
        first_run_imports: imports of the first run on an account that find out how the account behaves.
    """

    per_second: float
    description: str
    calls: int
    batch_rows: int
    speed: float
    counts: Callable[[str, str], bool] = lambda method, path: True  # noqa: ARG005 - every call
    settings: dict[str, Any] = field(default_factory=dict)
    credentials: dict[str, str] = field(default_factory=dict)
    first_run_imports: int = 0


FAST_JOBS = {"job_seconds": 0.1, "job_seconds_per_row": 0.0}
"""Jobs end immediately, because the vendor's own time is not measured."""

CASES = {
    "campaign_monitor": Case(
        per_second=4 / LATENCY_S,
        description="none published: four connections, 300 ms a call",
        calls=600,
        batch_rows=50,
        speed=1.0,
        credentials={"password": "api_key"},
    ),
    "constant_contact": Case(
        per_second=4.0,
        description="4 calls a second",
        calls=300,
        batch_rows=100,
        speed=1.0,
        settings=FAST_JOBS | {"start_seconds": 0.1},
        credentials={"login": "client_id", "password": "client_secret"},
    ),
    "dotdigital": Case(
        per_second=150 / 60,
        description="150 calls a minute (from the vendor's sample headers; polls are free)",
        calls=500,
        batch_rows=100,
        speed=5.0,
        counts=lambda method, path: method == "PUT" and path.endswith("/import"),
        settings=FAST_JOBS,
        credentials={"login": "username", "password": "password"},
    ),
    "omnisend": Case(
        per_second=400 / 60,
        description="400 calls a minute",
        calls=1600,
        batch_rows=20,
        speed=5.0,
        settings=FAST_JOBS | {"start_seconds": 0.1},
        credentials={"password": "api_key"},
        first_run_imports=2,
    ),
}


def measure(vendor: str, *, calls: int | None = None) -> dict[str, Any]:
    """Run one export at the simulator's quota; return the measurements."""
    case = CASES[vendor]
    rows = (calls or case.calls) * case.batch_rows
    segment = write(DATA / f"{rows}-1.parquet", rows)
    clock = {"begun": time.monotonic(), "start": time.time(), "speed": case.speed}
    settings = {vendor: case.settings}
    command = (
        str(BENCHMARKS / "fast_simulator.py"),
        json.dumps(clock),
        str(LATENCY_S / case.speed),
        json.dumps(settings),
    )
    with server(*command) as address:
        account = read_json(f"{address}/_sim")["vendors"][vendor]
        done = measure_task(_task_case(vendor, case, segment, account, clock))
        log = read_json(f"{address}/_sim/requests?vendor={vendor}")["requests"]
    counted = [call for call in log if case.counts(call["method"], call["path"])]
    seconds = counted[-1]["time"] - counted[0]["time"]
    imports = sum(1 for call in log if call["method"] in {"POST", "PUT"})
    return {
        "ratio": seconds / (len(counted) / case.per_second),
        "quota": case.description,
        "calls": len(counted),
        "seconds": seconds,
        "imports": imports,
        "imports_at_least": -(-done["report"]["counts"]["delivered"] // case.batch_rows) + case.first_run_imports,
        "all_calls": len(log),
        "refused_429": sum(1 for call in log if call["status"] == 429),  # noqa: PLR2004 - HTTP's own number
        "clock_speed": case.speed,
    }


def _task_case(
    vendor: str, case: Case, segment: Path, account: dict[str, Any], clock: dict[str, float]
) -> dict[str, Any]:
    credentials = {name: account["credentials"][credential] for name, credential in case.credentials.items()}
    return {
        "vendor": vendor,
        "segment": str(segment),
        "as_of": AS_OF,
        "base_url": account["base_url"],
        "audience": str(account["audiences"][0]["id"]),
        "credentials": credentials,
        "access_token": account["credentials"].get("access_token", ""),
        "calls_per_minute": None,
        "field_mapping": {"email": "email", "first_name": "first_name", "last_name": "last_name"},
        "custom_fields": {},
        "clock": clock,
        "limits": {"batch_rows": case.batch_rows},
        "poll_interval": 30,
    }
