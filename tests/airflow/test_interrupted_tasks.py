"""Tasks that a signal interrupts: `execution_timeout`, a kill. They make no further call, and a retry resumes."""

from __future__ import annotations

import concurrent.futures.thread
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, get_current_context, task
from airflow.sdk.exceptions import AirflowTaskTimeout
from airflow_fixtures import FIELD_MAPPING, export_dag

from airflow_provider_segexport.export import pipeline
from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.lease import Lease

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("ten_a_call")]

VENDOR = "campaign_monitor"


@pytest.fixture
def interrupted(stage, monkeypatch):
    """A function that lets a signal reach the main thread when a call begins to wait in another thread."""

    def install(number):
        reached = threading.Event()
        request_stop = SegmentExportHook.request_stop

        def stop(hook):
            request_stop(hook)
            reached.set()

        def nap(seconds):
            stage.sim.clock.advance(seconds)
            if threading.current_thread() is not threading.main_thread() and not reached.is_set():
                signal.pthread_kill(threading.main_thread().ident, number)
                reached.wait(2)

        monkeypatch.setattr(SegmentExportHook, "request_stop", stop)
        monkeypatch.setattr(SegmentExportHook, "sleep", staticmethod(nap))
        wait = {"status": 429, "headers": {"retry-after": "40"}}
        stage.sim.faults([{"path": "import.json", "nth": 3, "count": 0, **wait}])

    return install


def hook_dag(dag_id, conn_id, segment, **options):
    """Return a DAG whose task `export` calls `hook.export`."""
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task(**options)
        def export():
            get_hook(conn_id).export(segment, FIELD_MAPPING)

        export()
    return dag


@pytest.mark.parametrize("kind", ["operator", "hook"])
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGALRM, "Timeout"), (signal.SIGTERM, "Airflow has stopped the task")]
)
def test_calls_that_wait_are_not_made_after_the_interruption(stage, interrupted, kind, number, error):
    """A call that the vendor asks to repeat later would hold up the end for minutes, and be made after the timeout."""
    conn_id, segment = stage.connection(VENDOR), stage.segment(95)
    options = {"execution_timeout": timedelta(hours=1), "retries": 1}
    dag_id = f"interrupted_{kind}_{number}"
    dag = (
        export_dag(dag_id, stage.folder, conn_id=conn_id, **options)
        if kind == "operator"
        else hook_dag(dag_id, conn_id, segment, **options)
    )
    run = stage.begin(dag)
    interrupted(number)
    assert "up_for_retry" == run.go(dag)
    assert error in run.error
    sent = len(stage.sent(VENDOR))
    assert sent <= 2 + 4  # four calls are in flight at a time
    stage.sim.clear_faults()
    assert "success" == run.go(dag)
    assert 95 == len(stage.members(VENDOR))
    assert 10 - 2 == len(stage.sent(VENDOR)) - sent


def test_a_timeout_during_a_query_is_reported_as_a_timeout(stage, monkeypatch):
    """DuckDB replaces the exception of the timeout by a RuntimeError."""

    def plan_slowly(*_):
        with engine() as sql:
            sql.rows("select count(*) from range(1_000_000_000_000)")

    monkeypatch.setattr(pipeline, "prepare", plan_slowly)
    stage.segment(5)
    run = stage.export(conn_id=stage.connection(VENDOR), execution_timeout=timedelta(seconds=1))
    assert "failed" == run.state
    assert isinstance(run.errors[0], AirflowTaskTimeout)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_timeout_that_python_drops_stops_the_run_too(stage, monkeypatch):
    """Python ignores the exception of a destructor, in which the signal may arrive."""

    class Dropped:
        def __del__(self):
            signal.raise_signal(signal.SIGALRM)

    def plan(*arguments):
        Dropped()
        return real(*arguments)

    real = pipeline.prepare
    monkeypatch.setattr(pipeline, "prepare", plan)
    stage.segment(5)
    run = stage.export(conn_id=stage.connection(VENDOR), execution_timeout=timedelta(hours=1))
    assert "failed" == run.state
    assert isinstance(run.errors[0], AirflowTaskTimeout)
    assert stage.nothing_was_sent()


def test_a_task_that_is_killed_before_it_has_a_connection_sends_nothing(stage):
    """The task is killed while `pre_execute` runs, or while the worker imports the provider."""
    stage.segment(5)
    signals = [signal.SIGTERM]

    def before(_):
        if signals:
            signal.raise_signal(signals.pop())

    dag = export_dag("killed_early", stage.folder, conn_id=stage.connection(VENDOR), pre_execute=before, retries=1)
    run = stage.begin(dag)
    assert "up_for_retry" == run.go(dag)
    assert "Airflow has stopped the task" in run.error
    assert stage.nothing_was_sent()
    assert "success" == run.go(dag)
    assert 5 == len(stage.members(VENDOR))


def test_a_timeout_while_the_lease_is_acquired_leaves_no_lease(stage, monkeypatch):
    """A thread would renew it as long as the process lives."""
    start, watchers = Lease._start_watcher, []

    def interrupt(lease):
        start(lease)
        watchers.append(lease._watcher)
        signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(Lease, "_start_watcher", interrupt)
    stage.segment(5)
    run = stage.export(conn_id=stage.connection(VENDOR), execution_timeout=timedelta(hours=1))
    assert isinstance(run.errors[0], AirflowTaskTimeout)
    assert [False] == [watcher.is_alive() for watcher in watchers]


def test_a_kill_ends_the_run_although_the_interrupted_code_holds_a_lock(stage, s3_root, monkeypatch):
    """A signal handler runs in the middle of other code. If it waited for a lock of that code, the task would hang."""
    alive, real = [], pipeline.finish

    def kill(operator):
        with concurrent.futures.thread._global_shutdown_lock:
            operator.on_kill()

    def finish(*arguments):
        killer = threading.Thread(target=kill, args=[get_current_context()["task"]], daemon=True)
        killer.start()
        killer.join(5)
        alive.append(killer.is_alive())
        return real(*arguments)

    monkeypatch.setattr(pipeline, "finish", finish)
    stage.segment(25)
    stage.export(conn_id=stage.connection(VENDOR))
    assert [False] == alive
    assert 25 == len(stage.members(VENDOR))
