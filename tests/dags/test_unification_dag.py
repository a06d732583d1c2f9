"""The DAG ``unification_refresh`` in real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from airflow_home import IS_3_2

pytestmark = pytest.mark.airflow

DAGS = Path(__file__).parents[2] / "dags"
SEGMENTS = ["high_value", "lapsed", "newsletter_active"]
DAYS = ["2026-11-21", "2026-11-22"]


@pytest.fixture(scope="module")
def refreshed(airflow_db, tmp_path_factory) -> dict[str, Any]:
    """Two days of the example, and the facts that a reader of the segments would look for."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SEGEXPORT_DEMO_ROOT", str(root))
        bag = BundleDagBag(dag_folder=DAGS, bundle_path=DAGS, bundle_name="dags-folder")
        dag = bag.dags["unification_refresh"]
        runs = [dag.test(run_conf={"profiles": 300, "day": day}) for day in DAYS]
    with create_session() as session:
        events = [
            {"asset": event.asset.name, "partition": event.partition_key, "extra": event.extra}
            for event in session.query(AssetEvent).filter_by(source_run_id=runs[-1].run_id).order_by(AssetEvent.id)
        ]
    return {
        "root": root,
        "import_errors": bag.import_errors,
        "dags": set(bag.dags),
        "states": [run.state for run in runs],
        "tasks": {task.task_id: [asset.name for asset in task.outlets] for task in dag.tasks},
        "events": events,
    }


def test_the_dag_is_found_and_the_package_beside_it_is_not_taken_for_dags(refreshed):
    """Airflow loads the file without errors, and passes over the folder of plain modules."""
    assert refreshed["import_errors"] == {}
    assert "unification_refresh" in refreshed["dags"]


def test_each_segment_is_a_task_with_its_asset(refreshed):
    """One task a segment, which has just that segment's asset as its outlet."""
    outlets = {task: assets for task, assets in refreshed["tasks"].items() if assets}
    assert outlets == {f"segment_{name}": [f"segment_{name}"] for name in SEGMENTS}


def test_runs_succeed(refreshed):
    """Two runs, one after the other, for two days: both succeed."""
    assert refreshed["states"] == ["success", "success"]


def test_each_segment_is_announced_with_what_its_readers_need(refreshed):
    """The event has rows, folder, day and as_of, carries the day as its partition, and is correct."""
    events = refreshed["events"]
    assert sorted(event["asset"] for event in events) == [f"segment_{name}" for name in SEGMENTS]
    for event in events:
        folder = refreshed["root"] / "segments" / event["asset"].removeprefix("segment_") / "2026-11-22"
        assert event["partition"] == (None if IS_3_2 else "2026-11-22")  # 3.2 has partitions of partitioned runs only
        assert event["extra"] == {
            "rows": pq.read_metadata(folder / "part-0.parquet").num_rows,
            "path": str(folder),
            "day": "2026-11-22",
            "as_of": "2026-11-22T00:00:00+00:00",
        }


def test_another_day_leaves_the_first_as_it_was(refreshed):
    """Each day has a folder of its own in every place."""
    data = refreshed["root"]
    for folder in ("extracts", "profiles", *(f"segments/{name}" for name in SEGMENTS)):
        assert sorted(day.name for day in (data / folder).iterdir()) == ["2026-11-21", "2026-11-22"]
