"""Starts processes of a local Airflow on the loopback address, and stops them with their children."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
STOP_S = 15.0
"""Seconds after SIGTERM until a process is killed."""


def exit_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that the processes are stopped."""

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def port(wanted: int = 0) -> int:
    """Return a free loopback port: the wanted one if it is free, else any."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, wanted))
        except OSError:
            return port()
        return int(listener.getsockname()[1])


@dataclass
class Processes:
    """Child processes. Each leads a process group, so that its own children end with it."""

    home: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a process; its output goes to a log of its name."""
        with (self.home / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
                cwd=self.home,
                start_new_session=True,
                text=True,
            )

    def airflow(self, *arguments: str) -> None:
        """Start a process of Airflow."""
        self.start(arguments[0], sys.executable, "-m", "airflow", *arguments)

    def ended(self) -> str | None:
        """Return the name of a process that has ended, or None."""
        return next((name for name, process in self.running.items() if process.poll() is not None), None)

    def stop(self) -> None:
        """Stop all processes with their groups, the last started first."""
        for process in reversed(self.running.values()):
            signal_group(process, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            signal_group(process, signal.SIGKILL)  # processes of the group that ignored SIGTERM
            process.wait()
        self.running.clear()


def signal_group(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
