"""Tries that end half-way: killed, terminated, cleared. The next one continues, and the counts add up."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from airflow_fixtures import FIELD_MAPPING, export_dag, people
from airflow_home import FILES, HOME
from airflow_worker import Worker

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("ten_a_call")]

IN_FLIGHT = 4
"""Calls that both vendors are sent at a time."""


def batches(stage, vendor):
    """How often each batch arrived, by its content."""
    return Counter(json.dumps(call["body"]) for call in stage.sent(vendor))


def run_folders(stage):
    return sorted(path.name for path in (stage.folder / "state" / "runs").glob("*/*/*/*/*"))


def report(stage, generation="01"):
    [summary_file] = (stage.folder / "state" / "runs").glob(f"*/*/*/*/{generation}/summary.json")
    return json.loads(summary_file.read_text())


@pytest.mark.parametrize("effect", ["before", "after"])
def test_killed_between_calls_the_next_try_sends_the_rest(real_time, effect):
    """Calls that were answered are not made again; those in flight are, whether or not they took effect."""
    stage = real_time
    stage.sim.faults([{"path": "import.json", "nth": 4, "count": 0, "delay": 30, "when": effect}])
    worker = Worker.start(
        f"killed_{effect}",
        conn_id=stage.connection("campaign_monitor"),
        segment=stage.segment(95),
        field_mapping=FIELD_MAPPING,
    )
    first = worker.work(lambda: stage.arrived("import.json") >= 3 + IN_FLIGHT)
    assert "success" != first.state
    stage.sim.clear_faults()
    assert "success" == worker.work().state
    assert ["01"] == run_folders(stage)
    counts = report(stage)["counts"]
    assert (95, 95) == (counts["profiles"], counts["delivered"])
    assert 95 == len(stage.members("campaign_monitor"))
    arrived = batches(stage, "campaign_monitor")
    assert 10 == len(arrived)
    assert {1, 2} == set(arrived.values())
    assert IN_FLIGHT >= sum(count - 1 for count in arrived.values())


def test_killed_while_jobs_run_the_next_try_awaits_the_same_jobs(real_time):
    """A job that the vendor has accepted is not handed in again."""
    stage = real_time
    stage.sim.configure({"dotdigital": {"job_seconds": 3.0}})
    worker = Worker.start(
        "killed_with_jobs",
        conn_id=stage.connection("dotdigital"),
        segment=stage.segment(30),
        field_mapping=FIELD_MAPPING,
    )

    assert "success" != worker.work(lambda: stage.arrived("/import/.+") > 0).state
    assert "success" == worker.work().state
    assert {1} == set(batches(stage, "dotdigital").values())
    assert 30 == report(stage)["counts"]["delivered"] == len(stage.members("dotdigital"))


def test_a_terminated_task_ends_in_good_order(real_time):
    """On SIGTERM the calls in flight are awaited and written down, no further one begins, and the report is there."""
    stage = real_time
    stage.sim.faults([{"path": "import.json", "nth": 4, "count": 0, "delay": 0.7, "when": "after"}])
    worker = Worker.start(
        "told_to_end",
        conn_id=stage.connection("campaign_monitor"),
        segment=stage.segment(200),
        field_mapping=FIELD_MAPPING,
    )
    first = worker.work(lambda: stage.arrived("import.json") >= 3 + IN_FLIGHT, signal.SIGTERM)
    assert "failed" == first.state
    assert "Airflow has stopped the task" in first.log
    assert "Done so far, of 200 profiles" in first.log
    before = report(stage)
    assert not before["finished"]
    assert before["counts"]["delivered"] == len(stage.members("campaign_monitor")) < 200
    assert 200 == before["counts"]["delivered"] + before["counts"]["not_attempted"]
    stage.sim.clear_faults()
    assert "success" == worker.work().state
    assert {1} == set(batches(stage, "campaign_monitor").values())
    assert 200 == report(stage)["counts"]["delivered"]


def test_a_task_that_is_terminated_while_it_waits_ends_at_once(real_time):
    """Neither a vendor's long wait nor a slow job holds up the end."""
    stage = real_time
    stage.sim.faults([{"path": "clients.json", "count": 0, "status": 429, "headers": {"retry-after": "50"}}])
    worker = Worker.start(
        "told_while_waiting",
        conn_id=stage.connection("campaign_monitor"),
        segment=stage.segment(5),
        field_mapping=FIELD_MAPPING,
    )
    began = time.monotonic()
    first = worker.work(lambda: stage.arrived() >= 1, signal.SIGTERM)
    assert "Airflow has stopped the task" in first.log
    assert time.monotonic() - began < 20


def test_killed_after_its_end_the_next_try_tells_the_same(real_time):
    """The report was written, and Airflow never received it: nothing is sent again, until a user clears the task."""
    stage = real_time
    worker = Worker.start(
        "killed_at_the_end",
        conn_id=stage.connection("campaign_monitor"),
        segment=stage.segment(20),
        field_mapping=FIELD_MAPPING,
        mode="full",
        lingers=30,
    )
    folders = stage.folder / "state" / "runs"
    first = worker.work(lambda: any(folders.glob("*/*/*/*/01/summary.json")))
    assert "success" != first.state
    ended = report(stage)
    file = HOME / FILES / "killed_at_the_end.py"
    file.write_text(file.read_text().replace("'lingers': 30", "'lingers': 0"))
    second = worker.work()
    assert "success" == second.state
    assert "Returning the report of an earlier try" in second.log
    assert (["01"], ended) == (run_folders(stage), report(stage))
    assert 2 == len(stage.sent("campaign_monitor"))
    worker.clear()
    assert "success" == worker.work().state
    assert ["01", "02"] == run_folders(stage)
    assert 4 == len(stage.sent("campaign_monitor"))


def test_cleared_after_success_a_task_runs_anew(stage):
    """A finished run folder is left alone: the ledger says what there is to do, which is nothing."""
    stage.segment(7)
    dag = export_dag("cleared", stage.folder, conn_id=stage.connection("dotdigital"))
    run = stage.begin(dag)
    run.go(dag)
    sent = len(stage.sent("dotdigital"))
    run.clear()
    assert "success" == run.go(dag)
    assert ["01", "02"] == run_folders(stage)
    assert [7, 7] == [report(stage, "01")["counts"]["delivered"], report(stage, "02")["counts"]["unchanged"]]
    assert sent == len(stage.sent("dotdigital"))


def test_failed_half_way_and_cleared_a_task_goes_on(stage):
    """Credentials that were withdrawn and given again: the rest is sent, nothing twice."""
    stage.sim.faults(
        [{"path": "import.json", "nth": 3, "count": 0, "status": 401, "body": {"Code": 100, "Message": "no"}}]
    )
    stage.segment(60)
    dag = export_dag("withdrawn", stage.folder, conn_id=stage.connection("campaign_monitor"))
    run = stage.begin(dag)
    assert "failed" == run.go(dag)
    assert 20 == report(stage)["counts"]["delivered"] == len(stage.members("campaign_monitor"))
    stage.sim.clear_faults()
    run.clear()
    assert "success" == run.go(dag)
    assert ["01"] == run_folders(stage)
    assert 60 == report(stage)["counts"]["delivered"] == len(stage.members("campaign_monitor"))


def test_a_try_with_other_arguments_does_not_go_on_with_the_old_plan(stage, caplog):
    """A DAG that was mended, or a mapped index that means another pair by now, begins with a plan of its own."""
    stage.sim.faults([{"path": "/import", "nth": 2, "count": 0, "status": 401}])
    stage.segment(people(30))
    conn_id = stage.connection("dotdigital")
    run = stage.begin(dag := export_dag("mended", stage.folder, conn_id=conn_id))
    assert "failed" == run.go(dag)
    stage.sim.clear_faults()
    run.errors.clear()
    other = export_dag("mended", stage.folder, conn_id=conn_id, audience=stage.audience("dotdigital", 1))
    assert "success" == run.go(other)
    assert ["01", "02"] == run_folders(stage)
    assert 30 == len(stage.members("dotdigital", 1))
    assert Path(run.summary()["run_folder"]).name == "02"
    assert "arguments have changed since its last try" in caplog.text


def test_airflow_tries_again_what_may_succeed_later(stage):
    """A vendor that is down for longer than the worker waits costs a try, and the next one goes on."""
    stage.sim.faults([{"path": "import.json", "nth": 3, "count": 0, "status": 503}])
    stage.segment(50)
    conn_id = stage.connection("campaign_monitor")
    run = stage.begin(dag := export_dag("later", stage.folder, conn_id=conn_id, retries=2))
    assert "up_for_retry" == run.go(dag)
    stage.sim.clear_faults()
    assert "success" == run.go(dag)
    assert 2 == run.task().try_number
    assert "A retry resumes where this try stopped" in run.error
    assert 50 == report(stage)["counts"]["delivered"] == len(stage.members("campaign_monitor"))


def test_airflow_does_not_try_again_what_needs_a_person(stage):
    """Retries would only repeat the error, or lock the account."""
    stage.segment(5)
    conn_id = stage.connection("dotdigital", password="not-this-one")
    run = stage.export(conn_id=conn_id, retries=3, retry_delay=timedelta(0))
    assert ("failed", 1) == (run.state, run.task().try_number)
    assert 1 == len(stage.sim.requests())
