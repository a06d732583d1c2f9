"""Bounded waits of tasks: `job_timeout`, `execution_timeout` while deferred, and lines in the log."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.hooks.paths import HEARTBEAT_S
from airflow_provider_segexport.operators import waits
from airflow_provider_segexport.triggers import until
from airflow_provider_segexport.triggers.import_jobs import RUN_AGAIN, ImportJobsTrigger
from airflow_provider_segexport.triggers.until import UntilTrigger

pytestmark = pytest.mark.airflow

HOUR = 3600.0
KEPT_S = 0.001
"""The journal keeps the moment at which a job was accepted in milliseconds."""


@pytest.fixture
def stuck(stage):
    """A connection to a vendor whose jobs do not end."""
    stage.sim.configure({"dotdigital": {"job_seconds": 1e9}})
    stage.segment(people(3))
    return stage.connection("dotdigital")


def waits_in_log(caplog):
    return [record for record in caplog.records if record.getMessage().startswith("Waiting for jobs at the vendor")]


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_task_whose_jobs_do_not_end_fails_and_is_not_tried_again(stage, naps, stuck, deferrable):
    """The message names the job and the limit; a retry would wait for the same job."""
    began = stage.sim.clock.now()
    run = stage.export(conn_id=stuck, deferrable=deferrable, job_timeout="90 min", retries=3, poll_interval="45 min")
    assert "failed" == run.task().state
    assert isinstance(run.errors[0], AirflowFailException)
    assert "`job_timeout` is 1.5 h" in run.error
    assert "To fix: " in run.error
    assert 1.5 * HOUR - KEPT_S <= stage.sim.clock.now() - began < 1.7 * HOUR
    assert bool(naps) == deferrable
    assert 1 == len(stage.sent("dotdigital"))


def test_hook_export_is_bounded_alike(stage, stuck, monkeypatch):
    """From a program, with a timedelta."""
    monkeypatch.setattr(type(get_hook(stuck)), "clock", staticmethod(stage.sim.clock.now), raising=False)
    with pytest.raises(AirflowFailException, match="`job_timeout` is 2 h"):
        get_hook(stuck).export(people(2), FIELD_MAPPING, job_timeout=timedelta(hours=2))


def test_a_worker_that_waits_logs_a_line_every_five_minutes(stage, stuck, caplog):
    """An hour of waiting has a dozen lines at least."""
    with caplog.at_level(logging.INFO):
        stage.export(conn_id=stuck, deferrable=False, job_timeout="1h", poll_interval=20)
    assert len(waits_in_log(caplog)) >= 12


@pytest.mark.parametrize("seconds", [1000, 100_000])
def test_one_long_wait_logs_lines_too(stage, stuck, caplog, seconds):
    """A vendor's quota, the lease of a dead worker: whatever a worker waits for."""
    with caplog.at_level(logging.INFO):
        get_hook(stuck).interruptible_sleep(seconds)
    lines = [record for record in caplog.records if record.getMessage().startswith("Waiting (left_s=")]
    assert len(lines) >= seconds // 300


def test_many_short_waits_log_lines_too(stage, stuck, caplog):
    """A loop of short waits is as quiet as a long one."""
    hook = get_hook(stuck)
    with caplog.at_level(logging.INFO):
        for _ in range(400):
            hook.interruptible_sleep(15)
    assert 400 * 15 // 300 <= len([record for record in caplog.records if "Waiting (left_s" in record.getMessage()])


def trigger(stuck, **options):
    common = {
        "vendor": "dotdigital",
        "conn_id": stuck,
        "base_url": "http://x",
        "audience": "1",
        "job_ids": ["a"],
        "min_done": 1,
    }
    return ImportJobsTrigger(**common | {"poll_interval": 1800.0} | options)


def test_a_trigger_that_sleeps_for_long_logs_lines(stage, naps, stuck):
    """No sleep is longer than the time between two lines."""
    asyncio.run(trigger(stuck)._sleep())
    assert 1800 == sum(naps)
    assert max(naps) <= HEARTBEAT_S < 300


def test_a_trigger_is_not_late_for_the_timeout(stage, naps, stuck):
    """The next look is due when the time is over, and not a poll interval later."""
    late = trigger(stuck, until=stage.sim.clock.now() + 700)
    asyncio.run(late._sleep())
    assert 700 == sum(naps)
    assert late._is_late


def test_a_trigger_of_an_earlier_version_has_no_timeout(stage, stuck):
    """A stored trigger is still understood."""
    path, kwargs = trigger(stuck).serialize()
    assert kwargs.pop("until") is None
    assert ImportJobsTrigger(**kwargs).until is None
    assert path.endswith("ImportJobsTrigger")


def test_a_trigger_that_waits_for_a_moment_logs_lines(monkeypatch):
    """A quota that opens in hours."""
    now, lines = [0.0], []

    async def nap(seconds):
        now[0] += seconds

    # Not the modules' own functions, because the simulator's thread calls `asyncio.sleep` ten times a second.
    monkeypatch.setattr(until, "asyncio", SimpleNamespace(sleep=nap))
    monkeypatch.setattr(until, "time", SimpleNamespace(time=lambda: now[0]))
    waiting = UntilTrigger(moment=3600.0)
    monkeypatch.setattr(waiting, "_log", SimpleNamespace(info=lambda text, *_: lines.append(text)), raising=False)

    async def first():
        return [event.payload async for event in waiting.run()]

    assert [{"status": RUN_AGAIN}] == asyncio.run(first())
    assert len(lines) >= 12


@pytest.mark.parametrize(
    ("limit", "ago", "expected"),
    [
        (None, 5, timedelta(hours=2, minutes=10)),
        (timedelta(hours=1), 0, timedelta(hours=1)),
        (timedelta(hours=1), 50, timedelta(minutes=10)),
        (timedelta(hours=1), 70, timedelta(seconds=1)),
        (timedelta(hours=5), 0, timedelta(hours=2, minutes=10)),
    ],
)
def test_execution_timeout_counts_while_the_task_is_deferred(stage, stuck, limit, ago, expected):
    """Airflow counts only the time in the worker: what is left becomes the deferral's timeout."""
    hook = get_hook(stuck)
    jobs = SimpleNamespace(job_ids=("a",), min_done=1, base_url="x", audience="1", kind="upsert", since=hook.clock())
    timeout = waits.max_deferral(limit, datetime.now(UTC) - timedelta(minutes=ago))
    wait = waits.wait_for_jobs(hook, jobs, job_timeout_s=2 * HOUR, poll_interval_s=30, timeout=timeout)
    assert abs(wait.timeout - expected) < timedelta(seconds=5)


def test_the_longest_job_timeout_has_its_ten_minutes_too(stage, stuck):
    """Airflow must not end the deferral while the trigger fires."""
    hook = get_hook(stuck)
    jobs = SimpleNamespace(job_ids=("a",), min_done=1, base_url="x", audience="1", kind="upsert", since=hook.clock())
    timeout = waits.max_deferral(None, datetime.now(UTC))
    wait = waits.wait_for_jobs(hook, jobs, job_timeout_s=24 * HOUR, poll_interval_s=30, timeout=timeout)
    assert abs(wait.timeout - timedelta(hours=24, minutes=10)) < timedelta(seconds=5)


def test_a_deferral_is_limited_by_what_is_left_of_job_timeout(stage, stuck):
    """A second deferral does not start the time again."""
    hook = get_hook(stuck)
    jobs = SimpleNamespace(
        job_ids=("a",), min_done=1, base_url="x", audience="1", kind="upsert", since=hook.clock() - 1.5 * HOUR
    )
    timeout = waits.max_deferral(None, datetime.now(UTC))
    wait = waits.wait_for_jobs(hook, jobs, job_timeout_s=2 * HOUR, poll_interval_s=30, timeout=timeout)
    assert wait.trigger.until == jobs.since + 2 * HOUR
    assert abs(wait.timeout - timedelta(minutes=40)) < timedelta(seconds=5)
