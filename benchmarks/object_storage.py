"""Compares exports whose state is in object storage with exports whose state is in a folder.

Usage: python benchmarks/object_storage.py [--rounds 1] [--vendor NAME] [--store-only] [--trace] [--write NAME]

The store is moto's S3 server with 40 ms before each request (`store.py`), and the vendor is the simulator. The script
prints seconds and store requests by kind, and with `--trace` every request. `--write` also writes results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from people import write
from processes import BENCHMARKS, DATA, HOME, measure_task, read_json, server
from store import BUCKET

DELAY_S = 0.04
"""Seconds before each request. Assumed for a store in another region, or under load."""

DAYS = ("2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00")
CHANGED_EVERY = 50
"""One row in this many changes between the snapshots: 2 %."""

BUCKET_PATH = re.compile(r"^/bench/")
KINDS = (
    ("journal", re.compile(r"journal-[^/]*$")),
    ("lease", re.compile(r"/lease/")),
)
"""Purposes of requests, by path and query. All others count as other."""


@dataclass(frozen=True)
class Case:
    """One vendor's export.

    Attributes:
        rows: of the segment.
        latency_s: real seconds of a vendor's response.
        speed: of the simulator's and the hook's clock.
        credentials: credential in the simulator by field of the connection.
        settings: of the simulated vendor.
    """

    rows: int
    latency_s: float
    speed: float
    credentials: dict[str, str]
    settings: dict[str, Any] = field(default_factory=dict)


CASES = {
    "campaign_monitor": Case(100_000, 0.3, 1.0, {"password": "api_key"}),
    "omnisend": Case(
        20_000,
        0.1,
        1.0,
        {"password": "api_key"},
        {"job_seconds": 0.1, "job_seconds_per_row": 0.0, "start_seconds": 0.1, "calls_per_minute": None},
    ),
}


def kind_of(request: dict[str, Any]) -> str:
    """Return what a request is for."""
    text = unquote(f"{request['path']}?{request['query']}")
    return next((kind for kind, pattern in KINDS if pattern.search(text)), "other")


def connection_of(account: dict[str, Any], case: Case) -> dict[str, Any]:
    """Return what a task needs to connect to a simulated account and to export to its first audience."""
    return {
        "base_url": account["base_url"],
        "audience": str(account["audiences"][0]["id"]),
        "credentials": {name: account["credentials"][of] for name, of in case.credentials.items()},
        "access_token": account["credentials"].get("access_token", ""),
    }


def measure(vendor: str, store_url: str = "", *, rows: int = 0) -> list[dict[str, Any]]:
    """Run an export and one of the next day, on a new account; return the figures of both.

    Args:
        vendor: to export to.
        store_url: address of the S3 server; empty for a folder.
        rows: of the segment; by default those of the case.
    """
    case = CASES[vendor]
    rows = rows or case.rows
    clock = {"begun": time.monotonic(), "start": time.time(), "speed": case.speed}
    settings = json.dumps({vendor: case.settings})
    command = (str(BENCHMARKS / "fast_simulator.py"), json.dumps(clock), str(case.latency_s), settings)
    figures = []
    HOME.mkdir(parents=True, exist_ok=True)
    with server(*command) as address, tempfile.TemporaryDirectory(dir=HOME) as home:
        account = read_json(f"{address}/_sim")["vendors"][vendor]
        root = f"s3://store@{BUCKET}/{Path(home).name}" if store_url else f"{home}/state"
        for number, day in enumerate(DAYS, 1):
            path = DATA / f"{rows}-{number}-every-{CHANGED_EVERY}.parquet"
            segment = write(path, rows, snapshot=number, changed_every=CHANGED_EVERY)
            if store_url:
                read_json(f"{store_url}/_log", "DELETE")
            done = measure_task(
                {
                    "home": home,
                    "root": root,
                    "store": store_url,
                    "vendor": vendor,
                    "segment": str(segment),
                    "as_of": day,
                    **connection_of(account, case),
                    "field_mapping": {"email": "email", "first_name": "first_name", "last_name": "last_name"},
                    "custom_fields": {"orders": "orders"},
                    "clock": clock,
                    "poll_interval": 0.5,
                }
            )
            report = done["report"]
            requests = read_json(f"{store_url}/_log") if store_url else []
            figures.append(
                {
                    "seconds": done["wall_s"],
                    "cpu_s": done["cpu_s"],
                    "delivered": report["counts"]["delivered"],
                    "requests": requests,
                }
            )
    return figures


def by_kind(requests: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count requests by what they are for and by method."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in ("journal", "lease", "other")}
    for request in requests:
        counts[kind_of(request)][request["method"]] += 1
    return {kind: dict(sorted(methods.items())) for kind, methods in counts.items()}


def trace(requests: list[dict[str, Any]]) -> str:
    """Return one line a request, with the seconds since the first."""
    ordered = sorted(requests, key=lambda request: request["at_s"])
    return "".join(
        f"{request['at_s'] - ordered[0]['at_s']:7.2f} {request['status']} {request['method']:6} "
        f"{BUCKET_PATH.sub('', request['path'])} {request['query']}\n"
        for request in ordered
    )


def summarize(rounds: dict[str, list[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Return a line for each vendor and day: medians of the seconds, and the requests of the last round."""
    lines = []
    for vendor in CASES:
        folder, store = rounds.get(f"{vendor}/folder", []), rounds.get(f"{vendor}/s3", [])
        if not (folder or store):
            continue
        for day, title in enumerate(("all rows", "2 % changed")):
            last = (store or folder)[-1][day]
            line = {"vendor": vendor, "run": title, "delivered": last["delivered"]}
            for name, measured in (("folder_s", folder), ("s3_s", store)):
                line[name] = (
                    round(statistics.median(done[day]["seconds"] for done in measured), 1) if measured else None
                )
            lines.append(line | {"requests": by_kind(last["requests"])})
    return lines


def main() -> None:
    """Measure, print, and write the result if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--vendor", choices=CASES, help="measure only this vendor")
    parser.add_argument("--store-only", action="store_true", help="leave the folder out")
    parser.add_argument("--trace", action="store_true", help="print every request of the last round")
    parser.add_argument("--write", metavar="NAME", help="write results/NAME.json")
    args = parser.parse_args()
    rounds: dict[str, list[list[dict[str, Any]]]] = {}
    with ExitStack() as stack:
        store_url = stack.enter_context(server(str(BENCHMARKS / "store.py"), str(DELAY_S)))
        for _ in range(args.rounds):
            for vendor in [args.vendor] if args.vendor else CASES:
                for kind, url in (("folder", ""), ("s3", store_url)):
                    if url or not args.store_only:
                        rounds.setdefault(f"{vendor}/{kind}", []).append(measure(vendor, url))
    if args.trace:
        for name, measured in rounds.items():
            for day in measured[-1]:
                sys.stdout.write(f"--- {name}\n{trace(day['requests'])}")
    lines = summarize(rounds)
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")
    if args.write:
        result = {"made_at": datetime.now(UTC).isoformat(), "delay_s": DELAY_S, "rounds": args.rounds, "runs": lines}
        (BENCHMARKS / "results" / f"{args.write}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
