"""Waiting on a running Airflow: processes that die while a task is deferred, two tasks that race for an audience."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_live import wait_for

IMPORTS = "/contacts/v3/import"


def write(live, name, start, count=30):
    """A segment of so many persons."""
    (live.home / "data").mkdir(exist_ok=True)
    emails = [f"someone{n}@example.com" for n in range(start, start + count)]
    table = pa.table({"email": emails, "first_name": [name] * count})
    pq.write_table(table, live.home / "data" / f"{name}.parquet")
    return set(emails)


@pytest.fixture
def slow_jobs(live):
    """Import jobs take a while."""
    live.sim.post("/settings", {"dotdigital": {"job_seconds": 30.0}})
    yield
    live.sim.post("/settings", {"dotdigital": {"job_seconds": 0.1}})


def test_scheduler_worker_and_triggerer_die_while_a_task_is_deferred(live, slow_jobs):
    """Started again, the triggerer waits on for the same job, and a new worker settles it: one import, no row lost."""
    people = write(live, "export_deferred", 0)
    before = len(live.sim.calls("dotdigital", IMPORTS))
    run_id = live.trigger("export_deferred")
    wait_for(lambda: live.task("export_deferred", run_id)["state"] == "deferred", "deferred")
    for part in ("scheduler", "triggerer"):
        live.kill(part)
    for part in ("scheduler", "triggerer"):
        live.start(part)
    live.finished("export_deferred", 1)
    assert "success" == live.task("export_deferred", run_id)["state"]
    assert people == set(live.sim.members("dotdigital", 0))
    assert 1 == len(live.sim.calls("dotdigital", IMPORTS)) - before


def test_two_tasks_race_for_one_audience(live, slow_jobs):
    """One of them writes, the other releases its slot and names the run that it waits for; both end well, in turn."""
    first, second = write(live, "export_first", 100), write(live, "export_second", 110)
    before = len(live.sim.calls("dotdigital", IMPORTS))
    runs = {name: live.trigger(name) for name in ("export_first", "export_second")}
    waiting = wait_for(
        lambda: [name for name, run in runs.items() if live.task(name, run)["state"] == "up_for_reschedule"],
        "one that waits",
    )
    assert 1 == len(waiting)
    for name in runs:
        live.finished(name, 1)
    assert ["success", "success"] == [live.task(name, run)["state"] for name, run in runs.items()]
    assert [1, 1] == [live.task(name, run)["try_number"] for name, run in runs.items()]
    assert first | second == set(live.sim.members("dotdigital", 1))
    call, other = live.sim.calls("dotdigital", IMPORTS)[before:]
    assert other["time"] - call["time"] >= 30
    log = live.log(waiting[0], runs[waiting[0]])
    assert "This audience is being written by " in log
    assert "Releasing the worker slot; the task resumes at " in log
