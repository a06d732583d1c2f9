"""The compose file's topology as processes: two workers share a store, a broker and a database, and no disk."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pandas as pd
import pytest
from cluster.topology import BUCKET, WORKERS, Cluster, output_of, python

from airflow_provider_segexport.simulator.connections import connection
from airflow_provider_segexport.vendors.registry import VENDORS

pytestmark = pytest.mark.cluster


PUT = """
import json, sys, boto3
keys, url, bucket, key, path = sys.argv[1:]
told = json.load(open(keys))
boto3.client("s3", endpoint_url=url, aws_access_key_id=told["login"], aws_secret_access_key=told["password"],
             region_name="us-east-1").upload_file(path, bucket, key)
"""

RACE = """
import sys
from airflow_provider_segexport.errors import RetryableError
from airflow_provider_segexport.hooks.paths import resolve
from airflow_provider_segexport.storage.ledger import Ledger

ledger, won, lost = Ledger(resolve(sys.argv[1])), [], 0
while len(won) < int(sys.argv[2]):
    try:
        won.append(ledger.commit([], ledger.version()))
    except RetryableError:
        lost += 1
print(lost, *won)
"""


def connect(cluster: Cluster, vendor: str, conn_id: str, **extra: Any) -> str:
    """A connection in Airflow's database, made as a person would by the API."""
    fields = connection(vendor, cluster.sim("")["vendors"][vendor], allowed_dags="cluster_*", **extra)
    cluster.api("connections", {"connection_id": conn_id, **fields, "extra": json.dumps(fields["extra"])})
    return conn_id


def segment(cluster: Cluster, name: str, count: int) -> str:
    """A segment in the object storage; returns its address."""
    frame = pd.DataFrame({"email": [f"{name}{n}@example.com" for n in range(count)], "first_name": "Ada"})
    path = cluster.folder / f"{name}.parquet"
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    path.write_bytes(content.getvalue())
    key = f"segments/{name}/part-0.parquet"
    output_of(python(cluster, PUT, str(cluster.keys / "store.json"), cluster.url("store"), BUCKET, key, str(path)))
    return f"s3://object_store@{BUCKET}/segments/{name}/"


def audience(cluster: Cluster, vendor: str, number: int = 0) -> str:
    return str(cluster.sim("")["vendors"][vendor]["audiences"][number]["id"])


def held(cluster: Cluster, vendor: str, number: int = 0) -> int:
    """How many people the vendor holds in an audience."""
    return sum(cluster.sim(f"/{vendor}/audiences/{audience(cluster, vendor, number)}?summary=1")["counts"].values())


def reset(cluster: Cluster, **vendors: Any) -> None:
    """Empty accounts, and answers after a fifth of a second, so that tasks overlap."""
    cluster.sim("/reset", {"latency": 200, "log_body_bytes": 0, "vendors": vendors})


def test_a_mapped_export_runs_over_both_workers(cluster):
    """Three segments go to four vendors in twelve tasks; both workers take part, and every person arrives."""
    reset(cluster)
    names = ("one", "two", "three")
    paths = [segment(cluster, name, 300) for name in names]
    orders = [
        {"conn_id": conn_id, "audience": audience(cluster, vendor, number), "segment": path}
        for vendor, conn_id in [(vendor, connect(cluster, vendor, f"{vendor}_mapped")) for vendor in VENDORS]
        for number, path in enumerate(paths)
    ]
    cluster.trigger("mapped", orders)
    assert "success" == cluster.finished("mapped")
    assert 12 == len(cluster.exports("mapped"))
    assert {(vendor, number): 300 for vendor in VENDORS for number in range(3)} == {
        (vendor, number): held(cluster, vendor, number) for vendor in VENDORS for number in range(3)
    }
    assert [] == [worker for worker in WORKERS if not cluster.logs(worker, "mapped")]


def test_a_worker_keeps_nothing_of_a_person_on_its_disk(cluster):
    """Run folders, ledgers and segments are in the object storage alone, and no log holds an address."""
    for worker in WORKERS:
        remaining = [path for path in cluster.home(worker).rglob("*") if path.is_file()]
        assert remaining
        assert [] == [
            path for path in remaining if path.suffix in {".parquet", ".arrow"} or path.name == "summary.json"
        ]
        assert [] == [path for path in remaining if re.search(rb"(one|two|three)\d+@example\.com", path.read_bytes())]


def test_another_worker_goes_on_where_a_killed_one_stopped(cluster):
    """A SIGKILL in the middle of an export: the next try reads the run folder in the store, on another machine."""
    reset(cluster)
    cluster.sim("/reset", {"latency": 1500, "log_body_bytes": 0})
    conn_id = connect(cluster, "campaign_monitor", "campaign_monitor_killed")
    path = segment(cluster, "killed", 40_000)
    cluster.trigger(
        "killed", [{"conn_id": conn_id, "audience": audience(cluster, "campaign_monitor", 1), "segment": path}]
    )

    def sent() -> int:
        calls = cluster.sim("/requests?vendor=campaign_monitor")["requests"]
        return sum(call["path"].endswith("/import.json") for call in calls)

    cluster.wait_for("the middle of the export", lambda: sent() >= 10)
    first = next(worker for worker in WORKERS if cluster.logs(worker, "killed"))
    cluster.kill(first)
    before = sent()
    assert before < 40
    other = next(worker for worker in WORKERS if worker != first)
    try:
        assert "success" == cluster.finished("killed")
    finally:
        cluster.start(first)
    assert cluster.logs(other, "killed")
    assert 40_000 == held(cluster, "campaign_monitor", 1)
    in_flight, without_stored_result = 4, 8  # results wait up to two seconds to be stored; a call takes 1.5 s
    assert 40 <= sent() <= 40 + in_flight + without_stored_result
    assert [2] == [instance["try_number"] for instance in cluster.exports("killed")]


def test_a_quota_holds_over_both_workers(cluster):
    """Four tasks on two machines share one account's 240 calls a minute, and the vendor never has to refuse one.

    A worker takes three at a time.
    """
    reset(cluster, omnisend={"calls_per_minute": 240, "start_seconds": 0, "job_seconds": 0, "job_seconds_per_row": 0})
    conn_id = connect(cluster, "omnisend", "omnisend_quota", calls_per_minute=240)
    orders = [
        {"conn_id": conn_id, "audience": f"Quota {number}", "segment": segment(cluster, f"quota{number}", 6_800)}
        for number in range(4)
    ]
    cluster.trigger("quota", orders)
    assert "success" == cluster.finished("quota", patience_s=400)
    assert [] == [worker for worker in WORKERS if not cluster.logs(worker, "quota")]
    answers = [call["status"] for call in cluster.sim("/requests?vendor=omnisend")["requests"]]
    assert len(answers) > 270
    assert 0 == answers.count(429)


def test_two_writers_never_write_one_version_of_a_ledger(cluster):
    """Each version in the store has one writer: the second writer gets an error, reads again, and writes the next."""
    store = {**json.loads((cluster.keys / "store.json").read_text()), "conn_type": "aws"}
    store["extra"] = {"endpoint_url": cluster.url("store"), "region_name": "us-east-1"}
    ledger = f"s3://object_store@{BUCKET}/race/ledger"
    code = f"import os; os.environ['AIRFLOW_CONN_OBJECT_STORE'] = {json.dumps(store)!r}\n{RACE}"
    racing = [python(cluster, code, ledger, "15") for _ in range(2)]
    numbers = [[int(word) for word in output_of(process).splitlines()[-1].split()] for process in racing]
    lost, won = [line[0] for line in numbers], [line[1:] for line in numbers]
    assert list(range(1, 31)) == sorted(won[0] + won[1])
    assert sum(lost) > 0
