"""Airflow with the example DAGs, the simulated vendors and four ready connections, on this machine alone.

Usage: python scripts/ui.py [--port 8080] [--profiles 2000] [--days 3]

Everything is made anew at each start, below .ui/; everything is stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = CHECKOUT / ".ui"
HOST = "127.0.0.1"
USER = "admin"
READY_S = 180.0
STOP_S = 15.0
DAGS = ("unification_refresh", "segment_exports")


def port(wanted: int = 0) -> int:
    """A free loopback port: the wanted one, or any where none is wanted or it is taken."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, wanted))
        except OSError:
            return port()
        return int(one.getsockname()[1])


@dataclass
class Processes:
    """Children, each the head of a group of its own, so that all that they start ends with them."""

    home: Path
    environment: Mapping[str, str]
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start one; what it says goes to a log of its name."""
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
        """Start one of Airflow's own."""
        self.start(arguments[0], sys.executable, "-m", "airflow", *arguments)

    def dead(self) -> str | None:
        """The name of one that has ended, if one has."""
        return next((name for name, process in self.running.items() if process.poll() is not None), None)

    def stop(self) -> None:
        """End them all with their groups, the last started first."""
        for process in reversed(self.running.values()):
            signal_group(process, signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            signal_group(process, signal.SIGKILL)  # whoever of the group has not heard
            process.wait()
        self.running.clear()


def signal_group(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@dataclass
class Api:
    """Airflow's REST API, as the one user."""

    url: str
    password: str
    user: str = USER
    _token: str = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask, and read the answer; logs in first."""
        if not self._token and path != "/auth/token":
            answer = self.call("POST", "/auth/token", {"username": self.user, "password": self.password})
            self._token = answer["access_token"]
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def healthy(self) -> bool:
        """Whether scheduler, DAG processor and triggerer are at work."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=10) as reply:  # noqa: S310
                told = json.load(reply)
        except (OSError, ValueError):
            return False
        return all(told[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer"))

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The runs of a DAG."""
        found: list[dict[str, Any]] = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
        return found

    def dags(self) -> set[str]:
        """The DAGs that have been read so far."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}


@dataclass
class Ui:
    """Airflow and the simulator, started and stopped together."""

    home: Path = HOME
    wanted_port: int = 8080
    profiles: int = 2000
    extra: Mapping[str, str] = field(default_factory=dict)
    users: str = f"{USER}:admin"
    user: str = USER
    base_path: str = ""
    port: int = 0
    password: str = ""
    simulator: str = ""
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def __post_init__(self) -> None:
        self.port = port(self.wanted_port)
        self.password = secrets.token_urlsafe(9)
        self.processes = Processes(self.home, self.environment())
        self.api = Api(self.url, self.password, self.user)

    @property
    def url(self) -> str:
        """Where Airflow is."""
        return f"http://{HOST}:{self.port}{self.base_path}"

    def environment(self) -> dict[str, str]:
        """Airflow's configuration."""
        airflow = self.home / "airflow"
        return {
            "AIRFLOW_HOME": str(airflow),
            "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": self.users,
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            # Each process would make up its own, and tasks could not speak to the API server.
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secret,
            "AIRFLOW__API__SECRET_KEY": self.secret,
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(bytes.fromhex(self.secret)).decode(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow}/airflow.db",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__SEGEXPORT__STATE_PATH": str(self.home / "state"),
            "SEGEXPORT_DEMO_ROOT": str(self.home / "data"),
            "SEGEXPORT_DEMO_PROFILES": str(self.profiles),
            "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH", "")])]),
            "PYTHONWARNINGS": "ignore",
            **self.extra,
        }

    def start(self) -> None:
        """Make everything anew, start it and wait until it is ready."""
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "airflow").mkdir(parents=True)
        users = [one.split(":")[0] for one in self.users.split(",")]
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps(dict.fromkeys(users, self.password)))
        self._simulate()
        prepare = [sys.executable, str(CHECKOUT / "scripts" / "ui_prepare.py"), self.simulator]
        with (self.home / "prepare.log").open("wb") as log:
            done = subprocess.run(  # noqa: S603 - our own script
                prepare, check=False, stdout=log, stderr=log, env={**os.environ, **self.processes.environment}
            )
        if done.returncode:
            raise SystemExit(f"Airflow's database could not be made; see {self.home / 'prepare.log'}.")
        # No server of logs: API server and tasks share this disk, and the server would listen to other machines.
        self.processes.airflow("api-server")
        self.processes.airflow("scheduler", "--skip-serve-logs")
        self.processes.airflow("dag-processor")
        self.processes.airflow("triggerer", "--skip-serve-logs")
        self.wait(self.api.healthy, "Airflow is not ready")
        self.wait(lambda: set(DAGS) <= self.api.dags(), "the example DAGs are not read")

    def _simulate(self) -> None:
        told = self.home / "simulator.log"
        module = "airflow_provider_segexport.simulator"
        self.processes.start("simulator", sys.executable, "-u", "-m", module, "--port", "0", "--seed", "1")
        self.wait(lambda: "ready on " in told.read_text(), "the simulator is not ready")
        self.simulator = told.read_text().split("ready on ")[1].split()[0]

    def wait(self, good: Any, words: str, seconds: float = READY_S) -> None:
        """Until something is so; a process that ended meanwhile is named."""
        until = time.monotonic() + seconds
        while not self._is(good):
            if dead := self.processes.dead():
                raise SystemExit(f"{dead} has ended; see {self.home / f'{dead}.log'}.")
            if time.monotonic() > until:
                raise SystemExit(f"After {seconds:.0f} s, {words}. The logs are in {self.home}.")
            time.sleep(1)

    @staticmethod
    def _is(good: Any) -> bool:
        try:
            return bool(good())
        except urllib.error.URLError:
            return False

    def story(self, days: int) -> None:
        """Let the refresh run for some days, the oldest first; the exports follow each by themselves."""
        today = datetime.now(UTC).date()
        for back in range(days - 1, 0, -1):
            day = today - timedelta(days=back)
            body = {"logical_date": None, "run_after": f"{day}T02:00:00Z", "conf": {"day": day.isoformat()}}
            self.api.call("POST", f"/api/v2/dags/{DAGS[0]}/dagRuns", body)
        for dag_id in DAGS:  # today's run is made by the schedule as soon as the DAG is not paused any more
            self.api.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def told(self, days: int) -> bool:
        """Whether all of these days have been exported."""
        runs = self.api.runs(DAGS[1])
        return len(runs) >= days and all(run["state"] in {"success", "failed"} for run in runs)


@contextlib.contextmanager
def stopping(ui: Ui) -> Iterator[None]:
    """Stop everything at the end, however it comes."""

    def leave(number: int, _frame: Any) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        yield
    except KeyboardInterrupt:
        print()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # once is enough
        print("Stopping ...", flush=True)
        ui.processes.stop()
        print("Everything is stopped.", flush=True)


def main() -> int:
    """Bring it up, tell where it is, and stay until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of Airflow; another one where it is taken")
    parser.add_argument("--profiles", type=int, default=2000, help="profiles to make up a day")
    parser.add_argument("--days", type=int, default=3, help="days to refresh and export at the start")
    asked = parser.parse_args()
    ui = Ui(wanted_port=asked.port, profiles=asked.profiles)
    with stopping(ui):
        print("Starting Airflow and the simulated vendors; this takes about a minute.", flush=True)
        ui.start()
        ui.story(asked.days)
        print(f"\n  Airflow    {ui.url}")
        print(f"  log in as  {USER}  with password  {ui.password}")
        print(f"  exports    {ui.url}/plugin/segment_exports   (Browse > Segment exports)")
        print(f"  simulator  {ui.simulator}/_sim\n")
        print(f"{asked.days} days are being refreshed and exported now. Ctrl-C stops everything.", flush=True)
        ui.wait(lambda: ui.told(asked.days), "the exports are not done", seconds=900)
        print("Done: every audience has its history.", flush=True)
        ui.wait(lambda: False, "", seconds=float("inf"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
