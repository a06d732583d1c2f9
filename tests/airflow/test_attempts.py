"""Traces that a try leaves in a real task, however it ends."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow_fixtures import FIELD_MAPPING, export_dag
from upath import UPath

from airflow_provider_segexport.errors import AuthenticationFailed, InvalidArgument
from airflow_provider_segexport.hooks import attempts as hook_attempts
from airflow_provider_segexport.hooks import get_hook_class
from airflow_provider_segexport.hooks.paths import state_path
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator
from airflow_provider_segexport.plugins import task_instances
from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempt_files, attempts

pytestmark = pytest.mark.airflow

SECRET = "wr0ng-secret-of-this-test"


def recorded(conn_id: str) -> list[Attempt]:
    """The attempts through a connection."""
    return [item for file in attempt_files(state_path()) if conn_id in str(file) for item in attempts(file)]


def test_a_run_that_finished_is_recorded_with_its_audience(stage):
    """The ledger's folder is that of the attempt."""
    stage.segment(4)
    conn_id = stage.connection("dotdigital")
    run = stage.run(export_dag("attempt_good", stage.folder, conn_id=conn_id))
    assert "success" == run.state
    (attempt,) = recorded(conn_id)
    assert (Status.FINISHED, "", "Customers") == (attempt.status, attempt.error, attempt.audience_name)
    assert (state_path() / "latest" / f"{'/'.join(attempt.ledger)}.json").exists()
    assert attempt.audience == stage.audience("dotdigital")
    assert 0 < attempt.started_at <= attempt.ended_at


def test_a_401_is_recorded_with_its_code_and_without_the_secret(stage):
    """The audience of the run before stays known."""
    stage.segment(4)
    conn_id = stage.connection("dotdigital")
    stage.run(export_dag("attempt_401", stage.folder, conn_id=conn_id))
    stage.connection("dotdigital", conn_id, password=SECRET)
    assert "failed" == stage.run(export_dag("attempt_401", stage.folder, conn_id=conn_id)).state
    good, refused = recorded(conn_id)
    assert (Status.FAILED, "authentication-failed") == (refused.status, refused.code)
    assert "name or password is wrong" in refused.error
    assert good.ledger == refused.ledger != ()
    for file in attempt_files(state_path()):
        assert SECRET not in file.read_text()


BAD_ARGUMENTS = {
    "mode": ({"mode": "{{ none }}"}, "invalid-argument"),
    "segment": ({"segment": "/nowhere/segment.parquet"}, "invalid-segment"),
    "field_mapping": ({"field_mapping": {"email": "no_such_column"}}, "invalid-segment"),
    "audience": ({"audience": "name:Nothing"}, "audience-not-found"),
    "conn_id": ({"conn_id": "attempt_no_such_connection"}, "invalid-connection"),
    "guard": ({"guards": {"min_rows": 100}}, "guard-tripped"),
}


@pytest.mark.parametrize("argument", BAD_ARGUMENTS)
def test_a_run_that_failed_before_its_plan_is_recorded(stage, argument):
    """A stranger's typing mistakes, and a guard."""
    changes, code = BAD_ARGUMENTS[argument]
    stage.segment(4)
    conn_id = stage.connection("omnisend") if argument != "audience" else stage.connection("dotdigital")
    dag = export_dag(f"attempt_bad_{argument}", stage.folder, **{"conn_id": conn_id, **changes})
    assert "failed" == stage.run(dag).state
    (attempt,) = recorded(changes.get("conn_id", conn_id))
    assert (Status.FAILED, code) == (attempt.status, attempt.code)
    assert attempt.error
    assert stage.nothing_was_sent()


def test_exports_that_are_switched_off_are_recorded_as_skipped(stage, caplog):
    """With the sentence that the task is skipped with; the log has it, too."""
    stage.segment(4)
    conn_id = stage.connection("omnisend", extra={"export_enabled": False})
    stage.run(export_dag("attempt_off", stage.folder, conn_id=conn_id))
    (attempt,) = recorded(conn_id)
    assert (Status.SKIPPED, "exports-disabled") == (attempt.status, attempt.code)
    assert "are disabled" in attempt.error
    assert f"Skipping the export (code=exports-disabled): {attempt.error}" in caplog.messages


def test_a_dry_run_is_recorded_as_one(stage):
    """The pages leave it out of an audience's state."""
    stage.segment(4)
    conn_id = stage.connection("omnisend")
    stage.run(export_dag("attempt_dry", stage.folder, conn_id=conn_id, dry_run="{{ true }}"))
    (attempt,) = recorded(conn_id)
    assert (True, Status.FINISHED) == (attempt.dry_run, attempt.status)


@pytest.mark.parametrize("word", ["yes", "TRUE", "on", "1", 1, "{{ 1 }}"])
def test_a_dry_run_that_is_refused_is_recorded_as_one(stage, word):
    """Every word for yes is read, also if the run stops before its arguments are."""
    conn_id = stage.connection("omnisend")
    stage.run(export_dag("attempt_dry_word", stage.folder, conn_id=conn_id, dry_run=word, mode="mirrror"))
    with pytest.raises(InvalidArgument):
        get_hook_class("omnisend")(conn_id).export("a", FIELD_MAPPING, dry_run=word, mode="mirrror")
    assert [True] * (1 if "{" in str(word) else 2) == [
        attempt.dry_run for attempt in recorded(conn_id) if attempt.dry_run
    ]


def test_a_hook_in_a_task_is_recorded(stage):
    """Each call with its own number."""
    path = stage.segment(4)
    conn_id = stage.connection("dotdigital", password=SECRET)
    with DAG("attempt_hook", schedule=None) as dag:

        @task
        def export():
            hook = get_hook_class("dotdigital")(conn_id)
            for _ in range(2):
                with pytest.raises(AuthenticationFailed):
                    hook.export(path, FIELD_MAPPING)

        export()
    stage.run(dag)
    first, second = recorded(conn_id)
    assert ("authentication-failed", "authentication-failed") == (first.code, second.code)
    assert first.run.endswith("/0")
    assert second.run.endswith("/0.2")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, ""),
        ("None", ""),
        (" ", ""),
        ("", ""),
        ([], ""),
        (" 42 ", "42"),
        (42, "42"),
        (42.0, "42"),
        ("name: News ", "name: News "),
        (True, "(bool)"),
        (["a"], "(list)"),
        ({"a": 1}, "(dict)"),
        (pa.table({"email": ["jane@example.com"]}), "(Table)"),
        ("a" * 10_000, "a" * hook_attempts.MAX_AUDIENCE_CHARS),
    ],
)
def test_an_audience_is_recorded_as_the_export_reads_it(given, text):
    """A template may render to nothing; what is refused later does not fail the record."""
    assert text == hook_attempts.audience_text(given)


def test_a_hook_s_audience_of_another_type_is_refused_in_words(stage):
    """And not as an unexpected error, because a list is not hashable."""
    hook = get_hook_class("dotdigital")(stage.connection("dotdigital"))
    with pytest.raises(InvalidArgument, match="`audience` is of type list"):
        hook.export(stage.segment(4), FIELD_MAPPING, audience=["a"])


def test_the_tasks_of_a_dag_that_is_called_hook_have_attempts_of_their_own():
    """A hook outside a task has that word in place of a DAG."""
    first, second = (
        hook_attempts.begin("attempt_named_hook", "", ("hook", task_id, "manual__1", "0"), dry_run=False)
        for task_id in ("a", "b")
    )
    assert first.file != second.file


def test_a_verification_does_not_count_as_an_export(stage):
    """One that ends well must not end the failure of an export."""
    conn_id = stage.connection("dotdigital", password=SECRET)
    with DAG("attempt_verify", schedule=None) as dag:
        SegmentExportVerifyOperator(task_id="verify", conn_id=conn_id)
    stage.run(dag)
    assert [] == recorded(conn_id)


class Mine(SegmentExportOperator):
    """An operator that a user derives."""


def test_a_subclass_of_the_operator_has_a_tab(stage):
    """The pages know it by the links that it inherits; another operator has none."""
    conn_id = stage.connection("dotdigital", password=SECRET)
    with DAG("attempt_subclass", schedule=None) as dag:
        Mine(task_id="mine", conn_id=conn_id, segment=stage.segment(4), field_mapping=FIELD_MAPPING)
        EmptyOperator(task_id="other")
    run = stage.run(dag)
    exports = {
        name: task_instances.instance(RunIdentity("attempt_subclass", name, run.dag_run.run_id), -1).exports
        for name in ("mine", "other")
    }
    assert {"mine": True, "other": False} == exports


def test_a_record_that_cannot_be_written_fails_no_run(stage, monkeypatch, caplog):
    """The pages show less, and the log says why."""

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(hook_attempts, "record", refuse)
    stage.segment(4)
    conn_id = stage.connection("omnisend")
    assert "success" == stage.run(export_dag("attempt_unwritable", stage.folder, conn_id=conn_id)).state
    assert [] == recorded(conn_id)


def test_a_record_is_for_this_user_alone_and_is_json(stage):
    """As every file below the state path."""
    stage.segment(4)
    conn_id = stage.connection("omnisend")
    stage.run(export_dag("attempt_mode", stage.folder, conn_id=conn_id))
    (file,) = [Path(str(file)) for file in attempt_files(state_path()) if conn_id in str(file)]
    assert (0o600, 0o700) == (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777)
    assert "person0@example.com" not in file.read_text()
    assert {"attempts"} == set(json.loads(file.read_text()))


def test_in_object_storage_a_run_waits_only_for_the_record_of_its_end(monkeypatch):
    """While the store is slow, changes come together: the first and the last are written."""
    file, may_write, written = UPath("memory://attempts/a.json"), threading.Event(), []
    plain = hook_attempts.record

    def slow(path, attempt, earlier):
        may_write.wait(10)
        written.append(attempt.audience)
        plain(path, attempt, earlier)

    monkeypatch.setattr(hook_attempts, "record", slow)
    record = hook_attempts.AttemptRecord(Attempt("dag/task/run/0"), file)
    for audience in ("first", "second", "third"):
        record.update(audience=audience)
    assert not written
    may_write.set()
    record.ended({})
    record.ended({})
    assert written[-1] == "third"
    assert len(written) <= 4
    assert [(Status.FINISHED, "third")] == [(item.status, item.audience) for item in attempts(file)]
