"""The Airflow environment of this test process, set before anything can import Airflow."""

from __future__ import annotations

import json
import os
import tempfile
from importlib import metadata
from pathlib import Path

from memory_folder import use_memory

use_memory()

IS_3_2 = metadata.version("apache-airflow-core").startswith("3.2.")
"""Whether this is Airflow 3.2, the oldest supported version, which lacks features that some tests need."""

REPO = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="segexport-tests-"))
"""`AIRFLOW_HOME`, one for each process (each xdist worker has its own); removed at the end."""
BUNDLE = "tests"
"""The bundle of DAGs without a file, separate from `FILES` because `dag.test()` loads a DAG's entire bundle again."""
FILES = "files"
"""The bundle of DAGs that a test writes to a file, for a task in a separate process."""


def bundle(name: str, folder: Path) -> dict[str, object]:
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return {"name": name, "classpath": local, "kwargs": {"path": str(folder)}}


BUNDLES = [bundle(BUNDLE, HOME / BUNDLE), bundle(FILES, HOME / FILES), bundle("dags-folder", REPO / "dags")]

os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(REPO / "dags"),
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(BUNDLES),
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{HOME}/airflow.db",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    AIRFLOW__LOGGING__LOGGING_LEVEL="INFO",
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL="1",  # how often the supervisor checks its task
    SEGEXPORT_DEMO_ROOT=str(HOME / "data"),
)
(HOME / BUNDLE).mkdir()
(HOME / FILES).mkdir()
