"""Waiting for import jobs outside the worker, and coming back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowException
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.triggers import import_jobs

pytestmark = pytest.mark.airflow


def test_a_deferred_export_ends_as_one_that_stayed(stage, naps, ten_a_call):
    """Jobs that take minutes are awaited in the triggerer; the task comes back, settles them and reports."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(30)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert "success" == run.state
    assert 30 == run.summary()["counts"]["delivered"] == len(stage.members("dotdigital"))
    assert 8 == len(naps)
    assert 3 == len(stage.sent("dotdigital"))


def test_more_jobs_than_may_run_at_once(stage, naps, monkeypatch):
    """The task comes back when half of the running jobs have ended, fills the slots again, and leaves again."""
    limits = replace(DotdigitalHook.vendor.limits, batch_rows=10, max_jobs=4)
    monkeypatch.setattr(DotdigitalHook, "vendor", replace(DotdigitalHook.vendor, limits=limits))
    stage.sim.configure({"dotdigital": {"job_seconds": 60.0}})
    stage.segment(100)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert 100 == run.summary()["counts"]["delivered"]
    assert 10 == len(stage.sent("dotdigital"))
    assert len(naps) > 4


def test_a_quick_job_is_not_worth_leaving_for(stage, naps):
    """The worker looks itself for some seconds before it gives its slot back."""
    stage.segment(10)
    assert "success" == stage.export(conn_id=stage.connection("dotdigital"), deferrable=True).state
    assert [] == naps


def test_without_a_triggerer_the_worker_waits(stage, naps):
    """`deferrable=False` polls in the worker, ever more slowly, to the end."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(10)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=False, poll_interval=30)
    assert "success" == run.state
    assert [] == naps
    assert len(stage.sim.requests(vendor="dotdigital")) < 25


@pytest.mark.parametrize(("usual", "argument"), [("False", {}), ("True", {}), ("True", {"deferrable": False})])
def test_the_default_is_airflows(stage, naps, monkeypatch, usual, argument):
    """`[operators] default_deferrable` decides where the task does not."""
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", usual)
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(10)
    run = stage.export(conn_id=stage.connection("dotdigital"), **argument)
    assert "success" == run.state
    assert (usual == "True" and not argument) == bool(naps)


def test_after_a_failed_poll_the_worker_meets_the_error(stage, naps):
    """Credentials that go bad while the task is away fail it with words, and what was done is in the report."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.sim.faults([{"path": "/contacts/v3/import/", "nth": 7, "count": 0, "status": 401, "body": {"message": "no"}}])
    stage.segment(10)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert "failed" == run.task().state
    assert "the API user's name or password" in run.error


@pytest.fixture
def kept_kwargs(monkeypatch):
    """`dag.test()` of Airflow 3.3.2 drops the arguments of `defer` when there is an event; its scheduler keeps both."""
    stored = {}
    defer, resume = SegmentExportOperator.defer, SegmentExportOperator.resume

    def deferred(task, **options):
        stored.update(options["kwargs"])
        return defer(task, **options)

    def resumed(task, context, event=None):
        return resume(task, context, event, **stored)

    monkeypatch.setattr(SegmentExportOperator, "defer", deferred)
    monkeypatch.setattr(SegmentExportOperator, "resume", resumed)


@pytest.mark.parametrize("lost", ["plan", "folder", "root"])
@pytest.mark.usefixtures("kept_kwargs")
def test_a_return_without_its_run_folder_fails_and_sends_nothing(stage, naps, monkeypatch, lost):
    """A worker without the shared disk would make a new plan and send everything again: it fails, and says why."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(10)
    dag = export_dag("returns", stage.folder, conn_id=stage.connection("dotdigital"), deferrable=True, retries=2)
    real = import_jobs.ImportJobsTrigger.run

    def lose():
        (plan,) = Path(stage.folder).rglob("plan.json")
        if lost == "plan":
            plan.unlink()
        elif lost == "folder":
            shutil.rmtree(plan.parent)
        else:
            monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(stage.folder / "another"))

    async def run(trigger):
        async for event in real(trigger):
            lose()
            yield event

    monkeypatch.setattr(import_jobs.ImportJobsTrigger, "run", run)
    ended = stage.run(dag)
    assert "failed" == ended.task().state
    assert "`[segexport] state_path`" in ended.error
    assert "Nothing was sent now" in ended.error
    assert 1 == len(stage.sent("dotdigital"))


@pytest.mark.usefixtures("kept_kwargs")
def test_a_return_to_a_run_folder_that_lies_elsewhere_names_reports(stage, naps, monkeypatch):
    """With `reports_path`, the run folder lies there, and the error names that argument."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(10)
    reports = str(stage.folder / "reports")
    real = import_jobs.ImportJobsTrigger.run

    async def run(trigger):
        async for event in real(trigger):
            shutil.rmtree(reports)
            yield event

    monkeypatch.setattr(import_jobs.ImportJobsTrigger, "run", run)
    ended = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True, reports_path=reports)
    assert "set `reports_path` to the same path" in ended.error


@pytest.mark.parametrize("event", [None, {}, {"status": "done"}, "ended", {"state": "ended"}])
def test_an_event_of_another_kind_fails_loudly(stage, event):
    """The error names what the triggerer sent: versions may differ between worker and triggerer."""
    operator = export_dag("unknown_event", stage.folder, conn_id="any").get_task("export")
    with pytest.raises(AirflowException, match="which is none of ended, run_again"):
        operator.resume({}, event)


def test_rows_do_not_travel(stage, naps, monkeypatch):
    """The data for the triggerer holds ids, and no address."""
    crossed = []
    real = import_jobs.ImportJobsTrigger.serialize

    def spy(trigger):
        crossed.append(real(trigger))
        return crossed[-1]

    monkeypatch.setattr(import_jobs.ImportJobsTrigger, "serialize", spy)
    stage.sim.configure({"dotdigital": {"job_seconds": 60.0}})
    stage.segment(people(10))
    stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert crossed
    assert "@" not in str(crossed)
    assert stage.vendor("dotdigital")["credentials"]["password"] not in str(crossed)
