"""An audience compared with its ledger in Airflow: by a task, a hook and a command."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow_fixtures import FIELD_MAPPING, people

from airflow_provider_segexport.hooks import get_hook, metrics
from airflow_provider_segexport.operators.segment_export_verify import SegmentExportVerifyOperator
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.verifications import recorded

pytestmark = pytest.mark.airflow

GONE, NOT_OURS = "person1@example.com", "by-hand@example.com"


@pytest.fixture
def exported(stage):
    """Ten people in dotdigital's audience: one is deleted by hand, and one more is added; the connection."""
    conn_id = stage.connection("dotdigital")
    stage.segment(people(10))
    run = stage.export(conn_id=conn_id, mode="mirror", as_of="2026-03-01")
    assert run.state == "success", run.errors
    book = stage.audience("dotdigital")
    stage.sim.seed("dotdigital", [{"email": NOT_OURS}], book)
    stage.sim.seed("dotdigital", [{"email": GONE, "status": "deleted"}], book)
    stage.sim.clock.advance(3600)
    return conn_id


def verify_dag(dag_id="verify", **options):
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        SegmentExportVerifyOperator(**{"task_id": "export", **options})
    return dag


def only_ledger():
    from airflow_provider_segexport.hooks.paths import state_path

    return next(path for path in ledger_paths(state_path()) if path.parent.parent.name == "dotdigital")


def test_a_task_reports_the_drift_and_the_next_export_repairs_it(stage, exported, monkeypatch):
    """Counts in XCom, in the asset's event, in metrics and beside the ledger; addresses in the run folder alone."""
    counted, gauges = [], {}
    monkeypatch.setattr(metrics.Stats, "incr", lambda name, count=1, **tags: counted.append((name, count, tags)))
    monkeypatch.setattr(metrics.Stats, "gauge", lambda name, value, **_: gauges.update({name: value}))
    verified = Asset("verified_audience")
    dag = verify_dag(
        conn_id=exported,
        segment=str(stage.folder / "segment.parquet"),
        field_mapping=FIELD_MAPPING,
        repair="{{ 'true' }}",
        outlets=[verified],
    )
    run = stage.run(dag)
    summary = run.summary()
    assert {kind: count for kind, count in summary["people"].items() if count} == {
        "in_sync": 9,
        "missing": 1,
        "not_ours": 1,
    }
    assert (summary["match_rate"], summary["repaired"], summary["values"]["different"]) == (0.9, 1, 0)
    assert "match rate 90%" in summary["title"]
    assert pq.read_table(summary["drift"]["path"]).column("email").to_pylist() == [GONE]
    assert GONE not in json.dumps(summary)
    assert gauges == {"segexport.match_rate": 0.9}
    assert ("segexport.verified", 1, {"tags": {"vendor": "dotdigital", "kind": "missing"}}) in counted
    (entry,) = recorded(only_ledger())
    assert (entry["match_rate"], entry["people"]["missing"]) == (0.9, 1)
    again = stage.export(conn_id=exported, mode="mirror", as_of="2026-03-02")
    assert again.summary()["counts"]["delivered"] == 1
    assert GONE in stage.members("dotdigital")


def test_a_task_waits_for_a_run_that_writes_the_audience(stage, exported, monkeypatch):
    """It reads beside that run, gives its worker back, and compares when the run has ended, without reading again."""
    monkeypatch.setattr("airflow_provider_segexport.hooks.runner.is_task_running", lambda _: True)
    held = Lease(local_path(str(only_ledger())), "another/run/of/0", clock=stage.sim.clock.now, sleep=lambda _: None)
    held.acquire()
    dag = verify_dag(conn_id=exported)
    run = stage.begin(dag)
    assert run.go(dag) == "up_for_reschedule"
    pages = stage.arrived(r"/contacts/v3$")
    held.release()
    assert run.go(dag) == "success"
    assert stage.arrived(r"/contacts/v3$") == pages
    assert run.summary()["people"]["missing"] == 1


@pytest.mark.parametrize(
    ("extra", "state", "text"),
    [
        ({"export_enabled": False}, "skipped", "are disabled"),
        ({"privacy_consent": False}, "failed", "no consent"),
        ({"allowed_dags": "other_*"}, "failed", "may not use connection"),
    ],
)
def test_a_connection_that_allows_no_export_allows_no_verification(stage, exported, extra, state, text):
    """By task and hook alike; nothing is read."""
    conn_id = stage.connection("dotdigital", extra=extra)
    calls = len(stage.sim.requests(vendor="dotdigital"))
    run = stage.run(verify_dag(conn_id=conn_id))
    assert str(run.task().state) == state
    if state == "failed":
        assert text in run.error
    with pytest.raises((AirflowSkipException, AirflowFailException), match=text):
        get_hook(conn_id).verify()
    assert len(stage.sim.requests(vendor="dotdigital")) == calls


def test_a_hook_verifies_in_a_task(stage, exported):
    """With the same report as the operator's, and a sample that takes more calls than the audience reads all of it."""
    with DAG("by_hook", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def export():
            report = get_hook(exported).verify(sample=5)
            return {name: report[name] for name in ("people", "sampled", "match_rate")}

        export()
    summary = stage.run(dag).summary()
    assert (summary["people"]["in_sync"], summary["sampled"], summary["match_rate"]) == (9, None, 0.9)


@pytest.mark.parametrize("argument", [{"sample": 0}, {"sample": "many"}, {"sample_values": -1}, {"repair": "perhaps"}])
def test_an_argument_that_cannot_be_read_is_refused(stage, exported, argument):
    (name,) = argument
    with pytest.raises(AirflowFailException, match=f"`{name}`"):
        get_hook(exported).verify(**argument)


def test_an_audience_that_is_gone_fails_the_task(stage, exported):
    run = stage.run(verify_dag(conn_id=exported, audience="999999"))
    assert run.state == "failed"
    assert isinstance(run.errors[0], AirflowFailException)


class TestCommand:
    """`airflow segexport verify`."""

    def test_shows_kinds_as_a_table_and_the_report_as_json(self, stage, exported, command):
        """A limit of the match rate decides the exit code, so that a script can use it."""
        audience = stage.audience("dotdigital")
        code, text = command("verify", exported, audience, "-o", "json", "--min-match-rate", "0.9")
        assert code == 0
        (report,) = json.loads(text)
        assert report["match_rate"] == 0.9
        assert report["people"]["missing"] == 1
        code, text = command("verify", exported, audience, "--min-match-rate", "0.95", "--repair")
        assert code == 3
        assert "missing" in text
        assert "Match rate 90%" in text
        assert "The next run sends 1 person again" in text
        assert GONE not in text

    def test_refuses_a_share_beyond_one(self, stage, exported, command):
        code, _ = command("verify", exported, stage.audience("dotdigital"), "--min-match-rate", "95")
        assert code == 2

    def test_compares_with_a_segment(self, stage, exported, command):
        """People who were not exported are counted, and the values of the others are compared."""
        book = stage.audience("dotdigital")
        stage.sim.seed("dotdigital", [{"email": "person2@example.com", "fields": {"FIRSTNAME": "Another"}}], book)
        path = stage.segment(people(12))
        options = [part for field, column in FIELD_MAPPING.items() for part in ("--map", f"{field}={column}")]
        code, text = command("verify", exported, book, "--segment", path, *options, "-o", "json")
        assert code == 0
        (report,) = json.loads(text)
        assert (12, 2) == (report["segment"]["people"], report["segment"]["not_exported"])
        assert report["values"]["compared"] == 9
        code, text = command("verify", exported, book, "--segment", path, *options, "--sample-values", "0")
        assert code == 0
        assert "Segment: 12 people, 2 of them not exported" in text

    @pytest.mark.parametrize("options", [("--map", "email=email"), ("--sample-values", "5")])
    def test_options_about_a_segment_need_one(self, stage, exported, command, options):
        """Otherwise the command would ignore them."""
        code, text = command("verify", exported, stage.audience("dotdigital"), *options)
        assert code == 2
        assert "only used with --segment" in text
