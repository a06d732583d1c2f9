"""The trigger: it waits for import jobs, carries ids only, and leaves every error for the worker to meet."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow_fixtures import people

from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.triggers.import_jobs import (
    JOBS_ENDED,
    MAX_FAILURES,
    MIN_WAIT_S,
    RUN_AGAIN,
    ImportJobsTrigger,
)
from airflow_provider_segexport.vendors import dotdigital

pytestmark = pytest.mark.airflow


def jobs(stage, *scripts):
    """Import jobs at dotdigital that go through these states, one a look; returns hook and job_ids."""
    stage.sim.act("dotdigital", "script_jobs", {"scripts": [list(script) for script in scripts]})
    hook = DotdigitalHook(stage.connection("dotdigital"))
    target = hook.resolve_audience()
    job_ids = []
    for number in range(len(scripts)):
        items = [json.dumps({"matchIdentifier": "email", "identifiers": {"email": people(1, start=number).email[0]}})]
        batch = dotdigital_batch(items, number)
        job_ids.append(hook.run_operation(dotdigital.VENDOR.upsert(target, batch)).id)
    return hook, job_ids


def dotdigital_batch(items, number):
    from airflow_provider_segexport.model import Batch

    return Batch(f"batch{number}", [0], [f"person{number}@example.com"], items)


def trigger_for(hook, job_ids, *, min_done=None, poll_interval=7.0):
    return ImportJobsTrigger(
        vendor="dotdigital",
        conn_id=hook.conn_id,
        base_url=hook.settings.endpoint.base_url,
        audience=hook.settings.audience,
        job_ids=job_ids,
        min_done=len(job_ids) if min_done is None else min_done,
        poll_interval=poll_interval,
    )


def event(trigger):
    """The one event that a trigger ends with."""

    async def first():
        return [event.payload async for event in trigger.run()]

    [first_event] = asyncio.run(first())
    return first_event


def test_serialized_and_made_anew_it_is_the_same(stage):
    """The triggerer stores what it needs to make the trigger again, and holds ids only."""
    trigger = ImportJobsTrigger(
        vendor="dotdigital",
        conn_id="c",
        base_url="https://x.test",
        audience="1",
        job_ids=("a", "b"),
        min_done=1,
        poll_interval=9,
    )
    path, kwargs = trigger.serialize()
    assert f"{ImportJobsTrigger.__module__}.ImportJobsTrigger" == path
    assert (path, kwargs) == ImportJobsTrigger(**json.loads(json.dumps(kwargs))).serialize()


def test_it_sleeps_before_it_looks(stage, naps):
    """Airflow may fail a task whose trigger fires at once: even finished jobs are looked at after a while."""
    hook, job_ids = jobs(stage, ["Finished"])
    assert {"status": JOBS_ENDED} == event(trigger_for(hook, job_ids, poll_interval=0.1))
    assert [MIN_WAIT_S] == naps


def test_it_waits_until_all_jobs_have_ended(stage, naps):
    """It looks every poll interval, and fires when the last job has ended, well or not."""
    hook, job_ids = jobs(stage, ["NotFinished", "NotFinished", "Finished"], ["NotFinished", "Failed"])
    assert {"status": JOBS_ENDED} == event(trigger_for(hook, job_ids))
    assert [7.0, 7.0, 7.0] == naps


def test_it_fires_as_soon_as_enough_have_ended(stage, naps):
    """A worker with more to send does not wait for the slowest job."""
    hook, job_ids = jobs(stage, ["NotFinished"] * 9, ["NotFinished", "Finished"])
    assert {"status": JOBS_ENDED} == event(trigger_for(hook, job_ids, min_done=1))
    assert 2 == len(naps)


def test_an_outage_is_sat_out(stage, naps):
    """A vendor that is down for some looks costs nothing but time."""
    hook, job_ids = jobs(stage, ["Finished"])
    stage.sim.faults([{"path": "/contacts/v3/import/", "count": 12, "status": 503}])
    assert {"status": JOBS_ENDED} == event(trigger_for(hook, job_ids))
    assert 3 == len(naps)


def test_after_many_failures_the_worker_looks_itself(stage, naps):
    """The worker meets the same error, which is logged there and counted as a try."""
    hook, job_ids = jobs(stage, ["Finished"])
    stage.sim.faults([{"path": "/contacts/v3/import/", "count": 0, "status": 503}])
    assert {"status": RUN_AGAIN} == event(trigger_for(hook, job_ids))
    assert MAX_FAILURES == len(naps)


def test_an_error_that_needs_a_person_is_left_to_the_worker(stage, naps):
    """If credentials were changed in the meantime, the waiting ends at the first poll."""
    hook, job_ids = jobs(stage, ["Finished"])
    stage.connection("dotdigital", hook.conn_id, password="changed-since")
    assert {"status": RUN_AGAIN} == event(trigger_for(hook, job_ids))
    assert 1 == len(naps)


def test_a_connection_that_is_gone_is_left_to_the_worker(stage, naps, monkeypatch):
    """A trigger never fails by itself: the task would end without a report."""
    hook, job_ids = jobs(stage, ["Finished"])
    monkeypatch.delenv(f"AIRFLOW_CONN_{hook.conn_id.upper()}")
    assert {"status": RUN_AGAIN} == event(trigger_for(hook, job_ids))


def test_an_unforeseen_error_is_left_to_the_worker(stage, naps, monkeypatch, capsys):
    """Also a bug: its type is logged, its text is not."""
    hook, job_ids = jobs(stage, ["Finished"])
    monkeypatch.setattr(ImportJobsTrigger, "_ended", lambda self: {}["ann@example.com"])
    assert {"status": RUN_AGAIN} == event(trigger_for(hook, job_ids))
    log = capsys.readouterr().out
    assert "KeyError" in log
    assert "ann@" not in log


def test_a_quota_that_is_used_up_is_not_spent_on_looking(stage, naps, monkeypatch):
    """After a look that had to wait for its calls, the next one comes later than the interval."""
    hook, job_ids = jobs(stage, ["NotFinished", "NotFinished", "Finished"])
    stage.sim.faults([{"vendor": "dotdigital", "path": "import/", "status": 429, "headers": {"Retry-After": "6"}}])
    assert {"status": JOBS_ENDED} == event(trigger_for(hook, job_ids))
    assert [7.0, 30.0, 7.0] == naps


def test_jobs_that_take_people_out_are_asked_for_in_their_own_way(stage, naps, monkeypatch):
    """A mirror's leavers leave by jobs of another kind, at an address of their own: the trigger waits for those."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    made = []
    real = ImportJobsTrigger.serialize
    monkeypatch.setattr(ImportJobsTrigger, "serialize", lambda self: made.append(self.kind) or real(self))
    options = {"conn_id": stage.connection("dotdigital"), "mode": "mirror", "deferrable": True}
    stage.segment(20)
    assert "success" == stage.export(**options, as_of="2026-03-01").state
    stage.segment(18)
    run = stage.export(**options, as_of="2026-03-02")
    assert "success" == run.state, run.errors
    assert 2 == run.summary()["removals"]["removed"]
    assert {"", "remove-"} == set(made)
    assert 18 == len(stage.members("dotdigital"))
