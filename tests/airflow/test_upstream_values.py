"""Arguments that come from upstream tasks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
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


def test_a_list_in_a_list_is_refused_by_the_name_of_the_argument(stage):
    """Each task instance returns a list of paths."""
    run = export(stage, "suppressed_by_lists", [[stage.segment(people(1), "suppressed")]], "suppression_list")
    assert "A path in `suppression_list` is of type list" in run.error
    assert stage.nothing_was_sent()


NO_RESULT = {"none": None, "skipped": AirflowSkipException(), "failed": AirflowFailException()}
SHAPES = {
    "plain": lambda task, numbers: task.expand(number=numbers),
    "map": lambda task, numbers: task.expand(number=numbers).map(str),
    "concat": lambda task, numbers: task.expand(number=numbers).concat(task.expand(number=numbers)),
    "group": lambda task, numbers: task_group(group_id="each")(task).expand(number=numbers),
}


def export_of_mapped(stage, dag_id, shape, make, *, mapped=False):
    """Run an export whose suppression list is the result of three task instances."""
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        options = {
            "task_id": "export",
            "conn_id": stage.connection("dotdigital"),
            "field_mapping": FIELD_MAPPING,
            "trigger_rule": "all_done",
            "suppression_list": SHAPES[shape](task(make), [0, 1, 2]),
        }
        path = stage.segment(5)
        if mapped:
            SegmentExportOperator.partial(**options).expand(segment=[path])
        else:
            SegmentExportOperator(segment=path, **options)
    return stage.run(dag)


@pytest.mark.parametrize(
    ("shape", "ending"),
    [*(("plain", ending) for ending in NO_RESULT), ("map", "none"), ("concat", "none"), ("group", "none")],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_mapped_task_that_lacks_a_result_stops_the_run(stage, shape, ending, mapped):
    """Airflow passes the other results only, so the people of one suppression list would get mail."""
    paths = [stage.segment(people(1, start=number), f"list{number}") for number in range(3)]

    def make(number):
        result = NO_RESULT[ending] if number == 1 else paths[number]
        if isinstance(result, Exception):
            raise result
        return result

    run = export_of_mapped(stage, f"lacks_{shape}_{ending}_{mapped}", shape, make, mapped=mapped)
    [error] = [str(error) for error in run.errors if "incomplete" in str(error)]
    assert "`suppression_list` is incomplete: only 2 of the 3 task instances of" in error
    assert "To fix: return a value from each of them" in error
    assert stage.nothing_was_sent()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_mapped_task_with_all_results_is_complete(stage, shape):
    paths = [stage.segment(people(1, start=number), f"list{number}") for number in range(3)]

    def make(number):
        return paths[number]

    run = export_of_mapped(stage, f"complete_{shape}", shape, make)
    assert {"delivered": 2, "withheld": 3}.items() <= run.summary()["counts"].items()


def test_a_result_of_the_same_mapped_group_is_one_result(stage):
    """Another index of the group may lack its own."""
    paths = [stage.segment(people(2), "first"), stage.segment(people(3, start=5), "second")]
    with DAG("same_group", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def make(number):
            return paths[number] if number < len(paths) else None

        @task_group
        def each(number):
            SegmentExportOperator(
                task_id="export",
                conn_id=stage.connection("dotdigital"),
                segment=make(number),
                field_mapping=FIELD_MAPPING,
            )

        each.expand(number=[0, 1, 2])
    run = stage.run(dag)
    assert ["success", "success", "failed"] == [str(instance.state) for instance in run.instances("each.export")]
    assert "`segment` was given but is empty: None" in run.error
