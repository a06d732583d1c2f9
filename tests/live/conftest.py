"""A running Airflow for the tests that ask for one: `make test-backfill`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def live():
    """Airflow and the simulator as processes; where a test has failed, their logs are kept and named."""
    if not os.environ.get("SEGEXPORT_LIVE"):
        pytest.skip("minutes long, with Airflow's processes: make test-backfill")
    from airflow_live import running  # noqa: PLC0415 - only who asks for Airflow pays

    home = Path(tempfile.mkdtemp(prefix="segexport-live-"))
    with running(home) as live_airflow:
        yield live_airflow
    if os.environ["SEGEXPORT_LIVE"] != "keep":
        shutil.rmtree(home, ignore_errors=True)
