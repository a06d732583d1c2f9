"""One simulator for all tests, reset for every test, and accounts at all vendors or at those with named audiences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from message_guard import messages
from vendors.constant_contact import Lists
from vendors.harness import VendorHarness
from vendors.spec_checks import published

from airflow_provider_segexport.simulator import ManualClock, Simulator
from airflow_provider_segexport.vendors.registry import VENDORS

__all__ = ["messages", "published"]


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(clock=ManualClock(), seed=1) as running:
        yield running


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    clock = ManualClock()
    simulator.context.clock = clock
    simulator.reset(seed=1, latency=0.0, log_body_bytes=10_000_000)
    return simulator


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def account(sim: Simulator, vendor: str, tmp_path: Path) -> VendorHarness:
    return VendorHarness(sim, vendor, tmp_path)


@pytest.fixture
def lists(sim: Simulator, tmp_path: Path) -> Lists:
    """An account at Constant Contact."""
    return Lists(sim, tmp_path)


@pytest.fixture
def dotdigital(sim: Simulator, tmp_path: Path) -> VendorHarness:
    return VendorHarness(sim, "dotdigital", tmp_path)


@pytest.fixture
def omnisend(sim: Simulator, tmp_path: Path) -> VendorHarness:
    return VendorHarness(sim, "omnisend", tmp_path)
