"""Log groups: what Airflow's log view folds, of runs that end in every way."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow_fixtures import export_dag
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_view import fold

from airflow_provider_segexport.export.config import Phase
from airflow_provider_segexport.hooks import log_groups
from airflow_provider_segexport.hooks.base import SegmentExportHook
from airflow_provider_segexport.hooks.dotdigital import DotdigitalHook
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator
from airflow_provider_segexport.triggers import import_jobs

pytestmark = pytest.mark.airflow
WHOLE_RUN = ["Check", "Plan", "Send", "Report"]
LOG = logging.getLogger("airflow_provider_segexport.anything")


@pytest.fixture
def view(caplog):
    """Return what the log view shows of the lines since the last call: `[(group or None, text)]`."""
    caplog.set_level(logging.INFO, "airflow_provider_segexport")

    def show():
        lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider")]
        caplog.clear()
        return fold(lines)

    return show


def headers(shown):
    """Return the groups in their order."""
    return list(dict.fromkeys(group for group, _ in shown if group in set(Phase)))


def test_a_whole_run_is_folded_by_phase(stage, view):
    """The first line names segment and audience, and is never folded."""
    stage.segment(10)
    assert "success" == stage.export(conn_id=stage.connection("omnisend")).state
    shown = view()
    assert WHOLE_RUN == headers(shown)
    assert any(text.startswith("Exporting ") for group, text in shown if group is None)
    assert any(text.startswith("Planning done") for group, text in shown if group == "Plan")
    assert any(text.startswith("Sending upserts (batches=1 ") for group, text in shown if group == "Send")
    assert any(text.startswith("Writing the report") for group, text in shown if group == "Report")


def test_a_dry_run_sends_nothing(stage, view):
    """Its log has no group for it."""
    stage.segment(10)
    assert "success" == stage.export(conn_id=stage.connection("omnisend"), dry_run=True).state
    assert ["Check", "Plan", "Report"] == headers(view())


@pytest.mark.parametrize(
    ("changes", "options", "groups"),
    [
        ({"password": "wrong"}, {}, ["Check"]),
        ({}, {"guards": {"min_rows": 11}}, ["Check", "Plan", "Report"]),
    ],
    ids=["login", "guard"],
)
def test_a_failed_run_folds_none_of_the_lines_that_say_why(stage, view, changes, options, groups):
    """The last group is closed before Airflow logs the error."""
    stage.segment(10)
    run = stage.export(conn_id=stage.connection("dotdigital", **changes), **options)
    assert "failed" == run.state
    shown = view()
    assert groups == headers(shown)
    assert any(text.startswith("Stopping the export") for group, text in shown if group is None)


def test_a_run_that_fails_while_it_sends(stage, view):
    """The report is in a group of its own, which is closed before Airflow logs the error."""
    stage.segment(40)
    stage.sim.faults([{"method": "POST", "path": "/batches", "count": 0, "status": 401, "body": {"message": "no"}}])
    run = stage.export(conn_id=stage.connection("omnisend"))
    assert "failed" == run.state
    shown = view()
    assert WHOLE_RUN == headers(shown)
    assert [None] == [group for group, text in shown if text.startswith("Stopping the export")]


def test_a_skipped_run_shows_its_reason(stage, view):
    """A snapshot that is older than the last one is skipped, and the sentence is not folded."""
    conn_id = stage.connection("omnisend")
    stage.segment(10)
    assert "success" == stage.export(conn_id=conn_id, as_of="2026-02-02").state
    view()
    run = stage.export(conn_id=conn_id, as_of="2026-02-01")
    assert "skipped" == str(run.task().state)
    shown = view()
    assert "Check" in headers(shown)
    assert any(text.startswith("Skipping the export") for group, text in shown if group is None)


def test_a_run_that_defers_and_resumes(stage, naps, ten_a_call, view, monkeypatch):
    """No group is open while the task waits in the triggerer, whose lines come into the same log."""
    stage.sim.configure({"dotdigital": {"job_seconds": 240.0}})
    stage.segment(30)
    before, sleep = [], import_jobs.sleep

    async def nap(seconds):
        before.extend(view())
        before.append((None, "waiting in the triggerer"))
        await sleep(seconds)

    monkeypatch.setattr(import_jobs, "sleep", nap)
    run = stage.export(conn_id=stage.connection("dotdigital"), deferrable=True)
    assert "success" == run.state
    assert naps
    assert WHOLE_RUN == headers(before)
    assert ["Send", "Report"] == headers(view())


def test_a_killed_run_leaves_no_log_handler(stage, view, monkeypatch):
    """The signal arrives while a group is open."""
    stage.segment(10)
    dag = export_dag("killed", stage.folder, conn_id=stage.connection("dotdigital"))
    running = []

    class Killed(BaseException):
        """As Airflow's exception of a task that is stopped."""

    def kill(*_):
        running[-1].on_kill()
        raise Killed

    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGUSR2)

    build_request = SegmentExportOperator.build_request

    def noted(task, context):
        running.append(task)
        return build_request(task, context)

    monkeypatch.setattr(SegmentExportOperator, "build_request", noted)
    monkeypatch.setattr(SegmentExportHook, "interruptible_sleep", interrupted)
    before = signal.signal(signal.SIGUSR2, kill)
    try:
        run = stage.begin(dag)
        with suppress(Killed):
            run.go(dag)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert "Send" in headers(view())
    assert [] == [handler for handler in log_groups.PACKAGE_LOG.handlers if isinstance(handler, log_groups.LogGroups)]


def test_a_verification_reads_instead_of_sending(stage, view):
    """Its groups are those of its phases."""
    conn_id = stage.connection("dotdigital")
    stage.segment(10)
    stage.export(conn_id=conn_id)
    view()
    with DAG("verifies", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SegmentExportVerifyOperator(task_id="verify", conn_id=conn_id)
    assert "success" == stage.run(dag).state
    assert ["Read", "Report"] == headers(view())


def test_outside_a_task_nothing_is_folded(stage, view):
    """A terminal would only show the markers."""
    DotdigitalHook(stage.connection("dotdigital")).export(stage.segment(10), {"email": "email"})
    shown = view()
    assert [] == headers(shown)
    assert shown


STEPS = st.lists(
    st.one_of(
        st.sampled_from(list(Phase)),
        st.tuples(st.sampled_from([logging.INFO, logging.WARNING, logging.ERROR]), st.integers(0, 9)),
    )
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # another process of this machine may be slow
@given(steps=STEPS, fails=st.booleans())
def test_no_warning_is_folded_and_no_group_stays_open(steps, fails):
    """This holds for any order of phases and lines, ended by an error or not."""
    lines = []

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    root, handler = logging.getLogger(), Lines()
    level, root.level = log_groups.PACKAGE_LOG.level, root.level
    log_groups.PACKAGE_LOG.setLevel(logging.INFO)
    root.addHandler(handler)
    expected, phase = [], None
    try:
        with suppress(ValueError), pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_groups, "_is_task", lambda: True)
            with log_groups.log_groups() as enter, log_groups.log_groups() as enter_within:
                for step in steps:
                    if isinstance(step, Phase):
                        enter(step)
                        enter_within(Phase.CHECK)
                        phase = step
                    else:
                        LOG.log(step[0], "line %d", step[1])
                        folded = phase is not None and step[0] < logging.WARNING
                        expected.append((str(phase) if folded else None, f"line {step[1]}"))
                if fails:
                    raise ValueError
        LOG.info("after")
    finally:
        root.removeHandler(handler)
        log_groups.PACKAGE_LOG.setLevel(level)
    assert [*expected, (None, "after")] == fold(lines)
    assert sum("::group::" in line for line in lines) == lines.count("::endgroup::")
