"""Airflow for the tests that ask for it. Core tests never do: they run without it, and do not wait for it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from airflow_home import HOME

pytest.register_assert_rewrite("airflow_fixtures", "airflow_worker")

SLOW_TESTS = (
    r"bench/test_bench\.py::test_a_round_brings_every_figure",
    r"docs/test_simulator_in_ci\.py::test_(a_dag_is_tested_at_every_vendor|no_test_sees)",
    r"airflow/test_kills\.py::test_killed_between_calls_the_next_try_sends_the_rest\[after\]",
    r"airflow/test_person_in_s3\.py::test_a_person_is_in_no_object_afterwards\[(?!dotdigital)",
    r"airflow/test_person_in_s3\.py::test_the_ledger_that_is_left",
    r"airflow/test_person\.py::test_an_erased_person_who_returns_is_put_in_again\[(?!dotdigital)",
    r"airflow/test_canary\.py::test_a_run_at_debug\[(?!omnisend)",
    r"airflow/test_canary\.py::test_a_run_that_succeeds\[(?!constant_contact)",
    r"vendors/test_damaged_state\.py::test_a_damaged_file_gives_our_own_error\w*\[(?!replaced)",
)
"""Tests of several seconds whose kind another test shows, too: `make test-all` runs them, `make test` does not."""
SLOW = re.compile("|".join(SLOW_TESTS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless a test is named or all are asked for."""
    if os.environ.get("SEGEXPORT_ALL_TESTS") or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if SLOW.search(item.nodeid)]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not SLOW.search(item.nodeid)]


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
    from airflow_fixtures import simulator  # noqa: PLC0415 - brings Airflow

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
    from airflow_fixtures import Stage  # noqa: PLC0415

    from airflow_provider_segexport.hooks.base import SegmentExportHook  # noqa: PLC0415

    forget_sign_ins()
    clock = running_simulator.clock
    running_simulator.reset(seed=1)
    monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(clock.advance))
    monkeypatch.setattr(SegmentExportHook, "clock", staticmethod(clock.now))
    monkeypatch.setattr(SegmentExportHook, "machine", staticmethod(lambda: None))
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(tmp_path / "state"))
    return Stage(running_simulator, tmp_path, monkeypatch.setenv)
