"""The vendor calls of a run: in its run folder at its end, in the command and on the page."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.hooks import get_hook
from airflow_provider_segexport.storage.calls import FILE, read_calls
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_call_of_a_run_is_recorded_without_a_person(stage, command, vendor):
    """As many as the report counts, and the simulator has seen; with removals and opt-outs, in the second run."""
    conn_id = stage.connection(vendor)
    arguments = {
        "conn_id": conn_id,
        "mode": "mirror",
        "fetch_optouts": True,
        "guards": {"max_shrink": None, "max_removals_share": None},
    }
    for rows in (people(8), people(5)):
        stage.segment(rows)
        stage.sim.clock.advance(3600)
        seen = len(stage.sim.requests(vendor=vendor))
        run = stage.export(**arguments)
        assert run.state == "success", run.error
        folder = run.summary()["run_folder"]
        calls = read_calls(local_path(folder))
        of_login = sum(group.calls for group in calls.groups if group.path.endswith("/token"))
        assert calls.total == len(stage.sim.requests(vendor=vendor)) - seen
        assert calls.total - of_login == run.summary()["calls"]
        text = (local_path(folder) / FILE).read_text()
        assert not [row.email for row in people(8).itertuples() if row.email in text]
        assert stage.audience(vendor) not in text
    code, text = command("show", folder, "--calls", "-o", "json")
    assert code == 0
    assert json.loads(text)["calls"] == calls.total
    code, text = command("show", folder, "--calls")
    assert code == 0
    assert all(group.path in text for group in calls.groups)
    assert f"Newest calls ({calls.total:,} of {calls.total:,}):" in text


def test_a_run_that_fails_before_there_is_a_plan_has_its_calls(stage, command):
    """Wrong credentials: the status of each call is in the folder of the attempt."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital", password="planted-wrong"))
    assert run.state == "failed"
    [file] = (stage.folder / "state" / "runs").rglob(FILE)
    assert {call.status for call in read_calls(local_path(str(file.parent))).failed} == {401}
    code, text = command("show", str(file.parent), "--calls", "-o", "plain")
    assert code == 0, text
    assert "First failed calls" in text
    assert "401" in text


def test_a_retry_adds_its_calls(stage):
    """The first try fails after some calls; the second finishes in the same run folder."""
    stage.segment(6)
    stage.sim.faults([{"path": "import.json", "count": 6, "status": 503}])
    run = stage.export(conn_id=stage.connection("campaign_monitor"), retries=1, retry_delay=timedelta(0))
    assert run.state == "success", run.error
    assert len(run.errors) == 1
    [file] = (stage.folder / "state" / "runs").rglob(FILE)
    calls = read_calls(local_path(str(file.parent)))
    imports = {group.status: group.calls for group in calls.groups if group.path.endswith("/import.json")}
    assert imports == {503: 6, 201: 1}
    assert calls.total == len(stage.sim.requests(vendor="campaign_monitor"))


def test_a_task_that_is_rescheduled_adds_its_calls(stage):
    """Airflow gives it the same try number, so the number does not tell whether there was an earlier process."""
    stage.segment(6)
    stage.sim.act("constant_contact", "spend", {"calls": 9_998})
    dag = export_dag("waits_with_calls", stage.folder, conn_id=stage.connection("constant_contact"), deferrable=False)
    run = stage.begin(dag)
    assert run.go(dag) == "up_for_reschedule"
    [file] = (stage.folder / "state" / "runs").rglob(FILE)
    first = read_calls(local_path(str(file.parent))).total
    stage.sim.clock.advance(86_400)
    assert run.go(dag) == "success"
    assert run.task().try_number == 1
    calls = read_calls(local_path(str(file.parent)))
    assert calls.total == len(stage.sim.requests(vendor="constant_contact")) > first > 0


def test_a_run_without_recorded_calls(stage, command):
    """An older version wrote its folder, or a worker died."""
    stage.segment(3)
    run = stage.export(conn_id=stage.connection("dotdigital"))
    folder = local_path(run.summary()["run_folder"])
    (folder / FILE).unlink()
    code, text = command("show", str(folder), "--calls")
    assert code == 3
    assert "has no calls" in text


def test_two_exports_of_one_hook_have_calls_of_their_own(stage):
    """A hook in a task, or in a program."""
    hook = get_hook(stage.connection("dotdigital"))
    reports = [hook.export(people(count), {"email": "email"}) for count in (2, 3)]
    totals = [read_calls(local_path(report["run_folder"])).total for report in reports]
    assert totals == [report["http"]["calls"] for report in reports]
