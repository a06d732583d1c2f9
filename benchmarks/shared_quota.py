"""Shares one account's quota between a hundred export tasks on ten worker processes.

Usage: python benchmarks/shared_quota.py [--stores file redis postgresql] [--tasks 100] [--calls-a-minute 120] [--write]

Each worker is a process that forks one process for each task, as a Celery worker does, and takes the next task from a
common queue when a slot is free. All tasks use one account of the simulator, which enforces the account's calls a
minute as a sliding window, as Omnisend does. The clock is real, because Redis and PostgreSQL count by their own time.
Tasks that ask for a retry are run again, and counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from people import write
from processes import BENCHMARKS, DATA, HOME, TIMEOUT_S, process_group, read_json, server

VENDOR = "omnisend"
BATCH_ROWS = 20
"""Small batches, so that the calls are many and the simulator's CPU does not limit them."""

LATENCY_S = 0.3
FAST_JOBS = {"job_seconds": 0.1, "job_seconds_per_row": 0.0, "start_seconds": 0.1}
AS_OF = "2026-11-01T00:00:00+00:00"
FIRST_EXPORT = 255
"""Number of the export before the measurement. The first export to an account finds out how the account behaves."""

STORES = {
    "file": "",
    "redis": os.environ.get("SEGEXPORT_TEST_REDIS", "redis://127.0.0.1:6379/14"),
    "postgresql": os.environ.get("SEGEXPORT_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test"),
}
ACCEPTED, REFUSED = 201, 429
CONNECT_TIMEOUT_S = 5


class StoreUnavailable(Exception):
    """The store's server cannot be used on this machine."""


@contextmanager
def open_store(name: str, folder: str) -> Iterator[str]:
    """Yield the value of `rate_limit_store`.

    PostgreSQL gets a schema of its own, which is dropped afterwards. Redis removes its keys by their expiry.

    Raises:
        StoreUnavailable: the server cannot be reached.
    """
    url = STORES[name]
    if name == "file":
        yield folder
    elif name == "redis":
        import redis  # noqa: PLC0415 - only with its server

        try:
            with redis.Redis.from_url(url, socket_timeout=CONNECT_TIMEOUT_S) as client:
                client.ping()
        except redis.RedisError as error:
            raise StoreUnavailable(str(error)) from error
        yield url
    else:
        import psycopg  # noqa: PLC0415 - only with its server
        from psycopg import sql  # noqa: PLC0415

        schema = f"segexport_bench_{os.getpid()}"
        try:
            with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
                connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        except psycopg.Error as error:
            raise StoreUnavailable(str(error)) from error
        try:
            yield f"{url}?options=-csearch_path%3D{schema}"
        finally:
            with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
                connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))


def run_tasks(case: dict[str, Any], numbers: list[int], *, workers: int, slots: int) -> list[dict[str, Any]]:
    """Run exports on workers; return what each task reports: number, pid, times and report.

    Args:
        case: the account, the segment and the folder of the state.
        numbers: of the tasks, each below 256.
        workers: processes that take tasks from the queue.
        slots: tasks of one worker at a time.
    """
    reading, writing = os.pipe()
    os.write(writing, bytes(numbers))
    os.close(writing)
    with tempfile.TemporaryDirectory(dir=case["home"]) as results, ExitStack() as stack:
        arguments = json.dumps(case | {"queue": reading, "slots": slots, "results": results})
        command = [sys.executable, str(BENCHMARKS / "shared_quota_worker.py"), arguments]
        processes = [stack.enter_context(process_group(command, pass_fds=[reading])) for _ in range(workers)]
        os.close(reading)
        until = time.monotonic() + TIMEOUT_S
        codes = [process.wait(max(0.0, until - time.monotonic())) for process in processes]
        if any(codes):
            raise SystemExit(f"A worker failed: exit codes {codes}.")
        return [json.loads(path.read_text()) for path in sorted(Path(results).iterdir())]


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run all tasks with one store; return the figures."""
    segment = write(DATA / f"{options.rows}-1.parquet", options.rows)
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(dir=HOME))
        store = stack.enter_context(open_store(name, f"{home}/quotas"))
        clock = {"begun": time.monotonic(), "start": time.time(), "speed": 1.0}
        settings = {VENDOR: FAST_JOBS | {"calls_per_minute": options.calls_a_minute}}
        simulator = (str(BENCHMARKS / "fast_simulator.py"), json.dumps(clock), str(LATENCY_S), json.dumps(settings))
        address = stack.enter_context(server(*simulator, "64000000"))
        account = read_json(f"{address}/_sim")["vendors"][VENDOR]
        case = {
            "home": home,
            "vendor": VENDOR,
            "segment": str(segment),
            "as_of": AS_OF,
            "base_url": account["base_url"],
            "credentials": {"password": account["credentials"]["api_key"]},
            "calls_per_minute": options.calls_a_minute,
            "field_mapping": {"email": "email", "first_name": "first_name"},
            "custom_fields": {},
            "limits": {"batch_rows": BATCH_ROWS},
            "poll_interval": 5,
            "rate_limit_store": store,
        }
        run_tasks(case, [FIRST_EXPORT], workers=1, slots=1)
        log = f"{address}/_sim/requests?vendor={VENDOR}"
        before = len(read_json(log)["requests"])
        tasks = run_tasks(case, list(range(options.tasks)), workers=options.workers, slots=options.slots)
        calls = read_json(log)["requests"][before:]
    return {"store": name} | figures(tasks, calls, options.calls_a_minute)


def figures(tasks: list[dict[str, Any]], calls: list[dict[str, Any]], calls_a_minute: int) -> dict[str, Any]:
    """Return the checks and figures of one round.

    Args:
        tasks: what the tasks reported.
        calls: the simulator's log.
        calls_a_minute: the account's quota.
    """
    times = [call["time"] for call in calls]
    seconds = times[-1] - times[0]
    sent: Counter[tuple[str, str]] = Counter()
    by_audience: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        if call["method"] != "POST" or call["status"] != ACCEPTED:
            continue
        items = [(tag, item["identifiers"][0]["id"]) for item in call["body"]["items"] for tag in item["tags"]]
        sent.update(items)
        for tag in {tag for tag, _ in items}:
            by_audience[tag].append(call["time"])
    waits = [late - early for moments in by_audience.values() for early, late in pairwise(moments)]
    durations = [task["ended"] - task["started"] for task in tasks]
    return {
        "tasks": len(tasks),
        "processes": len({task["pid"] for task in tasks}),
        "retries": sum(task["tries"] - 1 for task in tasks),
        "calls": len(calls),
        "seconds": seconds,
        "used": len(calls) / (calls_a_minute * seconds / 60),
        "most_in_a_minute": max(sum(1 for other in times if at <= other < at + 60) for at in times),
        "refused_429": sum(1 for call in calls if call["status"] == REFUSED),
        "delivered": sum(task["report"]["counts"]["delivered"] for task in tasks),
        "pairs": len(sent),
        "sent_twice": sum(1 for count in sent.values() if count > 1),
        "task_s": [min(durations), statistics.median(durations), max(durations)],
        "longest_wait_s": max(waits, default=0.0),
        "load": os.getloadavg()[0],
    }


def main() -> int:
    """Measure each store that can be used, and print its figures; return 1 if there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--calls-a-minute", type=int, default=120)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    rounds = []
    for name in options.stores:
        try:
            rounds.append(measure(name, options))
        except StoreUnavailable as error:
            print(f"skipping {name}: {error}")
            continue
        print(json.dumps(rounds[-1]), flush=True)
    if not rounds:
        return 1
    if options.write:
        made_at = datetime.now(UTC).isoformat(timespec="seconds")
        result = {"made_at": made_at, "options": vars(options), "rounds": rounds}
        (BENCHMARKS / "results" / "shared_quota.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
