"""The buttons on the task, after real runs."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.operators.links import folder_of
from airflow_provider_segexport.vendors.links import page_link
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.airflow


def links(run, task_id: str = "export", map_index: int = -1) -> dict[str, str]:
    """Airflow's stored value of each link."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    keys = ("segexport_audience_link", "segexport_report_link", "segexport_rejects_link")
    with create_session() as session:
        stored = {}
        for key in keys:
            query = XComModel.get_many(
                run_id=run.dag_run.run_id, dag_ids=run.dag_run.dag_id, task_ids=task_id, map_indexes=map_index, key=key
            )
            row = session.scalars(query).first()
            stored[key.split("_")[1]] = XComModel.deserialize_value(row) if row else None
        return stored


def test_a_run_leads_to_its_audience_its_report_and_its_rejects(stage, monkeypatch):
    """Below the path that Airflow is served under; run ids hold colons and plus signs, and arrive as they are."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/prod/")
    stage.segment(5)
    run = stage.export(conn_id=stage.connection("campaign_monitor"))
    stored = links(run)
    assert stored["audience"] == ""  # the simulator is no vendor
    report = urlsplit(stored["report"])
    assert report.path.startswith("/prod/dags/exports/runs/")
    assert report.path.endswith("/tasks/export/plugin/segment_export")
    rejects = urlsplit(stored["rejects"])
    assert "/prod/segexport/rejects.csv" == rejects.path
    query = parse_qs(rejects.query)
    assert ([run.dag_run.run_id], ["export"], ["-1"]) == (query["run_id"], query["task_id"], query["map_index"])


def test_a_run_that_came_to_no_plan_leads_nowhere(stage):
    """There is no audience, no report and no file of it."""
    run = stage.export(conn_id=stage.connection("campaign_monitor"), segment="/nowhere.parquet")
    assert "failed" == run.state
    assert {"audience": "", "rejects": ""} == {name: links(run)[name] for name in ("audience", "rejects")}


@pytest.mark.parametrize(
    ("base_url", "link"),
    [
        ("https://r3-api.dotdigital.com", "https://r3-app.dotdigital.com/contacts/addressbooks/42"),
        ("http://127.0.0.1:8001/dotdigital", ""),
    ],
)
def test_a_test_server_leads_to_no_page_of_the_vendor(base_url, link):
    """An audience of the simulator does not exist there."""
    audience = Audience(base_url, "7", "Acme", "42", "Newsletter")
    assert link == page_link(VENDORS["dotdigital"], audience)


def test_a_path_of_reports_that_cannot_be_opened_has_no_run_folder(stage):
    """The error of the run is in its log once, without a traceback of each link."""
    operator = SimpleNamespace(export_request=SimpleNamespace(reports_path="nosuch://bucket/reports", identity=("d",)))
    assert folder_of(operator) is None
