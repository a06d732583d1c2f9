"""Starts the measured processes and their servers."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent
CHECKOUT = BENCHMARKS.parent
HOME = Path(os.environ.get("SEGEXPORT_BENCH") or CHECKOUT / ".bench")
DATA = HOME / "data"
TIMEOUT_S = 1800.0
"""Seconds until a measured process counts as hanging and is killed. The longest case, ten million rows, takes a few
minutes."""

START_S = 120.0
"""Seconds in which a server must print its URL. It takes a few, for its imports."""


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
def process_group(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process, and kill it with its children at the end of the block.

    Args:
        command: the program and its arguments.
        options: further arguments of `subprocess.Popen`.
    """
    with subprocess.Popen(command, env=environment(), start_new_session=True, **options) as process:  # noqa: S603
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def server(*command: str) -> Iterator[str]:
    """Start a server, yield the URL that it prints, and stop it afterwards."""
    with process_group([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        has_output = select.select([process.stdout], [], [], START_S)[0]
        line = process.stdout.readline().strip() if process.stdout and has_output else ""
        if not line:
            raise SystemExit(f"{command[0]} did not start within {START_S:g} s.")
        yield line


def read_json(address: str, method: str = "GET") -> Any:
    """Return the JSON of a URL."""
    request = urllib.request.Request(address, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310 - loopback
        return json.load(reply)


def measure_task(case: Mapping[str, Any]) -> dict[str, Any]:
    """Measure one task process, in a temporary home unless the case has one."""
    with tempfile.TemporaryDirectory(dir=HOME) as home, machine_lock():
        command = [sys.executable, str(BENCHMARKS / "task.py"), json.dumps({"home": home, **case})]
        with process_group(command, stdout=subprocess.PIPE, text=True) as process:
            output, _ = process.communicate(timeout=TIMEOUT_S)
    if process.returncode:
        raise SystemExit(f"A task of the benchmark failed: {dict(case)}")
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return figures


def measure_process(command: list[str], *, python: Path) -> dict[str, float]:
    """Return CPU, time and peak memory of a whole process, from the kernel."""
    with tempfile.TemporaryFile() as log, machine_lock():
        started = time.monotonic()
        with process_group([str(python), *command], stdout=log, stderr=log) as process:
            watchdog = threading.Timer(TIMEOUT_S, os.kill, (process.pid, signal.SIGKILL))
            watchdog.start()
            try:
                _, status, usage = os.wait4(process.pid, 0)
            finally:
                watchdog.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{command[0]} failed:\n{log.read()[-2000:].decode(errors='replace')}")
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.monotonic() - started,
        "peak_rss_mib": usage.ru_maxrss / 1024,
    }
