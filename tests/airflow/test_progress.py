"""The progress of a run is in Airflow's task state store while it runs, and not after."""

from __future__ import annotations

import json

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.utils.session import create_session
from airflow_fixtures import export_dag

from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.hooks import progress
from airflow_provider_segexport.simulator import ManualClock

pytestmark = pytest.mark.airflow

store_of = pytest.importorskip("airflow.models.task_state_store", reason="Airflow has the store since 3.3")


def stored(run):
    """The store's content for a run's tasks: the UI's Storage tab shows it."""
    with create_session() as session:
        about = {"run_id": run.dag_run.run_id, "dag_id": run.dag_run.dag_id}
        rows = session.query(store_of.TaskStateStoreModel).filter_by(**about)
        return {row.key: json.loads(row.value) for row in rows}


def test_a_run_that_stopped_says_where(stage):
    """Counts, phase and run folder, and why it stopped; no person's address."""
    stage.sim.faults([{"path": "import.json", "count": 0, "status": 401, "body": {"Code": 100, "Message": "no"}}])
    stage.segment(20)
    run = stage.begin(dag := export_dag("stopped", stage.folder, conn_id=stage.connection("campaign_monitor")))
    assert "failed" == run.go(dag)
    progress_value = stored(run)["segexport"]
    assert "stopped" == progress_value["phase"]
    assert "API key" in progress_value["why"]
    assert progress_value["run_folder"].startswith(str(stage.folder / "state" / "runs"))
    assert "@" not in json.dumps(progress_value)


def test_cleared_after_success_it_runs_again_and_the_ledger_decides(stage):
    """Nothing is left in the store that a cleared task could take for its own work: it starts again."""
    stage.segment(7)
    dag = export_dag("cleared_progress", stage.folder, conn_id=stage.connection("dotdigital"))
    run = stage.begin(dag)
    assert "success" == run.go(dag)
    assert {} == stored(run)
    run.clear()
    stage.segment(9)
    assert "success" == run.go(dag)
    assert {} == stored(run)
    assert (2, 7) == (run.summary()["counts"]["delivered"], run.summary()["counts"]["unchanged"])
    assert 9 == len(stage.members("dotdigital"))


def test_a_task_that_waits_says_for_how_many_jobs(stage):
    """While it is deferred the store holds the reason for the deferral."""
    stage.sim.configure({"dotdigital": {"job_seconds": 600.0}})
    stage.segment(5)
    run = stage.begin(dag := export_dag("waits", stage.folder, conn_id=stage.connection("dotdigital")))
    seen = []
    export = dag.get_task("export")
    export.deferrable = True
    export.defer = lambda **_: seen.append(stored(run)) or (_ for _ in ()).throw(RuntimeError("left"))
    run.go(dag)
    assert [("waiting", 1)] == [(state["segexport"]["phase"], state["segexport"]["jobs"]) for state in seen]


class Store:
    """A store that counts its calls, and may be out of order."""

    def __init__(self, error=None):
        self.held, self.writes, self.error = {}, 0, error

    def set(self, key, value):
        self.writes += 1
        if self.error:
            raise self.error
        self.held[key] = value

    def delete(self, key):
        if self.error:
            raise self.error
        self.held.pop(key, None)


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A progress with a store and a clock of its own."""

    def make(error=None):
        clock, store = ManualClock(), Store(error)
        monkeypatch.setattr(progress, "task_state_store", lambda: store)
        folder = progress.RunFolder(tmp_path)
        return progress.Progress(folder, clock.now), store, clock

    return make


def test_it_is_written_now_and_then(shown):
    """A thousand batches a minute make six writes; another phase is written at once."""
    shown_progress, store, clock = shown()
    for settled in range(1_000):
        shown_progress.update({"phase": "sending", "settled": settled, "batches": 1_000})
        clock.advance(0.06)
    assert 6 == store.writes
    shown_progress.update({"phase": "reporting"})
    assert ("reporting", 7) == (store.held["segexport"]["phase"], store.writes)


@pytest.mark.parametrize(
    "error",
    [
        AirflowRuntimeError(ErrorResponse(detail={"status": 422})),
        ImportError(),
        BrokenPipeError(),
        TypeError(),
        KeyError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_store_out_of_order_stops_nothing(shown, caplog, error):
    """The export goes on, and the log says once that it cannot be watched. A store's backend may raise anything."""
    shown_progress, store, clock = shown(error)
    for _ in range(3):
        shown_progress.update({"phase": "sending"})
        clock.advance(60)
    shown_progress.clear()
    assert 1 == store.writes
    assert type(error).__name__ in caplog.text


def test_airflow_before_the_store_and_no_airflow_at_all(monkeypatch, tmp_path):
    """Without a store there is nothing to write to, and nothing happens."""
    monkeypatch.setattr(progress, "task_state_store", lambda: None)
    shown_progress = progress.Progress(progress.RunFolder(tmp_path), lambda: 0.0)
    shown_progress.update({"phase": "sending"})
    shown_progress.clear()


def test_outside_a_task_there_is_no_store():
    """A hook that a script calls has no task to write for."""
    assert progress.task_state_store() is None


def test_progress_reaches_the_store(stage, monkeypatch):
    """The core's own words are stored as they are, beside the run folder."""

    def run(export):
        export._context.environment.on_progress({"phase": "sending", "settled": 3, "batches": 9, "jobs": 2})
        raise RuntimeError

    monkeypatch.setattr(Export, "run", run)
    stage.segment(3)
    began = stage.begin(dag := export_dag("told", stage.folder, conn_id=stage.connection("dotdigital")))
    began.go(dag)
    assert {"phase": "sending", "settled": 3, "batches": 9, "jobs": 2}.items() <= stored(began)["segexport"].items()


def test_a_run_tells_its_phases(stage, monkeypatch, ten_a_call):
    """Checking, sending with its batches, removing: each phase is written when it begins."""
    updates = []
    monkeypatch.setattr(progress.Progress, "update", lambda _, update: updates.append(dict(update)))
    conn_id = stage.connection("campaign_monitor")
    for day, count in (("2026-03-01", 40), ("2026-03-02", 38)):
        stage.segment(count)
        updates.clear()
        run = stage.export(conn_id=conn_id, mode="mirror", as_of=day)
        assert "success" == run.state, run.errors
        if count == 40:
            sending = [update for update in updates if update["phase"] == "sending"]
            assert (4, 4) == (sending[-1]["settled"], sending[-1]["batches"])
    assert "checking" == updates[0]["phase"]
    assert "removing" in {update["phase"] for update in updates}
