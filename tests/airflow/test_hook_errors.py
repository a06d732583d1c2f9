"""Errors of a hook's methods in a `@task`: one that no retry mends ends the task, as it ends an operator's."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport import errors
from airflow_provider_segexport.errors import (
    AudienceLocked,
    AudienceNotFound,
    AuthenticationFailed,
    BatchRejected,
    ConnectionNotAllowed,
    DamagedState,
    ExportsDisabled,
    InvalidArgument,
    InvalidConnection,
    NeedsMemory,
    SegexportError,
)
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.hooks.failures import RetryLater, airflow_exception
from airflow_provider_segexport.hooks.omnisend import OmnisendHook

pytestmark = pytest.mark.airflow

CONSTRUCTED = {
    AudienceLocked: lambda: AudienceLocked("Locked.", holder="d/t/r/0", retry_after_s=3.0),
    BatchRejected: lambda: BatchRejected("7", "A message."),
    DamagedState: lambda: DamagedState("file", "it was cut", "349394"),
    NeedsMemory: NeedsMemory,
    errors.StaleSnapshot: lambda: errors.StaleSnapshot("Older.", fails=True),
    errors.RateLimited: lambda: errors.RateLimited("Later.", retry_after_s=90.0),
}
"""Errors whose constructor takes other arguments than a text."""


def own_errors(kind=SegexportError):
    """The package's error classes."""
    yield kind
    for derived in kind.__subclasses__():
        if derived.__module__ == errors.__name__ and getattr(errors, derived.__name__) is derived:
            yield from own_errors(derived)


CALLS = {
    "a connection that does not exist": (InvalidConnection, lambda ids: get_hook("not_there")),
    "no connection": (InvalidConnection, lambda ids: get_hook(None)),
    "the connection of such a hook": (InvalidConnection, lambda ids: DotdigitalHook("not_there").connection),
    "another vendor's connection": (InvalidConnection, lambda ids: DotdigitalHook(ids.other).settings),
    "its session": (InvalidConnection, lambda ids: DotdigitalHook(ids.other).get_conn()),
    "its client": (InvalidConnection, lambda ids: DotdigitalHook(ids.other).http_client()),
    "its call": (InvalidConnection, lambda ids: DotdigitalHook(ids.other, method="GET").run("v2/account-info")),
    "an unreadable extra": (InvalidConnection, lambda ids: get_hook(ids.unreadable).resolve_audience()),
    "wrong credentials": (AuthenticationFailed, lambda ids: get_hook(ids.wrong).resolve_audience()),
    "wrong credentials of a list": (AuthenticationFailed, lambda ids: get_hook(ids.wrong).list_audiences()),
    "no such audience": (AudienceNotFound, lambda ids: get_hook(ids.right).resolve_audience("999999999")),
    "no audience of that number": (AudienceNotFound, lambda ids: get_hook(ids.right).resolve_audience(999999999)),
    "no audience of that name": (AudienceNotFound, lambda ids: get_hook(ids.right).resolve_audience("name:Nope")),
    "an audience that is no text": (InvalidArgument, lambda ids: get_hook(ids.right).resolve_audience({"id": 1})),
    "a vendor without a list": (InvalidArgument, lambda ids: get_hook(ids.omnisend).list_audiences()),
    "a segment with a bad key": (InvalidConnection, lambda ids: OmnisendHook(ids.bad_key).create_segment()),
    "a call of another DAG": (ConnectionNotAllowed, lambda ids: DotdigitalHook(ids.forbidden).run("v2/contacts")),
    "a call in a thread": (InvalidConnection, lambda ids: ThreadPoolExecutor(1).submit(get_hook, "not_there").result()),
}


@pytest.fixture
def ids(stage):
    """Connections that a task may have by mistake."""
    return SimpleNamespace(
        right=stage.connection("dotdigital"),
        other=stage.connection("campaign_monitor"),
        omnisend=stage.connection("omnisend"),
        bad_key=stage.connection("omnisend", password="two words"),
        wrong=stage.connection("dotdigital", password="wrong"),
        unreadable=stage.connection("dotdigital", extra={"privacy_consent": "maybe"}),
        forbidden=stage.connection("dotdigital", extra={"allowed_dags": "another_dag"}),
    )


def run_task(stage, dag_id, body):
    """Run a task that may be retried; return the run and the state after one try."""
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        task(task_id="export", retries=2)(body)()
    run = stage.begin(dag)
    return run, run.go(dag)


@pytest.mark.parametrize("call", CALLS)
def test_what_no_retry_mends_ends_the_task_at_once(stage, ids, call):
    """A try more would fail in the same way, and only delay the alert."""
    kind, made = CALLS[call]
    run, state = run_task(stage, f"no_retry_{list(CALLS).index(call)}", lambda: str(made(ids)))
    assert "failed" == state, run.errors
    [error] = run.errors
    assert isinstance(error, kind)
    assert isinstance(error, AirflowFailException)
    assert error.__cause__ is None


def test_exports_that_are_disabled_skip_the_task(stage):
    """Whatever way the task calls the vendor, as they skip an operator's."""
    conn_id = stage.connection("dotdigital", extra={"export_enabled": False})
    run, state = run_task(stage, "disabled", lambda: str(DotdigitalHook(conn_id).run("v2/contacts")))
    assert "skipped" == state, run.errors


def test_what_a_retry_may_mend_is_retried(stage):
    """The vendor is down: the error is the package's own, and the task's `retries` decide."""
    conn_id = stage.connection("dotdigital")
    stage.sim.faults([{"path": "account-info", "nth": 1, "count": 0, "status": 503}])
    run, state = run_task(stage, "down", lambda: str(get_hook(conn_id).resolve_audience()))
    assert "up_for_retry" == state
    assert isinstance(run.errors[0], errors.RetryableError)


def test_an_audience_may_be_a_number(stage):
    """As the operator takes it."""
    conn_id, number = stage.connection("dotdigital"), int(stage.audience("dotdigital", 1))
    assert str(number) == get_hook(conn_id).resolve_audience(number).audience


@pytest.mark.parametrize("kind", list(own_errors()), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("copied", [lambda error: pickle.loads(pickle.dumps(error)), copy.deepcopy, copy.copy])
def test_an_error_survives_its_way_between_processes(kind, copied):
    """The package's own and Airflow's keep class, text and attributes."""
    own = CONSTRUCTED.get(kind, lambda: kind("A text."))()
    for error in (own, airflow_exception(own)):
        again = copied(error)
        assert (str(error), vars(error), error.error_code) == (str(again), vars(again), again.error_code)
        for base in (kind, AirflowException, AirflowFailException, AirflowSkipException, RetryLater):
            assert isinstance(error, base) == isinstance(again, base)


def test_an_error_that_is_airflows_already_stays_as_it_is():
    """A method of a hook may call another one; its text is not extended twice."""
    error = airflow_exception(errors.RateLimited("Later.", retry_after_s=90.0))
    assert error is airflow_exception(error)


def test_a_guard_that_stops_a_process_of_a_task_ends_the_task(stage):
    """A pool pickles the error; it arrives as it was raised, with its advice."""
    conn_id = stage.connection("campaign_monitor")

    def body():
        try:
            get_hook(conn_id).export(people(3), FIELD_MAPPING, guards={"min_rows": 1000})
        except SegexportError as error:
            raise pickle.loads(pickle.dumps(error)) from None

    run, state = run_task(stage, "in_a_process", body)
    assert "failed" == state, run.errors
    assert isinstance(run.errors[0], errors.GuardTripped)
    assert "change the limit" in str(run.errors[0])
    assert stage.nothing_was_sent()


def test_disabled_exports_are_a_skip_and_no_failure():
    """Both as Airflow's."""
    error = airflow_exception(ExportsDisabled("Off."))
    assert isinstance(error, AirflowSkipException)
    assert not isinstance(error, AirflowFailException)


@pytest.mark.parametrize(("run_id", "is_warned"), [("scheduled__2026-03-02", True), (None, False)])
def test_a_process_of_a_task_is_warned_that_its_snapshot_counts_as_current(
    stage, monkeypatch, caplog, run_id, is_warned
):
    """A function of `@task.virtualenv` has the variables of its task, and no context."""
    monkeypatch.delenv("AIRFLOW_CTX_DAG_RUN_ID", raising=False)
    if run_id:
        monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", run_id)
    hook = get_hook(stage.connection("campaign_monitor"))
    hook.export(people(1), FIELD_MAPPING)
    assert is_warned == ("pass `as_of`" in caplog.text)
    caplog.clear()
    hook.export(people(1), FIELD_MAPPING, as_of=datetime.now(UTC))
    assert "pass `as_of`" not in caplog.text
