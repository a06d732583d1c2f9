"""Pytest fixtures for testing exports against the simulator.

To load them, add this line to `conftest.py`:

    pytest_plugins = ["airflow_provider_segexport.simulator.pytest_plugin"]

The plugin has no pytest entry point, so it is not loaded in projects that only have the provider installed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from .connections import connection
from .registry import VENDORS
from .server import Simulator

INSTANT_JOBS: Mapping[str, Mapping[str, object]] = {
    "constant_contact": {"start_seconds": 0, "job_seconds": 0, "calls_per_second": None},
    "dotdigital": {"job_seconds": 0, "rate_scheme": "off"},
    "omnisend": {
        "start_seconds": 0,
        "job_seconds": 0,
        "job_seconds_per_row": 0,
        "tag_seconds": 0,
        "segment_seconds": 0,
    },
}
"""Settings with which jobs are finished at their first poll, so that tests do not wait."""

_RESETS = itertools.count()


@pytest.fixture(scope="session")
def segexport_server() -> Iterator[Simulator]:
    """Run the simulator on a free loopback port for the test session."""
    with Simulator(seed=1, settings=INSTANT_JOBS) as server:
        yield server


@pytest.fixture
def segexport_simulator(segexport_server: Simulator) -> Simulator:
    """Return the simulator after a reset: accounts without contacts, and the same audiences in every test."""
    segexport_server.reset()
    # A reset restores the same first refresh token, under which the hook has stored the tokens of the previous test.
    # The additional logins give each test a different first token.
    for _ in range(next(_RESETS)):
        segexport_server.act("constant_contact", "authorize", {"key": "main"})
    return segexport_server


@pytest.fixture
def sim(segexport_simulator: Simulator) -> Simulator:
    """Return `segexport_simulator`: a short name for it."""
    return segexport_simulator


@pytest.fixture
def segexport_connect(
    segexport_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    """Return a function that creates a connection and returns its id.

    `segexport_connect("omnisend", "omnisend_eu", default_audience="VIP")` takes the vendor, the connection id (default
    `<vendor>_default`) and fields of the connection's extra. `default_audience` defaults to the account's first
    audience. Ledgers and run folders are written to the test's `tmp_path`, so tests do not share state.

    Args:
        segexport_simulator: the simulator to connect to.
        monkeypatch: removes the connections and the state path after the test.
        tmp_path: folder of the test.
    """
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "segexport"))

    def connect(vendor: str, conn_id: str = "", **extra: object) -> str:
        vendors: Any = segexport_simulator.describe()["vendors"]
        description = vendors[vendor]
        options = {"default_audience": str(description["audiences"][0]["id"]), **extra}
        conn_id = conn_id or f"{vendor}_default"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection(vendor, description, **options)))
        return conn_id

    return connect


@pytest.fixture
def segexport_connections(segexport_connect: Callable[..., str]) -> dict[str, str]:
    """Create a connection `<vendor>_default` to each vendor, and return the connection ids by vendor."""
    return {vendor: segexport_connect(vendor) for vendor in VENDORS}
