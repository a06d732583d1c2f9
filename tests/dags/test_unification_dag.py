"""The DAG ``unification_refresh`` in real Airflow, in a process and an AIRFLOW_HOME of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow_home import IS_3_2

DAGS = Path(__file__).parents[2] / "dags"
SEGMENTS = ["high_value", "lapsed", "newsletter_active"]

# Two days of the example, then the same facts that a reader of the segments would look for.
REFRESH = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from airflow.utils.db import initdb
initdb()
from airflow.dag_processing.dagbag import BundleDagBag
dags = Path(sys.argv[1])
bag = BundleDagBag(dag_folder=dags, bundle_path=dags, bundle_name="dags-folder")
dag = bag.dags["unification_refresh"]
runs = [dag.test(run_conf={"profiles": 300, "day": day}) for day in ("2026-11-21", "2026-11-22")]
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from sqlalchemy import select
with create_session() as session:
    events = [
        {"asset": event.asset.name, "run": event.source_run_id, "partition": event.partition_key, "extra": event.extra}
        for event in session.scalars(select(AssetEvent).order_by(AssetEvent.id))
    ]
report = {
    "import_errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "runs": [{"id": run.run_id, "state": run.state} for run in runs],
    "tasks": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks},
    "events": events,
}
Path(sys.argv[2]).write_text(json.dumps(report))
"""

PARSE = """
import socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
import airflow.sdk
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import unification_refresh
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new & {"pandas", "numpy", "pyarrow", "duckdb", "requests", "email_validator"}))
"""


@dataclass(frozen=True)
class AirflowHome:
    """A fresh AIRFLOW_HOME, and what runs in it."""

    path: Path

    def run(self, script: str, *arguments: object) -> str:
        airflow = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        environment = airflow | {
            "AIRFLOW_HOME": str(self.path),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.path}/airflow.db",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "SEGEXPORT_DEMO_ROOT": str(self.path / "data"),
        }
        command = [sys.executable, "-c", script, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=170, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory) -> AirflowHome:
    return AirflowHome(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(scope="module")
def refreshed(airflow_home) -> dict[str, Any]:
    report = airflow_home.path / "report.json"
    airflow_home.run(REFRESH, DAGS, report)
    return json.loads(report.read_text())


def test_parsing_imports_nothing_heavy_and_asks_no_network(airflow_home):
    """The file costs the DAG processor little more than Airflow itself."""
    assert airflow_home.run(PARSE, DAGS).strip().splitlines()[-1] == "[]"


@pytest.mark.airflow
def test_the_dag_is_found_and_the_package_beside_it_is_not_taken_for_dags(refreshed):
    """Airflow loads the file without errors, and passes over the folder of plain modules."""
    assert refreshed["import_errors"] == {}
    assert "unification_refresh" in refreshed["dags"]


@pytest.mark.airflow
def test_each_segment_is_a_task_with_its_asset(refreshed):
    """One task a segment, which has just that segment's asset as its outlet."""
    outlets = {task: assets for task, assets in refreshed["tasks"].items() if assets}
    assert outlets == {f"segment_{name}": [f"segment_{name}"] for name in SEGMENTS}


@pytest.mark.airflow
def test_runs_succeed(refreshed):
    """Two runs, one after the other, for two days: both succeed."""
    assert [run["state"] for run in refreshed["runs"]] == ["success", "success"]


@pytest.mark.airflow
def test_each_segment_is_announced_with_what_its_readers_need(refreshed, airflow_home):
    """The event has rows, folder, day and as_of, carries the day as its partition, and is correct."""
    events = [event for event in refreshed["events"] if event["run"] == refreshed["runs"][-1]["id"]]
    assert sorted(event["asset"] for event in events) == [f"segment_{name}" for name in SEGMENTS]
    for event in events:
        folder = airflow_home.path / "data" / "segments" / event["asset"].removeprefix("segment_") / "2026-11-22"
        assert event["partition"] == (None if IS_3_2 else "2026-11-22")  # 3.2 has partitions of partitioned runs only
        assert event["extra"] == {
            "rows": pq.read_metadata(folder / "part-0.parquet").num_rows,
            "path": str(folder),
            "day": "2026-11-22",
            "as_of": "2026-11-22T00:00:00+00:00",
        }


@pytest.mark.airflow
def test_another_day_leaves_the_first_as_it_was(refreshed, airflow_home):
    """Each day has a folder of its own in every place."""
    data = airflow_home.path / "data"
    for folder in ("extracts", "profiles", *(f"segments/{name}" for name in SEGMENTS)):
        assert sorted(day.name for day in (data / folder).iterdir()) == ["2026-11-21", "2026-11-22"]
