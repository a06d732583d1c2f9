"""The example of an export that asks a person, on a running Airflow: the request, the answer, and what follows."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from airflow_live import wait_for

from unification.data_files import write_atomically

DAG = "segment_export_with_approval"
NUMBERS = itertools.count(10)


@pytest.fixture
def exporting(live):
    """Starts a run for a segment of these persons; returns its id. The audience is dotdigital's third."""

    def go(numbers):
        write(live, numbers)
        return live.trigger(
            DAG, segment="lapsed", connection="dotdigital_default", audience=live.sim.audience("dotdigital", 2)
        )

    return go


def write(live, numbers):
    """The segment of another day."""
    emails = [f"approved{n}@example.com" for n in numbers]
    table = pa.table({"email": emails, "first_name": ["x"] * len(emails), "last_name": ["y"] * len(emails)})
    write_atomically(table, f"{live.home}/data/segments/lapsed/2026-03-{next(NUMBERS)}/part-0.parquet")


def members(live):
    return {int(email[8:].split("@")[0]) for email in live.sim.members("dotdigital", 2)}


def ended(live, run_id):
    """The states of the run's tasks, when it is over."""
    over = {"success", "failed"}
    wait_for(lambda: live.api("GET", f"/dags/{DAG}/dagRuns/{run_id}")["state"] in over, "the run's end")
    return {name: live.task(DAG, run_id, name)["state"] for name in ("plan", "ask", "export")}


def request_of(live, run_id):
    """Wait for the request; returns what the person sees.

    Who answers before the scheduler has heard that the task waits makes it fail (Airflow 3.3.2): no person does.
    """
    wait_for(lambda: live.task(DAG, run_id, "ask")["state"] in {"awaiting_input", "deferred"}, "the request")
    log_entry = f"task_id=ask, run_id={run_id}"
    wait_for(lambda: log_entry in (live.home / "scheduler.log").read_text(), "the scheduler's word that it waits")
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/ask/-1/hitlDetails"
    return live.api("GET", path)


def test_an_ordinary_plan_needs_no_approval(live, exporting):
    """The first export of an audience comes near no guard: it follows at once."""
    assert {"plan": "success", "ask": "skipped", "export": "success"} == ended(live, exporting(range(40)))
    assert set(range(40)) == members(live)


def test_a_plan_that_takes_many_out_waits_for_a_person(live, exporting):
    """The request shows the counts and the guard's words; approved, exactly that plan is carried out."""
    run_id = exporting(range(20, 42))
    request = request_of(live, run_id)
    assert "Export lapsed?" == request["subject"]
    assert "| would be removed | 20 |" in request["body"]
    assert "20 of 40 people would be taken out of the audience." in request["body"]
    assert "@" not in request["body"]
    assert set(range(40)) == members(live)
    live.answer(DAG, run_id, "ask", "Approve")
    assert {"plan": "success", "ask": "success", "export": "success"} == ended(live, run_id)
    assert set(range(20, 42)) == members(live)


def test_a_rejected_plan_is_not_carried_out(live, exporting):
    """Nothing is sent, and the run says that it was skipped."""
    before = members(live)
    run_id = exporting(range(30, 42))
    request_of(live, run_id)
    live.answer(DAG, run_id, "ask", "Reject")
    assert "skipped" == ended(live, run_id)["export"]
    assert before == members(live)


def test_a_segment_that_has_changed_since_is_refused(live, exporting):
    """The very files that were planned are others by now: the approval is worth nothing, and nothing is sent."""
    before = members(live)
    run_id = exporting(range(35, 42))
    request_of(live, run_id)
    [day] = sorted((live.home / "data" / "segments" / "lapsed").iterdir())[-1:]
    emails = [f"approved{n}@example.com" for n in range(36, 43)]
    write_atomically(
        pa.table({"email": emails, "first_name": ["x"] * 7, "last_name": ["y"] * 7}), f"{day}/part-0.parquet"
    )
    live.answer(DAG, run_id, "ask", "Approve")
    assert "failed" == ended(live, run_id)["export"]
    assert "The plan differs from the approved plan" in live.log(DAG, run_id)
    assert before == members(live)
