"""Arguments that come from upstream tasks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow


def export(stage, dag_id, values, made, **options):
    """Run an export whose suppression list is the result of a mapped task."""
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def numbers():
            return list(range(len(values)))

        @task
        def make(number):
            return values[number]

        SegmentExportOperator(
            task_id="export",
            conn_id=stage.connection("dotdigital"),
            segment=stage.segment(5),
            field_mapping=FIELD_MAPPING,
            trigger_rule="none_failed",
            **{made: make.expand(number=numbers())},
            **options,
        )
    return stage.run(dag)


@pytest.mark.parametrize("values", [[], [None, None], ["suppressed", ""]], ids=["none", "nulls", "blank"])
def test_an_empty_result_of_a_mapped_task_disables_no_suppression(stage, values):
    """The task upstream was skipped, or returned nothing: the run stops as for a list in the DAG file."""
    stage.segment(people(1), "suppressed")
    paths = [str(stage.folder / f"{value}.parquet") if value else value for value in values]
    run = export(stage, f"suppressed_{len(str(values))}", paths, "suppression_list")
    assert "`suppression_list` was given but is empty" in run.error
    assert stage.nothing_was_sent()


def test_the_results_of_a_mapped_task_are_a_suppression_list(stage):
    paths = [stage.segment(people(1, start=number), f"suppressed{number}") for number in range(2)]
    summary = export(stage, "suppressed_by_two", paths, "suppression_list").summary()
    assert {"delivered": 3, "withheld": 2}.items() <= summary["counts"].items()
