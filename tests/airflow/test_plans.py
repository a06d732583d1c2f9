"""Plans that are looked at before they are carried out, and what travels with asset events."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from airflow.models.asset import AssetEvent
from airflow.sdk import DAG, Asset
from airflow.utils.session import create_session
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.operators.segment_export import SegmentExportOperator
from airflow_provider_segexport.operators.segment_export_erase import SegmentExportEraseOperator
from airflow_provider_segexport.operators.segment_export_undo import SegmentExportUndoOperator
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow


def events(name):
    with create_session() as session:
        events = session.query(AssetEvent).order_by(AssetEvent.id).all()
        return [event for event in events if event.asset.name == name]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_dry_run_tells_and_sends_nothing(stage, vendor):
    """Counts, calls and minutes are in the summary; no row is sent, and there is no asset event."""
    rows = people(30)
    rows.loc[2, "email"] = "no-address"
    stage.segment(rows)
    asset = Asset(f"dry_{vendor}", uri=f"segexport://exported/dry_{vendor}")
    conn_id = stage.connection(vendor)
    summary = stage.export(conn_id=conn_id, dry_run="{{ 'True' }}", outlets=[asset]).summary()
    assert summary["dry_run"]
    assert 29 == summary["estimate"]["upserts"] == summary["counts"]["not_attempted"]
    assert summary["estimate"]["calls"] >= 1
    assert "dry run, 29 of 30 profiles would be sent" in summary["title"]
    assert [] == events(asset.name)
    assert stage.nothing_was_sent()
    assert "@" not in json.dumps(summary)


@pytest.mark.parametrize("operator", [SegmentExportOperator, SegmentExportUndoOperator, SegmentExportEraseOperator])
def test_a_dry_run_that_is_set_after_construction_is_one(stage, operator):
    """By a cluster policy, a subclass or `pre_execute`, which know the argument by its name."""
    arguments = {
        SegmentExportOperator: {"segment": stage.segment(3), "field_mapping": FIELD_MAPPING},
        SegmentExportUndoOperator: {"audience": "1"},
        SegmentExportEraseOperator: {"emails_path": "/none", "requested_by": "DPO"},
    }[operator]
    account = {} if operator is SegmentExportEraseOperator else {"conn_id": stage.connection("dotdigital")}
    with DAG(f"policy_{operator.__name__}", schedule=None) as dag:
        export = operator(task_id="export", **account, **arguments)
    export.dry_run = True
    assert export.is_dry_run is True
    if operator is SegmentExportOperator:
        assert stage.run(dag).summary()["dry_run"]
        assert stage.nothing_was_sent()


def test_the_plan_that_was_expected_is_carried_out(stage):
    """A dry run reports the plan's hash; the run that expects it builds the same plan and sends it."""
    stage.segment(30)
    conn_id = stage.connection("dotdigital")
    mark = stage.export(conn_id=conn_id, dry_run=True).summary()["plan_hash"]
    assert 30 == stage.export(conn_id=conn_id, expected_plan=mark).summary()["counts"]["delivered"]


def test_another_plan_than_expected_is_refused(stage):
    """The segment has changed since it was looked at: nothing is sent, and the error says what to do."""
    stage.segment(30)
    conn_id = stage.connection("dotdigital")
    mark = stage.export(conn_id=conn_id, dry_run=True).summary()["plan_hash"]
    rows = people(30)
    rows.loc[7, "first_name"] = "Another"
    stage.segment(rows)
    run = stage.export(conn_id=conn_id, expected_plan=mark)
    assert "failed" == run.state
    assert "The plan differs from the approved plan" in run.error
    assert stage.nothing_was_sent()


def test_guards_of_a_form_are_heeded(stage):
    """JSON text sets a limit; the error names the guard and what it measured."""
    stage.segment(10)
    run = stage.export(conn_id=stage.connection("dotdigital"), guards='{"min_rows": 10}')
    assert "failed" == run.state
    assert "guard `min_rows`, limit 10" in run.error
    assert stage.nothing_was_sent()


def test_people_in_a_suppression_file_are_withheld(stage):
    """So are people without a yes in the consent column; both are counted by reason."""
    rows = people(6).assign(agreed=[True, True, False, None, True, True])
    stage.segment(rows)
    away = stage.segment(people(1, start=5)[["email"]], "suppressed")
    run = stage.export(conn_id=stage.connection("dotdigital"), consent_column="agreed", suppression_list=f"['{away}']")
    assert {"no_consent": 2, "on_suppression_list": 1} == run.summary()["reasons"]["withheld"]
    assert 3 == len(stage.members("dotdigital"))


def test_a_second_export_of_an_audience_is_refused_unless_both_share(stage):
    """The owner is the export's name: by default the DAG's and the task's."""
    stage.segment(4)
    conn_id = stage.connection("dotdigital")
    assert "success" == stage.export(conn_id=conn_id, dag_id="first").state
    run = stage.export(conn_id=conn_id, dag_id="second")
    assert "failed" == run.state
    assert "first.export" in run.error
    assert "success" == stage.export(conn_id=conn_id, dag_id="second", export_name="first.export").state


def test_optouts_are_an_asset(stage):
    """Its event has the file's path and the number of people; their addresses are in the file alone."""
    asset = Asset("optouts_of_dotdigital", uri="segexport://optouts/dotdigital")
    stage.sim.seed("dotdigital", [{"email": "person3@example.com", "status": "globallySuppressed"}])
    stage.segment(5)
    run = stage.export(conn_id=stage.connection("dotdigital"), optouts_asset=asset)
    assert "success" == run.state, run.errors
    [event] = events(asset.name)
    assert event.extra["count"] >= 1
    assert "dotdigital" == event.extra["vendor"]
    assert "person3@example.com" in pq.read_table(event.extra["path"]).column("email").to_pylist()
    assert "@" not in json.dumps(event.extra)


def test_an_older_day_may_be_verified(stage):
    """`on_stale="verify"` compares and sends nothing; the task succeeds, and no asset event says that it exported."""
    asset = Asset("verified", uri="segexport://exported/verified")
    conn_id = stage.connection("dotdigital")
    stage.segment(8)
    stage.export(conn_id=conn_id, as_of="2026-03-02")
    sent = len(stage.sent("dotdigital"))
    stage.segment(people(8, start=2))
    run = stage.export(conn_id=conn_id, as_of="2026-03-01", on_stale="verify", outlets=[asset])
    assert "success" == run.state, run.errors
    summary = run.summary()
    assert summary["comparison_only"]
    assert (2, 6) == (summary["counts"]["not_attempted"], summary["counts"]["unchanged"])
    assert sent == len(stage.sent("dotdigital"))
    assert [] == events(asset.name)
