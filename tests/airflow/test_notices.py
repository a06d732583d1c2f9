"""`{{ segexport.title }}` exists for every callback, however the task ends."""

from __future__ import annotations

import copy
import itertools
import operator
import pickle
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest
import structlog
from airflow.api_fastapi.execution_api.datamodels.taskinstance import TaskInstance
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing.processor import _execute_task_callbacks
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import (
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralError,
    TaskDeferralTimeout,
)
from airflow.utils.state import TaskInstanceState
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.operators.notices import KINDS, MESSAGE, Callbacks, WithMessage, default_message
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

pytestmark = pytest.mark.airflow

NUMBERS = itertools.count(1)


def titles(sent, kinds=("failure", "retry", "skipped")):
    """Callbacks that keep what a notifier would send."""
    return {
        f"on_{kind}_callback": lambda context, kind=kind: sent.append((kind, context[MESSAGE]["title"]))
        for kind in kinds
    }


def fail(_):
    raise ValueError("no jane@example.com there")


def fail_after(context, result=None):
    raise ValueError("the export itself went well")


def skip(_):
    raise AirflowSkipException("not today")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"segment": "{{ no_such_name }}"}, ("failure", "has stopped")),
        ({"segment": "{{ 1 / 0 }}"}, ("failure", "has stopped")),
        ({"pre_execute": fail}, ("failure", "has stopped")),
        ({"pre_execute": skip}, ("skipped", "was skipped")),
        ({"execution_timeout": timedelta(seconds=-1)}, ("failure", "has stopped")),  # it is over at once
        ({"pre_execute": fail, "retries": 1}, ("retry", "has stopped")),
        ({"post_execute": fail_after}, ("failure", "has stopped")),
    ],
    ids=["unknown name", "template error", "pre_execute", "skip", "timeout", "retry", "post_execute"],
)
@pytest.mark.parametrize("when", ["argument", "attribute", "append", "insert", "+="])
def test_the_title_exists_at_every_end(stage, options, expected, when):
    """Also where the operator itself never ran, and where a policy sets or adds callbacks after the task was made."""
    stage.segment(people(2))
    sent, number = [], next(NUMBERS)
    callbacks = titles(sent)
    options = {**options, **(callbacks if when == "argument" else {})}
    dag = export_dag(f"ends_{number}", stage.folder, conn_id=stage.connection("dotdigital"), **options)
    task = dag.get_task("export")
    for name, callback in callbacks.items():
        if when == "attribute":
            setattr(task, name, callback)
        elif when == "append":
            getattr(task, name).append(callback)
        elif when == "insert":
            getattr(task, name).insert(0, callback)
        elif when == "+=":
            setattr(task, name, operator.iadd(getattr(task, name), [callback]))
    run = stage.begin(dag, watched=False)
    run.go(dag)
    kind, end = expected
    assert [(kind, f"ends_{number}.export {end}")] == sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error",
    [None, AirflowTaskTimeout("x"), TaskDeferralTimeout("x"), TaskDeferralError("x"), ValueError(), "killed", 7],
)
@pytest.mark.parametrize("names", ["ti", "task_instance", "task", "nothing"])
def test_a_context_of_any_process_gives_a_title_and_a_body(kind, error, names):
    """The DAG processor calls callbacks for tasks whose worker died, with little in the context."""
    context = {names: SimpleNamespace(dag_id="d", task_id="t"), "exception": error}
    seen = []
    WithMessage(lambda context: seen.append(dict(context[MESSAGE])), kind)(context)
    [message] = seen
    assert message["title"].startswith("?.? " if names == "nothing" else "d.t ")
    assert message["body"]


def test_no_address_is_in_the_message():
    """Another library's exception may quote a row."""
    assert "jane" not in str(default_message({"exception": ValueError("jane@example.com is bad")}, "failure"))


def test_callbacks_survive_copies(stage):
    """Airflow copies a DAG's tasks before it runs them; a callback is not wrapped twice."""
    sent = []
    dag = export_dag("copies", stage.folder, conn_id="any", **titles(sent))
    task = copy.deepcopy(dag.get_task("export"))
    [fail_callback] = pickle.loads(pickle.dumps(Callbacks([fail], "failure")))
    assert fail_callback == WithMessage(fail, "failure")
    [wrapped] = task.on_failure_callback
    assert isinstance(wrapped, WithMessage)
    assert not isinstance(wrapped.callback, WithMessage)
    wrapped({})
    assert 1 == len(sent)


@pytest.mark.parametrize("given", ["partial", "decorated", "default_args", "policy"])
def test_a_mapped_task_whose_worker_died_has_a_message_without_the_notifier(airflow_db, given):
    """Airflow calls its callback without creating the operator, so the template of a notifier would not render."""
    sent = []
    callback = {"on_failure_callback": lambda context: sent.append(context["segexport"]["title"])}
    options = {"task_id": "export", "conn_id": "any", "field_mapping": {"email": "email"}}
    with DAG(
        "killed",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args=callback if given == "default_args" else {},
    ) as dag:
        if given == "decorated":
            task.segment_export(**options, **callback)(lambda part: part).expand(part=["a", "b"])
        else:
            more = callback if given == "partial" else {}
            SegmentExportOperator.partial(**options, **more).expand(segment=["a", "b"])
    if given == "policy":
        dag.get_task("export").on_failure_callback = callback["on_failure_callback"]
    ids = {"id": uuid4(), "dag_version_id": uuid4(), "task_id": "export", "dag_id": "killed", "run_id": "r"}
    request = TaskCallbackRequest(
        filepath="x",
        bundle_name="b",
        bundle_version=None,
        ti=TaskInstance(**ids, try_number=1, map_index=1),
        task_callback_type=TaskInstanceState.FAILED,
    )
    _execute_task_callbacks(SimpleNamespace(dags={"killed": dag}), request, structlog.get_logger())
    assert ["killed.export has stopped"] == sent
