"""The Airflow environment of the tests: set before anything can import Airflow, used only by tests that ask for it.

Every process (each xdist worker too) gets an `AIRFLOW_HOME` of its own, which is removed at the end. The metadata
database is made when the first test asks for `airflow_db`; core tests never do, and never import Airflow.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="segexport-tests-"))
BUNDLE = "tests"
"""The bundle that DAGs of tests belong to. Its folder is empty until a test writes a DAG file there."""


def bundle(name: str, folder: Path) -> dict[str, object]:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return {"name": name, "classpath": local, "kwargs": {"path": str(folder)}}


os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(REPO / "dags"),
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(
        [bundle(BUNDLE, HOME / "dags"), bundle("dags-folder", REPO / "dags")]
    ),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    SEGEXPORT_DEMO_ROOT=str(HOME / "data"),
)
(HOME / "dags").mkdir()


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
