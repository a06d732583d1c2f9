"""Starts the measured processes and their servers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
CHECKOUT = BENCHMARKS.parent
HOME = Path(os.environ.get("SEGEXPORT_BENCH") or CHECKOUT / ".bench")
DATA = HOME / "data"
TIMEOUT_S = 1800


def environment() -> dict[str, str]:
    """Return the environment of every process: this checkout's package first, and bytecode files enabled."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**variables, "PYTHONPATH": str(CHECKOUT)}


@contextmanager
def machine_lock() -> Iterator[None]:
    """Hold the lock file `SEGEXPORT_BENCH_LOCK` while a case runs, on a machine with several users."""
    path = os.environ.get("SEGEXPORT_BENCH_LOCK")
    if not path:
        yield
        return
    with Path(path).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def server(*command: str) -> Iterator[str]:
    """Start a server, yield the URL that it prints, and stop it afterwards."""
    process = subprocess.Popen(  # noqa: S603 - our own scripts
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment()
    )
    try:
        line = process.stdout.readline().strip() if process.stdout else ""
        if not line:
            raise SystemExit(f"{command[0]} did not start.")
        yield line
    finally:
        process.terminate()
        process.communicate()


def read_json(address: str, method: str = "GET") -> Any:
    """Return the JSON of a URL."""
    request = urllib.request.Request(address, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310 - loopback
        return json.load(reply)


def measure_task(case: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one task process, in a temporary home unless the case has one."""
    with tempfile.TemporaryDirectory(dir=HOME) as home, machine_lock():
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, str(BENCHMARKS / "task.py"), json.dumps({"home": home, **case})],
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    if done.returncode:
        raise SystemExit(f"A task of the benchmark failed: {dict(case)}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_process(command: list[str], *, python: Path) -> dict[str, float]:
    """Return CPU, time and peak memory of a whole process, from the kernel."""
    with tempfile.TemporaryFile() as log, machine_lock():
        started = time.monotonic()
        process = subprocess.Popen([str(python), *command], stdout=log, stderr=log, env=environment())  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{command[0]} failed:\n{log.read()[-2000:].decode(errors='replace')}")
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        "peak_rss_mib": usage.ru_maxrss / 1024,
    }
