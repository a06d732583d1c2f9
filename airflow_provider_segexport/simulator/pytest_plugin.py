"""Fixtures for tests of DAGs that export: one line in a `conftest.py` brings them.

    pytest_plugins = ["airflow_provider_segexport.simulator.pytest_plugin"]

They are not loaded by themselves: a server in every test run of every project would be too much for one that is
installed and not tested.
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

AT_ONCE: Mapping[str, Mapping[str, object]] = {
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
"""Jobs are done when they are first looked at: a test has no time for them."""

SIGN_INS = itertools.count()


@pytest.fixture(scope="session")
def segexport_server() -> Iterator[Simulator]:
    """The simulator of all vendors on a free loopback port, for the whole session."""
    with Simulator(seed=1, settings=AT_ONCE) as server:
        yield server


@pytest.fixture
def segexport_simulator(segexport_server: Simulator) -> Simulator:
    """The simulator as it was at the start: empty accounts, and the same audiences each time."""
    segexport_server.reset()
    # The hook stores a renewed login by its first refresh token, and would use it in the next test, too.
    for _ in range(next(SIGN_INS)):
        segexport_server.act("constant_contact", "authorize", {"key": "main"})
    return segexport_server


@pytest.fixture
def sim(segexport_simulator: Simulator) -> Simulator:
    """The same, in short."""
    return segexport_simulator


@pytest.fixture
def segexport_connect(
    segexport_simulator: Simulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., str]:
    """Makes a connection to a simulated vendor: `segexport_connect("omnisend", "omnisend_eu", default_audience="VIP")`.

    Where no audience is named, the account's first is the default one. Ledgers and run folders go into the test's own
    folder, so that one test does not know what another has sent.
    """
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "segexport"))

    def connect(vendor: str, conn_id: str = "", **extra: object) -> str:
        vendors: Any = segexport_simulator.describe()["vendors"]
        description = vendors[vendor]
        made = connection(vendor, description, **{"default_audience": str(description["audiences"][0]["id"]), **extra})
        conn_id = conn_id or f"{vendor}_default"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(made))
        return conn_id

    return connect


@pytest.fixture
def segexport_connections(segexport_connect: Callable[..., str]) -> dict[str, str]:
    """A connection to each simulated vendor, `<vendor>_default`: their ids by vendor."""
    return {vendor: segexport_connect(vendor) for vendor in VENDORS}
