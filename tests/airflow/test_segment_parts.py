"""Several segments of one export by `hook.export`: a guard compares each with the same one of the run before."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import get_hook

pytestmark = pytest.mark.airflow

START = datetime(2026, 1, 1, tzinfo=UTC)


def mapped(stage, conn_id, counts, *, files):
    """Run a DAG with one task instance for each number of profiles."""
    with DAG("mapped_parts", schedule=None, start_date=START) as dag:

        @task(task_id="export")
        def export(part, count):
            rows = people(count, start=1000 * part)
            return get_hook(conn_id).export(stage.segment(rows, f"part{part}") if files else rows, FIELD_MAPPING)["run"]

        export.expand_kwargs([{"part": part, "count": count} for part, count in enumerate(counts)])
    return stage.run(dag)


@pytest.mark.parametrize("files", [True, False])
def test_map_indexes_of_different_sizes_are_no_shrinking(stage, files):
    """Each day the same, so no guard trips; on the third day one segment has lost nearly all of its rows."""
    conn_id = stage.connection("campaign_monitor")
    for _ in range(2):
        assert "success" == mapped(stage, conn_id, [60, 6], files=files).state
    run = mapped(stage, conn_id, [7, 6], files=files)
    assert "failed" == run.state
    assert "The segment has 7 rows, and the last one that was exported had 60" in run.error


def test_calls_of_one_task_are_segments_of_their_own(stage):
    """Also the first one, which has the name that it had when it was the only one."""
    conn_id = stage.connection("campaign_monitor")
    counts = [60, 6]
    with DAG("two_calls", schedule=None, start_date=START) as dag:

        @task(task_id="export")
        def export():
            for number, count in enumerate(counts):
                get_hook(conn_id).export(people(count, start=1000 * number), FIELD_MAPPING)

        export()
    for run_id in ("one", "two"):
        assert "success" == stage.begin(dag, run_id=run_id).go(dag)
    counts[0] = 7
    run = stage.begin(dag, run_id="three")
    assert "failed" == run.go(dag)
    assert "The segment has 7 rows, and the last one that was exported had 60" in run.error
