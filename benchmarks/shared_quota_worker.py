"""One worker of `shared_quota.py`: takes tasks from a common queue, and forks a process for each.

Usage: python shared_quota_worker.py CASE, as JSON. `queue` is an open pipe that holds one byte a task, `slots` the
tasks at a time, `results` a folder for one JSON file a task.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from connections import environment
from task import prepare_task_runner, run

ROOMS = ("export", "stages", "storage", "http", "ratelimit", "vendors", "hooks", "operators")
"""Packages that a worker imports once, because a hundred imports would measure the machine and not the quota."""

MAX_TRIES = 5
"""Attempts of a task, as with `retries=4` in a DAG. Each attempt resumes the export."""


def run_task(case: dict[str, Any], number: int) -> None:
    """Run one export in this process and write what it reports."""
    from airflow_provider_segexport.hooks.failures import RetryLater  # noqa: PLC0415 - after the environment

    started = time.time()
    for tries in range(1, MAX_TRIES + 1):
        try:
            report = run(case | {"audience": f"audience-{number}", "map_index": number})
            break
        except RetryLater:
            if tries == MAX_TRIES:
                raise
    times = {"started": started, "ended": time.time()}
    result = {"number": number, "pid": os.getpid(), "tries": tries, "report": report, **times}
    (Path(case["results"]) / f"{number:03}.json").write_text(json.dumps(result))


def fork_task(case: dict[str, Any], number: int) -> int:
    """Return the id of a new process that runs one export."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        run_task(case, number)
        code = 0
    except BaseException:  # noqa: BLE001 - the process ends here
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    """Run tasks until the queue is empty; return 1 if one failed."""
    case = json.loads(sys.argv[1])
    os.environ.update(environment(case))
    for room in ROOMS:
        package = importlib.import_module(f"airflow_provider_segexport.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with suppress(ImportError):  # the libraries of other stores
                importlib.import_module(module.name)
    prepare_task_runner()
    running, failed, is_open = 0, False, True
    while running or is_open:
        while is_open and running < case["slots"]:
            taken = os.read(case["queue"], 1)
            is_open = bool(taken)
            if taken:
                fork_task(case, taken[0])
                running += 1
        if running:
            _, status = os.wait()
            failed = failed or status != 0
            running -= 1
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
