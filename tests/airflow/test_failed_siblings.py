"""A mapped task exports several segments to one audience: one that fails is announced, although another succeeds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow_fixtures import FIELD_MAPPING

from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.notifications.state_changes import changes
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.storage.announcements import Announcements

pytestmark = pytest.mark.airflow


def export(stage, conn_id, segments):
    """Run a DAG that exports the segments to one audience, and return the states to announce."""
    with DAG("siblings", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SegmentExportOperator.partial(task_id="export", conn_id=conn_id, field_mapping=FIELD_MAPPING).expand(
            segment=segments
        )
    stage.run(dag)
    pending = changes(state_path(), Announcements(state_path()), stage.sim.clock.now())
    return [(change.state, change.health.cause and change.health.cause.map_index) for change in pending]


def test_the_failure_of_one_segment_is_not_hidden_by_the_success_of_another(stage):
    """The next DAG run, in which all succeed, ends it."""
    conn_id, good = stage.connection("campaign_monitor"), stage.segment(3)
    assert [("failing", 0)] == export(stage, conn_id, ["/no/such/file.parquet", good])
    assert [] == export(stage, conn_id, [good, good])
