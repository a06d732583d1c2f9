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
    """Started again, the triggerer waits on for the same job, and a new worker settles it: one import, nobody lost."""
    people = write(live, "export_deferred", 0)
    run_id = live.trigger("export_deferred")
    wait_for(lambda: live.task("export_deferred", run_id)["state"] == "deferred", "deferred")
    for part in ("scheduler", "triggerer"):
        live.kill(part)
    for part in ("scheduler", "triggerer"):
        live.start(part)
    live.finished("export_deferred", 1)
    assert "success" == live.task("export_deferred", run_id)["state"]
    assert people == set(live.sim.members("dotdigital", 0))
    assert 1 == len(live.sim.calls("dotdigital", IMPORTS))
