"""One simulator for all schedules, reset for each schedule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chaos.fork_server import ForkServer
from chaos.story import Story

from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.vendors.registry import VENDORS


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(clock=ManualClock(), seed=1) as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    simulator.context.clock = ManualClock()
    simulator.reset(seed=1, latency=0.0, log_body_bytes=50_000_000)
    return simulator


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """A process that forks children; started when a test requests it."""
    with ForkServer() as running:
        yield running


@pytest.fixture
def story(sim, tmp_path):
    return Story(sim, "campaign_monitor", tmp_path)
