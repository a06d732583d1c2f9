"""OpenLineage events, written by its own provider, in the task's own process, into a file."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pytest
from airflow_fixtures import people
from airflow_home import FILES, HOME

from airflow_provider_segexport.operators import lineage

pytestmark = pytest.mark.airflow

SOURCE = """
from airflow.sdk import DAG
from airflow_provider_segexport.operators.segment_export import SegmentExportOperator

with DAG("lineage") as dag:
    SegmentExportOperator(task_id="export", **{told!r})
    SegmentExportOperator(task_id="no_plan", **{hopeless!r})

if __name__ == "__main__":
    dag.test()
"""


@pytest.mark.parametrize(
    ("text", "dataset"),
    [
        ("/data/segments/vip.parquet", ("file", "/data/segments/vip.parquet")),
        ("file:///data/vip/", ("file", "/data/vip/")),
        ("s3://aws_default@lake/vip/2026-11-24/", ("s3://lake", "vip/2026-11-24/")),
        ("gs://lake/vip", ("gs://lake", "vip")),
        ("s3://lake", ("s3://lake", "/")),
        ("/data/part-?.parquet", ("file", "/data/part-?.parquet")),
        ("/data/a#1/x.parquet", ("file", "/data/a#1/x.parquet")),
        ("s3://aws_default@lake/vip/part-?.parquet", ("s3://lake", "vip/part-?.parquet")),
        ("s3://lake/vip#1/x.parquet", ("s3://lake", "vip#1/x.parquet")),
        ("delta:/data/vip#1", ("file", "/data/vip#1")),
    ],
)
def test_a_segment_is_named_as_openlineage_names_files(text, dataset):
    """The connection's id is how we reach the store, and no part of the file's name."""
    assert dataset == lineage.segment_dataset(text)


def run(tmp_path, arguments: dict, hopeless: dict) -> dict[str, dict]:
    """Run two exports under the OpenLineage provider; the last event that it wrote of each."""
    pytest.importorskip("airflow.providers.openlineage", reason="requirements/dev.txt has it")
    file = HOME / FILES / "lineage.py"
    file.write_text(SOURCE.format(told=arguments, hopeless=hopeless))
    out = tmp_path / "events.json"
    transport = json.dumps({"type": "file", "log_file_path": str(out), "append": True})
    done = subprocess.run(
        [sys.executable, str(file)],
        env={**os.environ, "AIRFLOW__OPENLINEAGE__TRANSPORT": transport, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    arguments["all events"] = out.read_text()
    events = [json.loads(line) for line in out.read_text().splitlines()]
    return {event["job"]["name"]: event for event in events if event["eventType"] in {"COMPLETE", "FAIL"}}


def test_an_export_has_lineage_from_segment_to_audience(stage, tmp_path):
    """Datasets, the column behind each of the vendor's fields, and how many people were put there.

    An export that came to no plan has no datasets: nothing went from anywhere to anywhere.
    """
    segment, conn_id = stage.segment(20), stage.connection("campaign_monitor")
    arguments = {
        "conn_id": conn_id,
        "segment": segment,
        "field_mapping": {"email": "email", "first_name": "first_name"},
        "custom_fields": {"Tier": "tier"},
        "create_custom_fields": True,
    }
    hopeless = {"conn_id": conn_id, "segment": "/nowhere.parquet", "field_mapping": {"email": "email"}}
    events = run(tmp_path, arguments, hopeless)
    failed, complete = events["lineage.no_plan"], events["lineage.export"]
    assert ("FAIL", [], []) == (failed["eventType"], failed["inputs"], failed["outputs"])
    assert "COMPLETE" == complete["eventType"]
    (source,), (audience,) = complete["inputs"], complete["outputs"]
    assert ("file", segment) == (source["namespace"], source["name"])
    assert ["email", "first_name", "tier"] == [field["name"] for field in source["facets"]["schema"]["fields"]]
    assert ("campaign_monitor://all", stage.audience("campaign_monitor")) == (audience["namespace"], audience["name"])
    (tier,) = audience["facets"]["columnLineage"]["fields"]["Tier"]["inputFields"]
    assert (segment, "tier") == (tier["name"], tier["field"])
    assert 20 == audience["outputFacets"]["outputStatistics"]["rowCount"]
    assert "person1@example.com" not in json.dumps(events)


def test_no_person_and_no_secret_is_in_any_event(stage, tmp_path):
    """Neither of a run that delivers and rejects, nor of one whose vendor quotes people in its error."""
    rows = people(20)
    rows["email"] = [f"canary.planted{n}@example.com" for n in range(20)]
    rows["first_name"] = "canary.planted first"
    rows.loc[3, "email"] = "canary.planted no address"
    segment = stage.segment(rows)
    conn_id, audiences = stage.connection("campaign_monitor"), stage.vendor("campaign_monitor")["audiences"]
    body = {"Code": 999, "Message": "We cannot take canary.planted1@example.com, canary.planted1%40example.com"}
    fault = {"vendor": "campaign_monitor", "path": f"{audiences[1]['id']}/import.json", "count": 0}
    stage.sim.faults([{**fault, "status": 400, "body": body}])
    arguments = {
        "conn_id": conn_id,
        "segment": segment,
        "field_mapping": {"email": "email", "first_name": "first_name"},
    }
    complete = {**arguments, "audience": audiences[0]["id"]}
    events = run(tmp_path, complete, {**arguments, "audience": audiences[1]["id"]})
    assert ("COMPLETE", "FAIL") == tuple(events[f"lineage.{name}"]["eventType"] for name in ("export", "no_plan"))
    assert stage.sent("campaign_monitor")
    key = stage.vendor("campaign_monitor")["credentials"]["api_key"]
    secrets = [key, base64.b64encode(f"{key}:x".encode()).decode()]
    assert [] == [word for word in ["canary.planted", *secrets] if word in complete["all events"]]
