"""A task that is cleared, or whose DAG run was deleted and created again, is no retry: what it does is new."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.sdk import DAG, task
from airflow.utils.session import create_session
from airflow_fixtures import FIELD_MAPPING, RUN_AFTER, export_dag, people

from airflow_provider_segexport.export.config import ExportConfig
from airflow_provider_segexport.export.segment_version import has_changed
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.callers import Try
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.storage.paths import local_path

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


@pytest.fixture
def stopped(stage, ten_a_call, request):
    """A run whose third call of five failed, and a function that gives it another try."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(50)
    never = stage.segment(people(1, start=900), "never")
    stage.sim.faults([{"path": "import.json", "nth": 3, "count": 0, "status": 401}])
    dag = export_dag(request.node.name, stage.folder, conn_id=conn_id, suppression_list=never, retries=1)
    run = stage.begin(dag)
    assert "up_for_retry" == run.go(dag)
    assert 20 == len(stage.members("campaign_monitor"))
    stage.sim.clear_faults()

    def go(*, cleared=True):
        if cleared:
            run.clear()
        assert "success" == run.go(dag)
        return set(stage.members("campaign_monitor"))

    return go


def emails(*numbers):
    return {f"person{number}@example.com" for number in numbers}


class TestAfterAFailure:
    """A plan is half done. A person who corrects the files and clears the task wants them read."""

    def test_a_corrected_segment_counts(self, stage, stopped):
        """Rows that are no longer in the segment are not sent."""
        stage.segment(30)
        assert emails(*range(30)) == stopped()

    def test_a_corrected_suppression_list_counts(self, stage, stopped):
        """A person who is on the list now is not sent."""
        stage.segment(people(2, start=48), "never")
        assert emails(*range(48)) == stopped()

    def test_a_segment_that_is_as_it_was_is_continued(self, stage, stopped):
        """The three calls that are left are made, and no other."""
        before = len(stage.sent("campaign_monitor"))
        assert emails(*range(50)) == stopped()
        assert 3 == len(stage.sent("campaign_monitor")) - before

    def test_a_segment_that_is_gone_is_not_needed(self, stage, stopped):
        """The plan has its rows."""
        (stage.folder / "segment.parquet").unlink()
        assert emails(*range(50)) == stopped()

    def test_a_retry_continues_with_the_rows_of_the_plan(self, stage, stopped):
        """The upstream task may have written the segment of the next day."""
        stage.segment(30)
        assert emails(*range(50)) == stopped(cleared=False)


def test_a_suppression_list_that_was_corrected_counts_for_a_frame_too(stage, ten_a_call):
    """Its rows are the same as before the task was cleared."""
    conn_id = stage.connection("campaign_monitor")
    never = stage.segment(people(1, start=900), "never")
    stage.sim.faults([{"path": "import.json", "nth": 3, "count": 0, "status": 401}])
    with DAG("frame", schedule=None, start_date=RUN_AFTER) as dag:

        @task
        def export():
            get_hook(conn_id).export(people(50), FIELD_MAPPING, suppression_list=never)

        export()
    run = stage.begin(dag)
    assert "failed" == run.go(dag)
    stage.sim.clear_faults()
    stage.segment(people(2, start=48), "never")
    run.clear()
    assert "success" == run.go(dag)
    assert emails(*range(48)) == set(stage.members("campaign_monitor"))


def config_of(segment, **options):
    return ExportConfig(segment, "1", {"email": "email"}, as_of="", run="", **options)


@pytest.mark.parametrize("version", [5, None, "x", ["x"], {"size": 5}])
def test_a_damaged_record_of_the_files_does_not_stop_the_next_try(tmp_path, version):
    """It is no part of the plan."""
    segment = tmp_path / "segment.parquet"
    segment.write_bytes(b"PAR1")
    (tmp_path / "segment.json").write_text(json.dumps({str(segment): version}))
    assert has_changed(local_path(str(tmp_path)), config_of(str(segment)), local_path) is (version == {"size": 5})


class TestTables:
    """A table has no files of its own to compare."""

    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            (config_of("delta:/lake/a"), True),
            (config_of("delta:/lake/a", snapshot_at="2026-03-02T00:00:00+00:00"), False),
            (config_of(("iceberg:db.a", "delta:/lake/a")), True),
        ],
        ids=["current", "as-of", "several"],
    )
    def test_its_current_snapshot_may_be_another_one(self, tmp_path, config, expected):
        """If `as_of` names the snapshot, it is the same."""
        (tmp_path / "segment.json").write_text(json.dumps({"delta:/lake/a version 3": {}}))
        assert expected is has_changed(tmp_path, config, lambda text: tmp_path / text)

    def test_a_plan_of_an_earlier_version_is_continued(self, tmp_path):
        """It has no record of its files."""
        assert not has_changed(tmp_path, config_of("delta:/lake/a"), lambda text: tmp_path / text)
