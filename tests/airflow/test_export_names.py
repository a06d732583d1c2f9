"""The default name of an export: no two tasks have the same."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, TaskGroup
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks.callers import default_export_name
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow


def test_tasks_whose_ids_join_to_one_text_do_not_mirror_over_each_other(stage):
    """Task `export` of DAG `news.daily` owns the audience; task `daily.export` of DAG `news` is refused."""
    conn_id = stage.connection("campaign_monitor")
    options = {"conn_id": conn_id, "field_mapping": FIELD_MAPPING, "mode": "mirror", "guards": {"max_shrink": None}}
    with DAG("news.daily", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dotted:
        SegmentExportOperator(task_id="export", segment=stage.segment(people(3), "one"), **options)
    with (
        DAG("news", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as grouped,
        TaskGroup("daily"),
    ):
        SegmentExportOperator(task_id="export", segment=stage.segment(people(3, start=100), "two"), **options)
    assert "success" == stage.run(dotted).state
    run = stage.run(grouped)
    assert "failed" == run.state
    assert "news.daily/export" in run.error
    assert {f"person{n}@example.com" for n in range(3)} == set(stage.members("campaign_monitor"))


@pytest.mark.parametrize(
    ("dag_id", "task_id", "name"),
    [
        ("news", "export", "news.export"),
        ("news", "daily.export", "news.daily.export"),
        ("news.daily", "export", "news.daily/export"),
        ("news.daily", "eu.export", "news.daily/eu.export"),
        ("news.daily.eu", "export", "news.daily.eu/export"),
    ],
)
def test_a_dag_with_a_dot_in_its_id_is_separated_by_a_slash(dag_id, task_id, name):
    """No id has a slash, so a name belongs to one DAG and one task."""
    assert name == default_export_name(dag_id, task_id)
