"""The DAG `verify_audiences`: what it verifies, and when it fails."""

from __future__ import annotations

import json
import os

import pytest
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.sdk.exceptions import AirflowFailException
from airflow_fixtures import Run, people
from airflow_home import REPO

pytestmark = pytest.mark.airflow

DAGS = REPO / "dags"
GONE = "person1@example.com"


@pytest.fixture
def verifying(airflow_db):
    bag = BundleDagBag(dag_folder=DAGS / "verify_audiences.py", bundle_path=DAGS, bundle_name="dags-folder")
    assert bag.import_errors == {}
    sync_bag_to_db(bag, "dags-folder", None)
    return bag.dags["verify_audiences"]


@pytest.fixture
def exported(stage, monkeypatch):
    """Ten people at dotdigital, of which one is gone; the Variable names the audience."""
    conn_id = stage.connection("dotdigital")
    stage.segment(people(10))
    assert stage.export(conn_id=conn_id).state == "success"
    stage.sim.seed("dotdigital", [{"email": GONE, "status": "deleted"}], stage.audience("dotdigital"))
    stage.sim.clock.advance(3600)
    entry = {"conn_id": conn_id, "audience": stage.audience("dotdigital")}
    monkeypatch.setenv("AIRFLOW_VAR_SEGEXPORT_VERIFIED", json.dumps([entry]))
    return conn_id


def run(stage, dag, **params):
    return Run(dag.test(run_conf=params))


def test_it_fails_below_the_limit_and_repairs_when_asked(stage, verifying, exported):
    """A person is gone: 90 % are in sync."""
    low = run(stage, verifying, min_match_rate=0.95)
    assert (low.task("verify", 0).state, low.task("check").state) == ("success", "failed")
    enough = run(stage, verifying, min_match_rate=0.9, repair=True)
    assert str(enough.task("check").state) == "success"
    assert enough.summary("check") == {"Customers at dotdigital": 0.9}
    assert stage.export(conn_id=exported).summary()["counts"]["delivered"] == 1
    stage.sim.clock.advance(3600)
    assert run(stage, verifying, min_match_rate=1).summary("check") == {"Customers at dotdigital": 1.0}


def test_of_audiences_with_one_name_the_lowest_rate_counts(verifying, monkeypatch):
    """Two accounts may each have a Newsletter."""
    check = verifying.get_task("check").python_callable
    monkeypatch.setitem(check.__globals__, "get_current_context", lambda: {"params": {"min_match_rate": 0.98}})
    low, good = ({"audience_name": "News", "vendor": "dotdigital", "match_rate": rate} for rate in (0.979999, 1.0))
    for reports in ([low, good], [good, None, low]):
        with pytest.raises(AirflowFailException, match=r"below 98% in News at dotdigital: 97\.9999%"):
            check(reports)
    assert check([good, {**good, "match_rate": None}]) == {"News at dotdigital": 1.0}


def test_an_entry_with_an_argument_that_is_not_passed_on_is_refused(stage, verifying, exported, monkeypatch):
    """`repair` is the form's, so that no entry repairs every week."""
    monkeypatch.setenv("AIRFLOW_VAR_SEGEXPORT_VERIFIED", json.dumps([{"conn_id": exported, "repair": True}]))
    assert str(run(stage, verifying).task("choose").state) == "failed"


def test_it_fails_if_a_verification_failed(stage, verifying, exported, monkeypatch):
    """A DAG run counts as a success if its last task succeeds, whatever happened before."""
    entries = json.loads(os.environ["AIRFLOW_VAR_SEGEXPORT_VERIFIED"])
    monkeypatch.setenv("AIRFLOW_VAR_SEGEXPORT_VERIFIED", json.dumps([*entries, {"conn_id": exported, "audience": "0"}]))
    ended = run(stage, verifying, min_match_rate=0.5)
    assert (ended.task("verify", 0).state, ended.task("verify", 1).state) == ("success", "failed")
    assert (ended.task("check").state, str(ended.dag_run.state)) == ("upstream_failed", "failed")
