"""A task that is cleared, or whose DAG run was deleted and created again, is no retry: what it does is new."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.utils.session import create_session
from airflow_fixtures import RUN_AFTER, export_dag

from airflow_provider_segexport.hooks.callers import Try
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow


def test_a_run_that_was_deleted_and_created_again_exports(stage, monkeypatch):
    """With the same id, a second try finds the report of the deleted run; it is not the report of this one."""
    stage.segment(5)
    dag = export_dag("deleted", stage.folder, conn_id=stage.connection("campaign_monitor"), retries=2)
    run = stage.begin(dag, start_date=RUN_AFTER)
    assert "success" == run.go(dag)
    with create_session() as session:
        session.delete(session.merge(run.dag_run))
    stage.segment(9)
    run = stage.begin(dag, start_date=RUN_AFTER + timedelta(hours=1))
    with monkeypatch.context() as patch:  # the first try ends before it reaches the run folder
        patch.setattr(SegmentExportOperator, "build_request", lambda *_: 1 / 0)
        assert "up_for_retry" == run.go(dag)
    assert "success" == run.go(dag)
    assert 9 == len(stage.members("campaign_monitor"))


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (Try(1, 3, "monday"), Try(2, 3, "monday"), True),
        (Try(1, 3, "monday"), Try(2, 4, "monday"), False),
        (Try(1, 3, "monday"), Try(2, 3, "tuesday"), False),
        (Try(2, 3, "monday"), Try(2, 3, "monday"), False),
        (Try(), Try(), False),
    ],
    ids=["retry", "cleared", "another-run-of-this-id", "same-try", "outside-a-task"],
)
def test_a_retry_has_the_number_of_tries_and_the_run_of_the_try_before(earlier, later, expected):
    """Clearing a task raises its number of tries; a DAG run that is created again begins at another time."""
    assert expected is later.retries(earlier)
