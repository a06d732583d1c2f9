"""An audience that another run is writing: the task releases its worker, names that run, and uses up no retry."""

from __future__ import annotations

import types
from datetime import UTC, datetime

import pytest
from airflow.models.taskreschedule import TaskReschedule
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowRescheduleException
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.errors import AudienceLocked
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.hooks import task_state
from airflow_provider_segexport.triggers import until

pytestmark = pytest.mark.airflow

HOLDER = "nightly/export/scheduled__2026-03-02T00:00:00+00:00/0"


@pytest.fixture
def busy(monkeypatch):
    """The audience is another's for the next two looks."""
    left = [2]
    real = Export.run

    def run(export):
        if left[0]:
            left[0] -= 1
            raise AudienceLocked(f"This audience is being written by {HOLDER}.", holder=HOLDER, retry_after_s=45.0)
        return real(export)

    monkeypatch.setattr(Export, "run", run)
    return left


def test_a_deferrable_task_waits_in_the_triggerer(stage, busy, monkeypatch, capsys):
    """It looks again when the holder's time is over, twice here, and then exports in its first try."""
    ahead = datetime.now(UTC).timestamp() - stage.sim.clock.now()

    async def sleep(seconds):
        stage.sim.clock.advance(seconds)

    monkeypatch.setattr(until, "asyncio", types.SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(until, "time", types.SimpleNamespace(time=lambda: stage.sim.clock.now() + ahead))
    stage.segment(4)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert ("success", 1) == (run.state, run.task().try_number)
    assert 4 == run.summary()["counts"]["delivered"]
    log = capsys.readouterr().out
    waiting = f"This audience is being written by {HOLDER}. Releasing the worker slot; the task resumes at "
    assert 2 == log.count(waiting)


def test_any_other_task_is_rescheduled(stage, busy):
    """As for a sensor: its worker is free in the meantime, and no retry is used up."""
    stage.segment(4)
    run = stage.begin(dag := export_dag("turns", stage.folder, conn_id=stage.connection("dotdigital"), retries=0))
    began = datetime.now(UTC)
    assert "up_for_reschedule" == run.go(dag)
    with create_session() as session:
        (reschedule,) = session.query(TaskReschedule).filter_by(ti_id=run.task().id)
        assert 44 <= (reschedule.reschedule_date - began).total_seconds() <= 60
    assert "up_for_reschedule" == run.go(dag)
    assert "success" == run.go(dag)
    assert [] == run.errors


def test_two_tasks_race_for_one_audience(stage, monkeypatch):
    """While one waits for its jobs, deferred, the other gives its place back; then it goes on, and both end well."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    conn_id = stage.connection("dotdigital")
    options = {"conn_id": conn_id, "as_of": "2026-03-01", "export_name": "racing"}
    first, second = (
        export_dag(f"race_{name}", stage.folder, segment=stage.segment(people(8, start=start), name), **options)
        for name, start in (("first", 0), ("second", 5))
    )
    first_run, other = stage.begin(first), stage.begin(second)
    left = []
    task = first.get_task("export")
    task.deferrable = True

    def defer(**_):
        left.append(True)
        with create_session() as session:
            first_run.dag_run.get_task_instance("export", session=session).state = TaskInstanceState.DEFERRED
            session.commit()
        assert "up_for_reschedule" == other.go(second)
        raise AirflowRescheduleException(datetime.now(UTC))

    monkeypatch.setattr(task, "defer", defer)
    assert "up_for_reschedule" == first_run.go(first)
    assert [True] == left
    assert 1 == len(stage.sent("dotdigital"))
    stage.sim.clock.advance(300)
    assert "success" == first_run.go(first)
    assert "success" == other.go(second)
    assert {f"person{n}@example.com" for n in range(13)} == set(stage.members("dotdigital"))
    assert 2 == len(stage.sent("dotdigital"))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (TaskInstanceState.RUNNING, True),
        (TaskInstanceState.DEFERRED, True),
        (TaskInstanceState.QUEUED, True),
        (TaskInstanceState.UP_FOR_RETRY, True),
        (TaskInstanceState.UP_FOR_RESCHEDULE, True),
        (TaskInstanceState.SUCCESS, False),
        (TaskInstanceState.FAILED, False),
        (TaskInstanceState.SKIPPED, False),
        (None, True),
    ],
)
def test_airflow_says_whether_a_holder_is_still_at_it(stage, state, expected):
    """Running, waiting and retrying tasks are running; ended ones are not. A task asks over the execution API."""
    held = stage.begin(dag := export_dag("holds", stage.folder, conn_id="any"), run_id=f"by_hand_{state}")
    with create_session() as session:
        held.dag_run.get_task_instance("export", session=session).state = state
    assert {"export"} == set(dag.task_ids)
    assert expected is is_running_in_task(stage, f"holds/export/by_hand_{state}/0")


@pytest.mark.parametrize("owner", ["", "hook/dotdigital/17", "holds/export/no_such_run/0", "no_dag/export/run/0"])
def test_of_some_holders_airflow_knows_nothing(stage, owner):
    """No task, no such run, another Airflow with the same state root: the lease's own time decides."""
    assert is_running_in_task(stage, owner) is None


@pytest.mark.parametrize("state", [DagRunState.FAILED, DagRunState.SUCCESS])
def test_a_deferred_task_of_a_run_that_has_ended_is_never_resumed(stage, state):
    """Airflow resumes tasks of running DAG runs only, so such a holder is not waited for."""
    held = stage.begin(export_dag("ended", stage.folder, conn_id="any"), run_id=f"ended_{state}")
    with create_session() as session:
        held.dag_run.get_task_instance("export", session=session).state = TaskInstanceState.DEFERRED
        session.merge(held.dag_run).state = state
    assert is_running_in_task(stage, f"ended/export/ended_{state}/0") is False


@pytest.mark.parametrize("what", ["run", "instance"])
def test_a_run_that_was_deleted_while_its_task_was_deferred_is_gone(stage, what):
    """The Airflow that ran it knows that it is gone. Another Airflow with the same state root does not know."""
    held = stage.begin(export_dag("gone", stage.folder, conn_id="any"), run_id=f"gone_{what}")
    owner = f"gone/export/gone_{what}/0"
    assert (False, False, False) == departed(stage, owner)
    with create_session() as session:
        gone = held.dag_run if what == "run" else held.task()
        session.delete(session.merge(gone))
    assert (True, False, False) == departed(stage, owner)


def departed(stage, owner):
    """Whether a task takes an owner for gone: one of its own Airflow, of another one, and of one without a mark."""
    with DAG("departs", schedule=None) as dag:

        @task
        def look():
            mark = task_state.airflow_id()
            assert mark
            assert mark == task_state.airflow_id(make=False)
            return [
                task_state.is_holder_gone(owner, mark),
                task_state.is_holder_gone(owner, "another"),
                task_state.is_holder_gone(owner, ""),
            ]

        look()
    return tuple(stage.run(dag).summary("look"))


def test_deleting_the_run_of_a_deferred_task_frees_the_audience(stage, monkeypatch):
    """The next look of a run that waits takes the audience over: it looks once a minute, and not for a day."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    options = {"conn_id": stage.connection("dotdigital"), "as_of": "2026-03-01", "export_name": "deleted"}
    first = export_dag("deleted_first", stage.folder, segment=stage.segment(people(8), "first"), **options)
    second = export_dag("deleted_second", stage.folder, segment=stage.segment(people(8), "second"), **options)
    first_run, other = stage.begin(first), stage.begin(second)
    deferred = first.get_task("export")
    deferred.deferrable = True

    def defer(**_):
        raise AirflowRescheduleException(datetime.now(UTC))

    monkeypatch.setattr(deferred, "defer", defer)
    assert "up_for_reschedule" == first_run.go(first)
    assert "up_for_reschedule" == other.go(second)
    with create_session() as session:
        session.delete(session.merge(first_run.dag_run))
    stage.sim.clock.advance(300)
    assert "success" == other.go(second)
    assert {f"person{n}@example.com" for n in range(8)} == set(stage.members("dotdigital"))


def test_of_a_mapped_holder_the_one_that_is_meant(stage):
    """Mapped task instances are distinguished by their index."""
    with DAG("maps", schedule=None) as dag:

        @task
        def each(number):
            if number == 1:
                raise ValueError

        each.expand(number=[0, 1])
    run = stage.run(dag)
    assert ["success", "failed"] == [str(instance.state) for instance in run.instances("each")]
    run_id = run.dag_run.run_id
    with create_session() as session:
        session.merge(run.task("each", 1)).state = TaskInstanceState.UP_FOR_RETRY
    assert [False, True, None] == [is_running_in_task(stage, f"maps/each/{run_id}/{index}") for index in range(3)]


def test_outside_a_task_no_api_is_called():
    """A command or a script has no execution API."""
    assert task_state.is_task_running(HOLDER) is None


def is_running_in_task(stage, owner):
    """The answer that a task gets for an owner."""
    with DAG("asks", schedule=None) as dag:

        @task
        def look():
            return str(task_state.is_task_running(owner))

        look()
    answers = {"True": True, "False": False, "None": None}
    return answers[stage.run(dag).summary("look")]
