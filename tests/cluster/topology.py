"""The compose file's services as plain processes: its commands, its options and its scripts, on free loopback ports.

Only what a container would bring is replaced: hosts by ports, volumes by folders, PostgreSQL and Redis by those of this
machine, in which the cluster has a database of its own each.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cluster.servers import REPO, VENV, database, free_port, listens, redis

SERVICES = yaml.safe_load((REPO / "docker-compose.yaml").read_text())["services"]
BUCKET = "segexport"
WORKERS = ("worker-1", "worker-2")
PATIENCE_S = 240.0


def tell(url: str, body: Any = None, method: str = "", **headers: str) -> Any:
    """Send a JSON request to a server of the cluster; return its JSON response."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **headers}, method=method or None)
    with urllib.request.urlopen(request, timeout=60) as reply:
        content = reply.read()
    return json.loads(content) if content else None


@dataclass
class Cluster:
    """The processes and their configuration."""

    folder: Path
    number: str
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    redis: str = ""

    @property
    def database(self) -> str:
        return f"segexport_cluster_{self.number}"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def home(self, name: str) -> Path:
        """The private disk of a service, which no other service shares."""
        return self.folder / name

    def environment(self, name: str) -> dict[str, str]:
        """The service's environment in the compose file, with this machine's addresses."""
        home = self.home(name)
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        environment = {key: self.local_address(value) for key, value in SERVICES["scheduler"]["environment"].items()}
        return {
            "PATH": f"{VENV / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(REPO),
            "PYTHONWARNINGS": "ignore",
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "AIRFLOW_HOME": str(home),
            **environment,
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPO / "tests" / "cluster" / "dags"),
            "AIRFLOW__API__PORT": str(self.ports["api-server"]),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports["scheduler"]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(self.ports.get(name, free_port())),
            "AIRFLOW__TRIGGERER__DEFAULT_CAPACITY": "50",
            # Detect a dead worker within seconds instead of minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "3",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        }

    def local_address(self, text: str) -> str:
        """A value of the compose file, with this machine's addresses."""
        for service in ("api-server", "store", "simulator"):
            inner = {"api-server": 8080, "store": 9000, "simulator": 8100}[service]
            text = text.replace(f"http://{service}:{inner}", self.url(service))
        text = text.replace("redis://redis:6379/1", f"{self.redis}/{SPARE_DATABASES[1]}")
        text = text.replace("redis://redis:6379/0", f"{self.redis}/{SPARE_DATABASES[0]}")
        text = text.replace("airflow@postgres:5432/airflow", f"postgres@127.0.0.1:5432/{self.database}")
        return re.sub(r"(?<!\w)/keys(-postgres)?", lambda match: str(self.folder / match[0][1:]), text)

    def command(self, name: str) -> list[str]:
        """The service's command, as the compose file has it."""
        arguments = [self.local_address(word) for word in SERVICES[name]["command"]]
        arguments = [str(REPO / word) if word.startswith("compose/") else word for word in arguments]
        if name == "simulator":
            arguments = [word for word in arguments if not word.startswith(("--host", "--address", "--port"))]
            arguments += [f"--port={self.ports['simulator']}", "--log-body-bytes=0"]
        if name in WORKERS:
            arguments += ["--celery-hostname", f"{name}@%h", "--skip-serve-logs"]
        if name == "triggerer":
            arguments += ["--skip-serve-logs"]
        return arguments

    def start(self, name: str, command: list[str] | None = None) -> None:
        """Start a service in a process group of its own."""
        environment = self.environment(name)
        command = command or self.command(name)
        program = str(VENV / "bin" / command[0])
        with (self.home(name) / "output.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [program, *command[1:]],
                cwd=self.home(name),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def once(self, name: str) -> None:
        """Run a service that exits by itself."""
        self.start(name)
        code = self.processes.pop(name).wait(timeout=PATIENCE_S)
        if code:
            raise AssertionError(f"{name} ended with {code}:\n{self.output(name)}")

    def output(self, name: str) -> str:
        """The end of a service's output."""
        return (self.home(name) / "output.log").read_text(errors="replace")[-4000:]

    def kill(self, name: str) -> None:
        """Kill a service and all its child processes with SIGKILL."""
        process = self.processes.pop(name)
        for group in {process.pid, *groups_under(process.pid)}:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait()

    def wait_for(self, what: str, condition: Any, patience_s: float = PATIENCE_S) -> Any:
        """Check again until the condition holds; the error for a service that has ended quotes the end of its log."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise AssertionError(f"{name} ended with {process.returncode}:\n{self.output(name)}")
            with contextlib.suppress(OSError, ValueError, KeyError):
                if value := condition():
                    return value
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {patience_s:.0f} s")

    def api(self, path: str, body: Any = None, method: str = "") -> Any:
        """Call Airflow's REST API as admin."""
        if not getattr(self, "_token", ""):
            password = json.loads((self.keys / "passwords.json").read_text())["admin"]
            response = tell(f"{self.url('api-server')}/auth/token", {"username": "admin", "password": password})
            self._token = response["access_token"]
        headers = {"authorization": f"Bearer {self._token}"}
        return tell(f"{self.url('api-server')}/api/v2/{path}", body, method, **headers)

    def trigger(self, run_id: str, orders: list[dict[str, Any]]) -> None:
        """Start a run of the mapped exports."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": {"orders": orders}}
        self.api("dags/cluster_exports/dagRuns", body)

    def state(self, run_id: str) -> str:
        return str(self.api(f"dags/cluster_exports/dagRuns/{run_id}")["state"])

    def exports(self, run_id: str) -> list[dict[str, Any]]:
        """The mapped task instances of a run."""
        path = f"dags/cluster_exports/dagRuns/{run_id}/taskInstances?limit=100"
        return [instance for instance in self.api(path)["task_instances"] if instance["task_id"] == "export"]

    def finished(self, run_id: str, patience_s: float = PATIENCE_S) -> str:
        """Wait for the end of a run; returns its state."""
        ended = {"success", "failed"}
        return str(
            self.wait_for(run_id, lambda: (state := self.state(run_id)) in ended and state, patience_s=patience_s)
        )

    def logs(self, worker: str, run_id: str) -> list[Path]:
        """The logs of a run's exports that a worker holds on its own disk: it ran those tries."""
        return sorted(self.home(worker).glob(f"logs/dag_id=cluster_exports/run_id={run_id}/task_id=export/**/*.log"))

    def sim(self, path: str, body: Any = None) -> Any:
        """The simulator's control API."""
        return tell(f"{self.url('simulator')}/_sim{path}", body)


SPARE_DATABASES = (13, 14)
"""Databases of this machine's Redis: for the broker and for the quotas."""


def groups_under(pid: int) -> set[int]:
    """The process groups of all that a process has started: Airflow's tasks have sessions of their own."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,pgid="], capture_output=True, text=True, check=True).stdout
    lines = [tuple(map(int, line.split())) for line in listed.splitlines()]
    groups, descendants = set(), {pid}
    for _ in range(6):  # no process of Airflow is nested deeper
        for child, parent, group in lines:
            if parent in descendants and child not in descendants:
                descendants.add(child)
                groups.add(group)
    return groups - {os.getpgrp()}


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Start the cluster; stop it and remove its files at the end of the block."""
    cluster = Cluster(folder, str(os.getpid()), redis="redis://127.0.0.1:6379")
    busy = [number for number in SPARE_DATABASES if redis(str(number), "DBSIZE") != "0"]
    if busy:
        raise AssertionError(f"Redis databases {busy} hold something: they are not ours to empty.")
    cluster.ports = {name: free_port() for name in ("api-server", "scheduler", "store", "simulator", *WORKERS)}
    database(f"CREATE DATABASE {cluster.database}")
    try:
        cluster.once("keys")
        cluster.start("store", ["moto_server", "-H", "127.0.0.1", "-p", str(cluster.ports["store"])])
        cluster.start("simulator")
        cluster.wait_for("store", lambda: listens(("127.0.0.1", cluster.ports["store"])))
        cluster.wait_for("simulator", lambda: cluster.sim(""))
        cluster.once("first-start")
        for name in ("api-server", "scheduler", "dag-processor", "triggerer", *WORKERS):
            cluster.start(name)
        cluster.wait_for("API server", lambda: cluster.api("monitor/health"))
        cluster.wait_for("DAG", lambda: cluster.api("dags/cluster_exports")["is_paused"] is False)
        yield cluster
    finally:
        for name in list(cluster.processes):
            cluster.kill(name)
        database(f"DROP DATABASE IF EXISTS {cluster.database} WITH (FORCE)")
        for number in SPARE_DATABASES:
            redis(str(number), "FLUSHDB")


def python(cluster: Cluster, code: str, *arguments: str) -> subprocess.Popen[str]:
    """A script in the cluster's environment, as one of its machines would run it."""
    return subprocess.Popen(
        [VENV / "bin" / "python", "-c", code, *arguments],
        env=cluster.environment("script"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    """The output of a script, when it has ended well."""
    out, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode:
        raise AssertionError(err[-4000:])
    return out
