"""Airflow for the tests that ask for it. Core tests never do: they run without it, and do not wait for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from airflow_home import HOME

pytest.register_assert_rewrite("airflow_stage", "airflow_worker")


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_db() -> Path:
    """Airflow's metadata database, made once a session; returns `AIRFLOW_HOME`."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: PLC0415 - only who asks for Airflow pays
    from airflow.utils.db import initdb  # noqa: PLC0415

    initdb()
    DagBundlesManager().sync_bundles_to_db()
    return HOME


@pytest.fixture(scope="session")
def running_simulator():
    from airflow_stage import simulator  # noqa: PLC0415 - brings Airflow

    with simulator() as running:
        yield running


def forget_sign_ins() -> None:
    """Remove what Airflow keeps of renewed sign-ins: every test's accounts begin with the same refresh tokens."""
    from airflow.models.variable import Variable  # noqa: PLC0415
    from airflow.utils.session import create_session  # noqa: PLC0415

    with create_session() as session:
        ours = Variable.key.startswith("segexport_token_", autoescape=True)
        session.query(Variable).filter(ours).delete(synchronize_session=False)


@pytest.fixture
def stage(airflow_db, running_simulator, monkeypatch, tmp_path):
    """Airflow, and the simulated vendors as on their first day, on a clock that only the hooks' sleeping moves."""
    from airflow_stage import Stage  # noqa: PLC0415

    from airflow_provider_segexport.hooks.base import SegmentExportHook  # noqa: PLC0415

    forget_sign_ins()
    clock = running_simulator.clock
    running_simulator.reset(seed=1)
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(clock.advance))
    monkeypatch.setattr(SegmentExportHook, "clock", staticmethod(clock.now))
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__ROOT", str(tmp_path / "state"))
    return Stage(running_simulator, tmp_path, monkeypatch.setenv)
