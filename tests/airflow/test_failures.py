"""How a task ends that cannot go on: what is tried again, when, and with which words."""

from __future__ import annotations

import errno
import json
import os
from datetime import timedelta

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowException
from airflow_fixtures import export_dag
from airflow_home import IS_3_2

from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.operators.failures import RetryLater
from airflow_provider_segexport.operators.retries import retry_policy
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.storage.journal import Journal

pytestmark = pytest.mark.airflow


since_3_3 = pytest.mark.skipif(IS_3_2, reason="Airflow has retry policies since 3.3")


class TestWhenToTryAgain:
    """A vendor that says when is believed."""

    @since_3_3
    def test_the_vendors_time_is_the_retrys(self):
        """In place of `retry_delay`, and with the reason, which Airflow's UI shows."""
        decision = retry_policy().evaluate(RetryLater("Down.", 90.0), 1, 3)
        assert (timedelta(seconds=90), "The vendor asks to wait for 90 s.") == (decision.retry_delay, decision.reason)

    @since_3_3
    @pytest.mark.parametrize(
        "error", [RetryLater("Down."), RetryLater("Down.", 0.0), AirflowException("x"), ValueError()]
    )
    def test_anything_else_is_as_the_dag_says(self, error):
        """`retry_delay` and its backoff hold."""
        assert "default" == retry_policy().evaluate(error, 1, 3).action.value

    @since_3_3
    def test_a_policy_of_ones_own_stands(self, stage):
        """Given on the task or by `default_args`, it is the one that is asked."""
        own = retry_policy()
        assert own is operator(retry_policy=own).retry_policy
        assert isinstance(operator().retry_policy, retry_policy)
        assert isinstance(retry_policy.deserialize(own.serialize()), retry_policy)

    def test_a_task_waits_as_long_as_the_vendor_asks(self, stage, capsys):
        """The real thing: the vendor answers 503 with Retry-After, and from 3.3 on Airflow takes that for the delay."""
        stage.sim.faults([{"path": "import.json", "count": 1, "status": 503, "headers": {"retry-after": "120"}}])
        stage.segment(4)
        dag = export_dag("asked_to_wait", stage.folder, conn_id=stage.connection("campaign_monitor"), retries=2)
        run = stage.begin(dag)
        assert "up_for_retry" == run.go(dag)
        assert IS_3_2 or 120 == run.task().retry_delay_override
        assert "The vendor asks to wait for 120 s." in run.error
        stage.sim.clock.advance(120)
        assert "success" == run.go(dag)


def operator(**more):
    return SegmentExportOperator(task_id="x", conn_id="x", segment="x", field_mapping={"email": "email"}, **more)


def break_journal(monkeypatch, error, *, after, times=8):
    """Let the run folder's journal raise instead of writing, after some writes and for some."""
    real, calls = Journal.write, []

    def write(journal, entries):
        calls.append(entries)
        if after < len(calls) <= after + times:
            raise error
        real(journal, entries)

    monkeypatch.setattr(Journal, "write", write)


class TestDisk:
    """State that cannot be written or read for a while."""

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    @pytest.mark.parametrize("after", [0, 1, 3])
    def test_a_full_disk_is_named_and_the_next_try_goes_on(self, stage, monkeypatch, ten_a_call, code, after):
        """Whether an intent or a result cannot be written: settled rows are not sent again, and the rest is."""
        stage.segment(60)
        conn_id = stage.connection("campaign_monitor")
        break_journal(monkeypatch, OSError(code, os.strerror(code)), after=after)
        run = stage.export(conn_id=conn_id, retries=8, retry_delay=timedelta(0))
        assert "success" == run.state
        assert "The disk is full, so run folder and ledger cannot be written" in str(run.errors[0])
        assert "[segexport] state_path" in str(run.errors[0])
        assert 60 == len(stage.members("campaign_monitor"))
        [path] = (stage.folder / "state" / "runs").glob("*/*/*/*/*/summary.json")
        assert 60 == json.loads(path.read_text())["counts"]["delivered"]

    def test_a_full_disk_under_the_engine(self, stage, monkeypatch):
        """DuckDB says so in an exception of its own."""
        stage.segment(3)
        error = duckdb.IOException('Could not write file "x": No space left on device')
        monkeypatch.setattr(Export, "run", lambda _: (_ for _ in ()).throw(error))
        assert "The disk is full" in stage.export(conn_id=stage.connection("dotdigital")).error

    def test_a_state_root_out_of_reach_costs_a_try(self, stage):
        """A share that is gone for a while: the task says which place to look at, and its next try goes on."""
        stage.segment(10)
        root = stage.folder / "state"
        root.write_text("not the folder that was here")
        dag = export_dag("gone", stage.folder, conn_id=stage.connection("dotdigital"), retries=2)
        run = stage.begin(dag)
        assert "up_for_retry" == run.go(dag)
        assert "cannot be reached (NotADirectoryError" in run.error
        assert "of `[segexport] state_path`, and of the task's `reports_path` if it has one. A retry" in run.error
        assert stage.nothing_was_sent()
        root.unlink()
        assert "success" == run.go(dag)
        assert 10 == len(stage.members("dotdigital"))

    def test_a_store_that_breaks_off_in_the_middle(self, stage, monkeypatch, ten_a_call):
        """A store that no longer answers raises an OSError in fsspec: the rest goes out with the next try."""
        stage.segment(60)
        break_journal(monkeypatch, ConnectionError("Connection reset by store.example"), after=2, times=1)
        run = stage.export(conn_id=stage.connection("campaign_monitor"), retries=1, retry_delay=timedelta(0))
        assert "success" == run.state
        assert "cannot be reached (ConnectionError" in run.error
        assert 60 == len(stage.members("campaign_monitor"))

    def test_what_a_library_says_of_a_file_is_masked(self, stage, monkeypatch):
        """An error's words may quote a row."""
        stage.segment(3)
        error = OSError("could not convert ann@example.com")
        monkeypatch.setattr(Export, "run", lambda _: (_ for _ in ()).throw(error))
        run = stage.export(conn_id=stage.connection("dotdigital"))
        assert "failed" == run.state
        assert "ann@" not in run.error
