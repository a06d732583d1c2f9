"""Calls of `hook.export` in the task of an operator: each call and the operator have run folders of their own."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, RUN_AFTER, export_dag, people

from airflow_provider_segexport.hooks import get_hook

pytestmark = pytest.mark.airflow


@pytest.fixture
def export_more(stage):
    """A function for `pre_execute` or `post_execute` that exports three people to the vendor's second audience."""
    few = stage.segment(people(3, start=500), "few")

    def create(vendor, conn_id, *, fails=False):
        def call(context, result=None):
            del context, result
            get_hook(conn_id).export(few, FIELD_MAPPING, audience=stage.audience(vendor, 1))
            if fails:
                raise ValueError

        return call

    return create


def test_a_retry_after_post_execute_has_exported_and_failed_sends_nothing_again(stage, export_more):
    """In mode `full`, a new plan would send every profile once per attempt."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(10)
    after = export_more("campaign_monitor", conn_id, fails=True)
    dag = export_dag("more_after", stage.folder, conn_id=conn_id, mode="full", retries=3, post_execute=after)
    run = stage.begin(dag, start_date=RUN_AFTER)
    assert ["up_for_retry"] * 3 == [run.go(dag) for _ in range(3)]
    assert 10 == len(stage.members("campaign_monitor"))
    assert 2 == len(stage.sent("campaign_monitor"))


def test_a_retry_resumes_although_pre_execute_exports_too(stage, export_more, ten_a_call):
    """The calls that succeeded before the failure are not made again."""
    conn_id = stage.connection("campaign_monitor")
    stage.segment(50)
    before = export_more("campaign_monitor", conn_id)
    dag = export_dag("more_before", stage.folder, conn_id=conn_id, mode="full", retries=1, pre_execute=before)
    run = stage.begin(dag, start_date=RUN_AFTER)
    stage.sim.faults([{"path": "import.json", "nth": 4, "count": 0, "status": 401}])
    assert "up_for_retry" == run.go(dag)
    assert 20 == len(stage.members("campaign_monitor"))
    stage.sim.clear_faults()
    before_retry = len(stage.sent("campaign_monitor"))
    assert "success" == run.go(dag)
    assert 50 == len(stage.members("campaign_monitor"))
    assert 3 == len(stage.sent("campaign_monitor")) - before_retry


def test_a_task_returns_from_deferral_to_its_own_run_folder(stage, export_more, naps):
    """Airflow calls `pre_execute` again after a deferral."""
    stage.sim.configure({"dotdigital": {"job_seconds": 60.0}})
    conn_id = stage.connection("dotdigital")
    stage.segment(30)
    dag = export_dag("more_deferred", stage.folder, conn_id=conn_id, mode="full", deferrable=True)
    export = export_more("dotdigital", conn_id)
    calls = iter(range(4))  # a new plan in each call of `pre_execute` would defer the task without an end
    dag.get_task("export").pre_execute = lambda context: None if next(calls, None) is None else export(context)
    assert "success" == stage.run(dag).state
    assert 30 == len(stage.members("dotdigital"))
    assert 2 == len(stage.sent("dotdigital"))


def test_a_decorated_function_may_export_itself(stage, export_more):
    """The function's call and the task's export are two runs, in a retry too."""
    conn_id = stage.connection("campaign_monitor")
    path = stage.segment(10)
    call = export_more("campaign_monitor", conn_id)
    with DAG("more_in_function", schedule=None, start_date=RUN_AFTER) as dag:

        @task.segment_export(
            task_id="export",
            conn_id=conn_id,
            field_mapping=FIELD_MAPPING,
            mode="full",
            retries=2,
            post_execute=lambda *_: 1 / 0,
        )
        def export():
            call(None)
            return path

        export()
    run = stage.begin(dag, start_date=RUN_AFTER)
    assert ["up_for_retry"] * 2 == [run.go(dag) for _ in range(2)]
    assert 2 == len(stage.sent("campaign_monitor"))
