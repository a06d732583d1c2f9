"""Runs Airflow on loopback with the simulator; API server, scheduler, DAG processor and triggerer are processes.

Each process starts in its own session and is stopped with its process group, including forked children.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from airflow_home import REPO, bundle

DAGS = Path(__file__).parent / "live" / "dags"
BUNDLES = [bundle("live", DAGS), bundle("examples", REPO / "dags")]
PARTS = ("api-server", "dag-processor", "scheduler", "triggerer")
UNFINISHED = {"queued", "running"}
WAIT_S = 240.0
LOOK_S = 0.5

CONSENT = {"privacy_consent": True, "consented_by": "Ann Administrator", "allowed_dags": "*"}


def wait_for(look: Callable[[], Any], what: str, seconds: float = WAIT_S) -> Any:
    """Call `look` until it returns a true value, and return that value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if result := look():
            return result
        time.sleep(LOOK_S)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@dataclass
class Sim:
    """The simulator's control API."""

    url: str

    def get(self, path: str) -> Any:
        return requests.get(f"{self.url}/_sim{path}", timeout=30).json()

    def post(self, path: str, body: Any) -> None:
        requests.post(f"{self.url}/_sim{path}", json=body, timeout=30).raise_for_status()

    def audience(self, vendor: str, number: int) -> str:
        return str(self.get("")["vendors"][vendor]["audiences"][number]["id"])

    def members(self, vendor: str, number: int) -> dict[str, dict[str, Any]]:
        """Members of an audience, by email."""
        audience = self.get(f"/{vendor}/audiences/{self.audience(vendor, number)}")
        return {person["email"]: person for person in audience["members"]}

    def calls(self, vendor: str, ending: str) -> list[dict[str, Any]]:
        """The calls whose path has this ending, in order."""
        log = self.get(f"/requests?vendor={vendor}")
        return [call for call in log["requests"] if call["path"].endswith(ending) and call["method"] in {"PUT", "POST"}]


@dataclass
class Live:
    """A running Airflow, and the actions of a test on it."""

    home: Path
    env: dict[str, str]
    port: int
    sim: Sim
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    token: str = ""

    def start(self, part: str) -> None:
        """Start one of Airflow's processes."""
        with (self.home / f"{part}.log").open("ab") as log:
            self.running[part] = subprocess.Popen(
                [sys.executable, "-m", "airflow", part], env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Stop a part and all its child processes."""
        process = self.running.pop(part)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        process.wait(timeout=30)

    def command(self, *arguments: str) -> str:
        """Run `airflow ...` and return its output."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments], env=self.env, capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    def api(self, method: str, path: str, **body: Any) -> Any:
        """Call the REST API."""
        answer = requests.request(
            method,
            f"http://127.0.0.1:{self.port}/api/v2{path}",
            json=body or None,
            headers={"authorization": f"Bearer {self.token}"},
            timeout=60,
        )
        answer.raise_for_status()
        return answer.json()

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """The DAG's runs, oldest first."""
        return list(self.api("GET", f"/dags/{dag_id}/dagRuns?order_by=id&limit=100")["dag_runs"])

    def task(self, dag_id: str, run_id: str, task_id: str = "export") -> dict[str, Any]:
        instance: dict[str, Any] = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")
        return instance

    def states(self, dag_id: str) -> dict[str, str]:
        """The state of the export in each run, by partition."""
        runs = self.runs(dag_id)
        return {run["partition_key"]: self.task(dag_id, run["dag_run_id"])["state"] for run in runs}

    def log(self, dag_id: str, run_id: str, task_id: str = "export") -> str:
        """The complete log of the task."""
        logs = (self.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}").glob("*.log")
        return "".join(path.read_text() for path in sorted(logs))

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run and return its id. The examples are paused, so only runs that a test starts are executed."""
        self.api("PATCH", f"/dags/{dag_id}", is_paused=False)
        return str(self.api("POST", f"/dags/{dag_id}/dagRuns", logical_date=None, conf=conf)["dag_run_id"])

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task under Required Actions, as a person does."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self.api("PATCH", path, chosen_options=[option], params_input={})

    def wait_for_runs(self, dag_id: str, count: int) -> None:
        """Wait until a DAG has `count` runs."""
        wait_for(lambda: len(self.runs(dag_id)) >= count, f"{count} runs of {dag_id}")

    def finished(self, dag_id: str, count: int) -> None:
        """Wait until `count` runs of a DAG have ended."""

        def look() -> bool:
            runs = self.runs(dag_id)
            return len(runs) >= count and not UNFINISHED & {run["state"] for run in runs}

        wait_for(look, f"{count} ended runs of {dag_id}")

    def ended(self, dag_id: str, count: int) -> dict[str, str]:
        """Wait until `count` exports have ended; return their states, by partition."""
        self.finished(dag_id, count)
        return self.states(dag_id)

    def is_ready(self) -> bool:
        """Whether all of Airflow is healthy and knows the DAGs."""
        with contextlib.suppress(requests.RequestException, KeyError):
            if not self.token:
                url = f"http://127.0.0.1:{self.port}/auth/token"
                self.token = requests.get(url, timeout=5).json()["access_token"]
            health = requests.get(f"http://127.0.0.1:{self.port}/api/v2/monitor/health", timeout=5).json()
            parts = ("scheduler", "dag_processor", "triggerer")
            good = all(health[part]["status"] == "healthy" for part in parts)
            dag_ids = {dag["dag_id"] for dag in self.api("GET", "/dags?limit=100")["dags"]}
            return good and {"refresh_forward", "export_deferred", "segment_export_with_approval"} <= dag_ids
        return False


def environment(home: Path, port: int, sim: Sim) -> dict[str, str]:
    """Airflow's configuration: SQLite, few processes, loopback only; and a connection to each vendor that tests use."""
    url = f"http://127.0.0.1:{port}"
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env |= {
        "PYTHONPATH": str(REPO),
        "PYTHONWARNINGS": "ignore",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(BUNDLES),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
        "AIRFLOW__SEGEXPORT__STATE_PATH": str(home / "state"),
        "LIVE_DATA": str(home / "data"),
        "SEGEXPORT_DEMO_ROOT": str(home / "data"),
    }
    for vendor, fields in {"dotdigital": ("username", "password"), "campaign_monitor": (None, "api_key")}.items():
        described = sim.get("")["vendors"][vendor]
        login, password = (described["credentials"][name] if name else None for name in fields)
        connection = {
            "conn_type": vendor,
            "host": described["base_url"],
            "port": 443,
            "login": login,
            "password": password,
        }
        env[f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT"] = json.dumps({**connection, "extra": CONSENT})
        for number, audience in enumerate(described["audiences"]):
            env[f"AIRFLOW_VAR_{vendor.upper()}_{number}"] = str(audience["id"])
    return env


@contextlib.contextmanager
def running(home: Path) -> Iterator[Live]:
    """Start Airflow and the simulator; stop them at the end of the block."""
    module = "airflow_provider_segexport.simulator"
    simulator = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", "--seed", "1"],
        cwd=REPO,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    live = None
    try:
        assert simulator.stdout
        sim = Sim(simulator.stdout.readline().split("ready on ")[1].strip())
        port = free_port()
        live = Live(home, environment(home, port, sim), port, sim)
        live.command("db", "migrate")
        for part in PARTS:
            live.start(part)
        wait_for(live.is_ready, "Airflow")
        yield live
    finally:
        for part in list(live.running if live else ()):
            live.kill(part)
        os.killpg(simulator.pid, signal.SIGKILL)
        simulator.wait(timeout=30)
        if simulator.stdout:
            simulator.stdout.close()
