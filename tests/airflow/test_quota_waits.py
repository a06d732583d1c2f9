"""A day's calls are used up: the task gives its place back until the vendor lets calls through again."""

from __future__ import annotations

import asyncio
import types
from datetime import UTC, datetime

import pytest
from airflow.models.taskreschedule import TaskReschedule
from airflow.utils.session import create_session
from airflow_fixtures import export_dag

from airflow_provider_segexport.triggers import until
from airflow_provider_segexport.triggers.until import UntilTrigger

pytestmark = pytest.mark.airflow

VENDOR = "constant_contact"
DAY, HOUR = 86_400, 3_600


@pytest.fixture
def evening(stage):
    """Eleven in the evening, UTC, of the simulator's current day, and a login that lasts past midnight."""
    stage.sim.clock.advance(DAY - (stage.sim.clock.now() + HOUR) % DAY)
    stage.sim.reset(seed=1)
    stage.spend = lambda calls: stage.sim.act(VENDOR, "spend", {"calls": calls})
    return stage


@pytest.fixture
def trigger_time(evening, monkeypatch):
    """The triggerer's time is the simulator's; returns the seconds that were slept there."""
    slept = []
    ahead = datetime.now(UTC).timestamp() - evening.sim.clock.now()

    async def sleep(seconds):
        slept.append(seconds)
        evening.sim.clock.advance(seconds)

    monkeypatch.setattr(until, "asyncio", types.SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(until, "time", types.SimpleNamespace(time=lambda: evening.sim.clock.now() + ahead))
    return slept


def test_a_deferrable_task_waits_in_the_triggerer(evening, trigger_time, capsys):
    """It says until when, sleeps there, costs no retry, and then exports."""
    evening.segment(20)
    evening.spend(10_000)
    run = evening.export(conn_id=evening.connection(VENDOR), deferrable=True)
    assert "success" == run.state
    assert 20 == run.summary()["counts"]["delivered"]
    assert 1 == run.task().try_number
    assert 3_600 <= sum(trigger_time) <= 3_700
    log = capsys.readouterr().out
    assert "has used its 10,000 daily calls at Constant Contact; the quota resets at midnight UTC" in log
    assert "Releasing the worker slot; the task resumes at" in log


def test_the_day_ends_in_the_middle_of_an_export(evening, trigger_time):
    """Settled rows stay so: the batches that are left go out after midnight."""
    evening.segment(20)
    conn_id = evening.connection(VENDOR)
    evening.export(conn_id=conn_id)
    before = len(evening.sent(VENDOR))
    evening.segment(40)
    used = len([call for call in evening.sim.requests(vendor=VENDOR) if not call["path"].endswith("/token")])
    evening.spend(10_000 - used - 9)  # enough to check and to read the list back, and for no import
    run = evening.export(conn_id=conn_id, deferrable=True)
    assert (20, 20) == (run.summary()["counts"]["delivered"], run.summary()["counts"]["unchanged"])
    assert 1 == len(evening.sent(VENDOR)) - before - sum(call["status"] == 429 for call in evening.sent(VENDOR))
    assert sum(trigger_time) > 3_000


def test_any_other_task_is_rescheduled(evening, capsys):
    """Its worker is free until the moment that Airflow's scheduler then keeps to; the same try goes on."""
    evening.segment(20)
    evening.spend(10_000)
    dag = export_dag("exports", evening.folder, conn_id=evening.connection(VENDOR), deferrable=False)
    run = evening.begin(dag)
    began = datetime.now(UTC)
    assert "up_for_reschedule" == run.go(dag)
    with create_session() as session:
        (reschedule,) = session.query(TaskReschedule).filter_by(ti_id=run.task().id)
        assert 3_590 <= (reschedule.reschedule_date - began).total_seconds() <= 3_660
    assert "Releasing the worker slot; the task resumes at" in capsys.readouterr().out
    assert [] == run.errors
    evening.sim.clock.advance(3_601)
    assert "success" == run.go(dag)
    assert 20 == len(evening.members(VENDOR))


def test_a_short_wait_keeps_its_place(evening, trigger_time):
    """Calls that came too fast are accepted a second later: no task is deferred for that."""
    evening.sim.faults([{"vendor": VENDOR, "path": "summary", "status": 429, "body": {"error_key": "throttled"}}])
    evening.segment(5)
    assert "success" == evening.export(conn_id=evening.connection(VENDOR), deferrable=True).state
    assert [] == trigger_time


def test_the_trigger_carries_a_moment_and_nothing_else():
    """Airflow's stored form of it makes the same one again, and it does not fire at once."""
    path, given = UntilTrigger(moment=1_767_312_001.0).serialize()
    assert ("airflow_provider_segexport.triggers.until.UntilTrigger", {"moment": 1_767_312_001.0}) == (path, given)


def test_a_moment_that_has_passed(monkeypatch):
    """It fires after the few seconds that Airflow needs to let a task go."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(until, "asyncio", types.SimpleNamespace(sleep=sleep))

    async def fired():
        return [event.payload async for event in UntilTrigger(moment=0).run()]

    assert [{"status": "run_again"}] == asyncio.run(fired())
    assert [5.0] == slept
