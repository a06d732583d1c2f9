"""Starts what is measured and what it talks to: `command -> figures`."""

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

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
HOME = Path(os.environ.get("SEGEXPORT_BENCH") or CHECKOUT / ".bench")
DATA = HOME / "data"
LONGEST_S = 1800


def environment() -> dict[str, str]:
    """What every process gets: this checkout's package first, and bytecode that is kept, as an installation has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(CHECKOUT)}


@contextmanager
def alone() -> Iterator[None]:
    """Hold the file that `SEGEXPORT_BENCH_LOCK` names while a case runs, on a machine whose users agreed on one."""
    path = os.environ.get("SEGEXPORT_BENCH_LOCK")
    if not path:
        yield
        return
    with Path(path).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def server(*command: str) -> Iterator[str]:
    """A server of ours, by the address that it prints; ended afterwards."""
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


def told(address: str, method: str = "GET") -> Any:
    """The JSON that an address answers with."""
    request = urllib.request.Request(address, method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=600) as reply:  # noqa: S310 - loopback
        return json.load(reply)


def task(order: Mapping[str, Any]) -> dict[str, Any]:
    """One task process; its home is a folder of its own unless the order names one."""
    with tempfile.TemporaryDirectory(dir=HOME) as home, alone():
        done = subprocess.run(  # noqa: S603 - our own script
            [sys.executable, str(HERE / "task.py"), json.dumps({"home": home, **order})],
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    if done.returncode:
        raise SystemExit(f"A task of the benchmark failed: {dict(order)}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def whole(command: list[str], *, python: Path) -> dict[str, float]:
    """CPU, time and peak memory of a process from its start to its end, by the kernel's account."""
    with tempfile.TemporaryFile() as log, alone():
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
