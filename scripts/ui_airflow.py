"""Starts Airflow on this machine, with the example DAGs, the simulated vendors and four connections.

Usage: python scripts/ui_airflow.py [--port 8080] [--profiles 2000] [--days 3 | --demo]

Each start creates new state below .ui/. Ctrl-C or SIGTERM stops all processes.
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
import subprocess
import sys
import time
import urllib.request
import webbrowser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo_stage import ui_environment
from ui_processes import HOST, Processes, exit_on_signals, port

CHECKOUT = Path(__file__).resolve().parent.parent
HOME = CHECKOUT / ".ui"
USER = "admin"
MAX_RUNS = 100
"""Maximum runs in one response of Airflow's API."""

READY_S = 180.0
"""Seconds in which the simulator, Airflow and the DAGs must each be ready."""

PREPARE_S = 600.0
"""Seconds in which Airflow's database must be created. It takes less than a minute on an idle machine."""

EXPORTS_S, DAY_EXPORTS_S = 600.0, 100.0
"""Seconds in which the days of the start must be exported, and the additional seconds for each day."""

DAGS = ("unification_refresh", "segment_exports")


@dataclass
class Api:
    """Client of Airflow's REST API for one user."""

    url: str
    password: str
    user: str = USER
    _token: str = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and return the JSON response; log in first.

        Args:
            method: HTTP method.
            path: path and query below the URL of Airflow.
            body: JSON body, or None.
        """
        if not self._token and path != "/auth/token":
            response = self.call("POST", "/auth/token", {"username": self.user, "password": self.password})
            self._token = response["access_token"]
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def healthy(self) -> bool:
        """Return whether scheduler, DAG processor and triggerer are healthy."""
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=10) as reply:  # noqa: S310
                health = json.load(reply)
        except (OSError, ValueError):
            return False
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer"))

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG."""
        runs: list[dict[str, Any]] = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns?limit={MAX_RUNS}")["dag_runs"]
        return runs

    def dags(self) -> set[str]:
        """Return the ids of the DAGs that have been parsed so far."""
        return {dag["dag_id"] for dag in self.call("GET", "/api/v2/dags?limit=100")["dags"]}


@dataclass
class Ui:
    """Airflow and the simulator, which are started and stopped together.

    Attributes:
        home: folder of all state and logs.
        wanted_port: port of Airflow; another one is used if it is taken.
        profiles: profiles to generate for each day.
        extra: more environment variables.
        users: users of the simple auth manager: `name:role`, separated by commas.
        user: the user of the REST client.
        base_path: path below which Airflow is served.
    """

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
        """URL of Airflow."""
        return f"http://{HOST}:{self.port}{self.base_path}"

    def environment(self) -> dict[str, str]:
        """Return Airflow's configuration as environment variables."""
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
            # Without a common secret, the API server would reject the tasks' tokens.
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
        """Create new state, start all processes, and wait until Airflow is ready."""
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "airflow").mkdir(parents=True)
        users = [user.split(":")[0] for user in self.users.split(",")]
        passwords = self.home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps(dict.fromkeys(users, self.password)))
        self._simulate()
        prepare = [sys.executable, str(CHECKOUT / "scripts" / "ui_prepare.py"), self.simulator]
        with (self.home / "prepare.log").open("wb") as log:
            done = subprocess.run(  # noqa: S603 - our own script
                prepare,
                check=False,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.processes.environment},
                timeout=PREPARE_S,
            )
        if done.returncode:
            raise SystemExit(f"Airflow's database could not be made; see {self.home / 'prepare.log'}.")
        # No log server: it would listen on all interfaces, and the API server reads the logs from this disk.
        self.processes.airflow("api-server")
        self.processes.airflow("scheduler", "--skip-serve-logs")
        self.processes.airflow("dag-processor")
        self.processes.airflow("triggerer", "--skip-serve-logs")
        self.wait(self.api.healthy, "Airflow is not ready")
        self.wait(lambda: set(DAGS) <= self.api.dags(), "the example DAGs are not read")

    def _simulate(self) -> None:
        log = self.home / "simulator.log"
        module = "airflow_provider_segexport.simulator"
        self.processes.start("simulator", sys.executable, "-u", "-m", module, "--port", "0", "--seed", "1")
        self.wait(lambda: "ready on " in log.read_text(), "the simulator is not ready")
        self.simulator = log.read_text().split("ready on ")[1].split()[0]

    def wait(self, condition: Any, message: str, seconds: float = READY_S) -> None:
        """Wait until a condition holds; exit if a process has ended, or after the timeout.

        Args:
            condition: function that returns whether the wait is over.
            message: the error after the timeout.
            seconds: timeout.
        """
        until = time.monotonic() + seconds
        while not self._holds(condition):
            if dead := self.processes.ended():
                raise SystemExit(f"{dead} has ended; see {self.home / f'{dead}.log'}.")
            if time.monotonic() > until:
                raise SystemExit(f"After {seconds:.0f} s, {message}. The logs are in {self.home}.")
            time.sleep(1)

    @staticmethod
    def _holds(condition: Any) -> bool:
        try:
            return bool(condition())
        except OSError:  # no connection, an error status, or no response in time
            return False

    def run_days(self, days: int) -> None:
        """Refresh the segments of some days, the oldest first; each refresh triggers the exports."""
        today = datetime.now(UTC).date()
        for back in range(days - 1, 0, -1):
            day = today - timedelta(days=back)
            body = {"logical_date": None, "run_after": f"{day}T02:00:00Z", "conf": {"day": day.isoformat()}}
            self.api.call("POST", f"/api/v2/dags/{DAGS[0]}/dagRuns", body)
        for dag_id in DAGS:  # the schedule creates today's run when the DAG is unpaused
            self.api.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def days_exported(self, days: int) -> bool:
        """Return whether the runs of so many days have ended."""
        runs = self.api.runs(DAGS[1])
        return len(runs) >= days and all(run["state"] in {"success", "failed"} for run in runs)

    def wait_for_exports(self, days: int) -> str:
        """Wait until the runs of some days have ended, and return a sentence about their result."""
        limit_s = EXPORTS_S + DAY_EXPORTS_S * days
        self.wait(lambda: self.days_exported(days), "the exports are not done", seconds=limit_s)
        failed = sum(run["state"] == "failed" for run in self.api.runs(DAGS[1]))
        return f"Done, but failed DAG runs: {failed}." if failed else "Done: every audience has its history."


@contextlib.contextmanager
def stopping(ui: Ui) -> Iterator[None]:
    """Stop all processes at the end of the block, also after a signal."""
    exit_on_signals()
    try:
        yield
    except KeyboardInterrupt:
        print()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second signal must not interrupt the stop
        print("Stopping ...", flush=True)
        ui.processes.stop()
        print("Everything is stopped.", flush=True)


def main() -> int:
    """Start Airflow and the simulator, print the URLs, and run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="port of Airflow; another one if it is in use")
    parser.add_argument("--profiles", type=int, default=2000, help="profiles to generate for each day")
    parser.add_argument("--days", type=int, default=3, help="days to refresh and export at the start")
    parser.add_argument("--demo", action="store_true", help="show the exports of `make demo`, and run none")
    arguments = parser.parse_args()
    if not 1 <= arguments.days <= MAX_RUNS:
        parser.error(f"--days must be from 1 to {MAX_RUNS}")
    ui = Ui(wanted_port=arguments.port, profiles=arguments.profiles, extra=ui_environment() if arguments.demo else {})
    with stopping(ui):
        print("Starting Airflow and the simulated vendors; this takes about a minute.", flush=True)
        ui.start()
        pages = f"{ui.url}/plugin/segment_exports"
        print(f"\n  Airflow    {ui.url}")
        print(f"  log in as  {USER}  with password  {ui.password}")
        print(f"  exports    {pages}   (Browse > Segment exports)")
        print(f"  simulator  {ui.simulator}/_sim\n")
        if arguments.demo:
            ui.api.call("PATCH", f"/api/v2/dags/{DAGS[1]}", {"is_paused": False})  # it runs only after a refresh
            print("The page has the exports of `make demo`. Ctrl-C stops everything.", flush=True)
            if sys.stdout.isatty():
                webbrowser.open(pages)
        else:
            ui.run_days(arguments.days)
            print(f"{arguments.days} days are being refreshed and exported now. Ctrl-C stops everything.", flush=True)
            print(ui.wait_for_exports(arguments.days), flush=True)
        ui.wait(lambda: False, "", seconds=float("inf"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
