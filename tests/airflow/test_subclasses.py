"""Subclasses of the operator, and arguments that are set after a task was created, as a cluster policy does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow

START = datetime(2026, 1, 1, tzinfo=UTC)


class OwnExecute(SegmentExportOperator):
    """Chooses the segment in `execute`, and uses the summary."""

    def execute(self, context):
        self.segment = self.segment.replace("everyone", "chosen")
        return {**super().execute(context), "is_own": True}


class OwnPreExecute(SegmentExportOperator):
    """Chooses the segment in `pre_execute`, which Airflow calls after a deferral, too."""

    def pre_execute(self, context):
        self.segment = self.segment.replace("everyone", "chosen")


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("operator", [OwnExecute, OwnPreExecute])
def test_an_overridden_method_counts_after_a_deferral_too(stage, naps, operator, deferrable):
    """The task resumes with the arguments that the subclass sets, and the subclass gets the result."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(people(10), "everyone")
    stage.segment(people(3, start=100), "chosen")
    with DAG("subclass", schedule=None, start_date=START) as dag:
        operator(
            task_id="export",
            conn_id=stage.connection("dotdigital"),
            segment=str(stage.folder / "everyone.parquet"),
            field_mapping=FIELD_MAPPING,
            deferrable=deferrable,
        )
    run = stage.run(dag)
    assert "success" == run.state
    assert deferrable is bool(naps)
    assert set(people(3, start=100)["email"]) == set(stage.members("dotdigital"))
    assert (operator is OwnExecute) == run.summary().get("is_own", False)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suppression_list", "{{ params.get('missing') }}"),
        ("consent_column", "{{ params.get('missing') }}"),
        ("guards", {"min_rows": "{{ params.get('missing') }}"}),
    ],
)
def test_an_argument_that_is_set_later_may_not_be_empty_either(stage, name, value, native):
    """A policy names a suppression list by a template; if it renders to nothing, the task sends no row."""
    stage.segment(4)
    with DAG("set_later", schedule=None, start_date=START, render_template_as_native_obj=native) as dag:
        export = SegmentExportOperator(
            task_id="export",
            conn_id=stage.connection("campaign_monitor"),
            segment=str(stage.folder / "segment.parquet"),
            field_mapping=FIELD_MAPPING,
        )
        setattr(export, name, value)
    run = stage.run(dag)
    assert "failed" == run.state
    assert "empty" in run.error or "the limit is" in run.error
    assert stage.nothing_was_sent()


def test_the_result_of_a_task_that_is_set_later_may_not_be_none(stage):
    """The same for an upstream task that returns nothing."""
    stage.segment(4)
    with DAG("set_later", schedule=None, start_date=START) as dag:
        export = SegmentExportOperator(
            task_id="export",
            conn_id=stage.connection("campaign_monitor"),
            segment=str(stage.folder / "segment.parquet"),
            field_mapping=FIELD_MAPPING,
        )
        export.suppression_list = task(task_id="upstream")(lambda: None)()
    run = stage.run(dag)
    assert "`suppression_list` was given but is empty: None" in run.error
    assert stage.nothing_was_sent()


def test_an_argument_that_is_set_to_none_is_left_out(stage):
    """A policy that removes an argument does not stop the task."""
    stage.segment(4)
    with DAG("removed", schedule=None, start_date=START) as dag:
        export = SegmentExportOperator(
            task_id="export",
            conn_id=stage.connection("campaign_monitor"),
            segment=str(stage.folder / "segment.parquet"),
            field_mapping=FIELD_MAPPING,
        )
        export.consent_column = None
    assert "success" == stage.run(dag).state
