"""PostgreSQL and Redis of this machine, in which the cluster has a database of its own each."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("SEGEXPORT_CLUSTER_VENV", REPO / ".cluster" / "venv"))
POSTGRES, REDIS = ("127.0.0.1", 5432), ("127.0.0.1", 6379)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def listens(address: tuple[str, int]) -> bool:
    """Return whether a server listens at an address."""
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True


def missing() -> str:
    """Return why the cluster cannot run on this machine; empty if it can."""
    if not os.environ.get("SEGEXPORT_CLUSTER"):
        return "run by `make test-cluster`: it takes five minutes, and databases of its own"
    if not (VENV / "bin" / "airflow").exists():
        return "the cluster's environment is made by `make test-cluster`"
    for name, address in (("PostgreSQL", POSTGRES), ("Redis", REDIS)):
        if not listens(address):
            return f"no {name} listens on {address[0]}:{address[1]}"
    return ""


def database(sql: str) -> None:
    """Run a statement as the superuser of this machine's PostgreSQL."""
    script = (
        "import sys, psycopg2\n"
        "held = psycopg2.connect(host='127.0.0.1', user='postgres', dbname='postgres')\n"
        "held.autocommit = True\n"
        "held.cursor().execute(sys.argv[1])\n"
    )
    subprocess.run([VENV / "bin" / "python", "-c", script, sql], check=True, capture_output=True)


def redis(*arguments: str) -> str:
    """Run a command on this machine's Redis."""
    script = "import sys, redis\nheld = redis.Redis(db=int(sys.argv[1]))\nprint(held.execute_command(*sys.argv[2:]))\n"
    done = subprocess.run(
        [VENV / "bin" / "python", "-c", script, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
