"""Fixtures with Airflow. Core tests do not request them, so they run without Airflow."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest
from airflow_home import HOME
from hypothesis import settings
from memory_folder import remove_folders
from slow_tests import left_out, not_fast

pytest.register_assert_rewrite(
    "airflow_fixtures", "airflow_person", "airflow_refusals", "airflow_run_lists", "airflow_worker", "core", "vendors"
)

# `make test` gives the same result each time; `make test-all` tries other examples in each run.
settings.register_profile("repeatable", derandomize=True, database=None)
settings.register_profile("exploring", print_blob=True)
settings.load_profile("exploring" if os.environ.get("SEGEXPORT_ALL_TESTS") else "repeatable")

gc.disable()  # while modules are imported: Airflow's classes are never garbage


def pytest_collection_finish() -> None:
    """Let no later collection of garbage go through the tests' modules and Airflow, which takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(10_000)  # 700 by default; halves the time of the collections, 5 % of a test's
    gc.callbacks.append(note_full_collection)


FULL_COLLECTIONS: list[int] = []
"""Numbers of the objects that each full collection since the last freeze has removed."""


def note_full_collection(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        FULL_COLLECTIONS.append(info["collected"])


def pytest_runtest_logfinish() -> None:
    """Let no later collection go through what tests have imported: a full one takes 0.3 s, and most objects survive it.

    Between two tests, because `gc.get_referrers`, which Hypothesis calls, does not see frozen objects.
    """
    if FULL_COLLECTIONS:
        FULL_COLLECTIONS.clear()
        gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless a test is named or all are asked for."""
    if os.environ.get("SEGEXPORT_ALL_TESTS") or any("::" in argument for argument in config.args):
        return
    names = [item.nodeid for item in items]
    slow = set(left_out(names))
    if os.environ.get("SEGEXPORT_FAST_TESTS"):
        slow |= set(not_fast(names))
    if slow:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in slow])
        items[:] = [item for item in items if item.nodeid not in slow]


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)
    remove_folders()
    if note_full_collection in gc.callbacks:
        gc.callbacks.remove(note_full_collection)
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def light_start():
    """Replace disk syncs by nothing, because waiting for the disk would dominate the tests' time.

    Tests of power loss observe the syncs themselves. `make test-all` runs with real syncs.
    """
    if os.environ.get("SEGEXPORT_ALL_TESTS"):
        yield
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


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
    """Remove Airflow's stored logins: every test's accounts begin with the same refresh tokens."""
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
