"""What a new cluster needs once, and may be done again: database, bucket, connections, the exports' audiences.

Usage: python first_start.py KEYS STORE_URL BUCKET SIMULATOR_URL

The connections point to the simulator. Those of real vendors are made in Airflow's own form, or kept in its secrets
backend; this script is not run for them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from airflow_provider_segexport.simulator.connections import connection

SEGMENTS = ("newsletter_active", "high_value", "lapsed")


def airflow(*words: str) -> None:
    """Run a command of Airflow's; a failure ends the start."""
    subprocess.run(["airflow", *words], check=True)  # noqa: S603, S607 - Airflow, from the image's own PATH


def imported(kind: str, content: dict[str, Any], *more: str) -> None:
    """Hand connections or Variables to Airflow in a file that only this user can read, and that goes away."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(content, file)
        file.flush()
        airflow(kind, "import", *more, file.name)


def object_store(keys: Path, url: str) -> dict[str, Any]:
    """The connection to the object storage."""
    told = json.loads((keys / "store.json").read_text())
    return {"conn_type": "aws", **told, "extra": {"endpoint_url": url, "region_name": "us-east-1"}}


def make_bucket(store: dict[str, Any], bucket: str) -> None:
    """Make the bucket, unless it is there."""
    client = boto3.client(
        "s3",
        aws_access_key_id=store["login"],
        aws_secret_access_key=store["password"],
        **store["extra"],
    )
    try:
        client.create_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise


def simulated(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A connection to each of the simulator's vendors, and which audience each segment goes to."""
    with urllib.request.urlopen(f"{url}/_sim", timeout=30) as reply:  # noqa: S310 - the cluster's own simulator
        vendors = json.load(reply)["vendors"]
    connections, audiences = {}, {}
    for name, told in vendors.items():
        connections[f"{name}_default"] = connection(
            name, told, consented_by="first start", allowed_dags="segment_exports"
        )
        ids = [str(audience["id"]) for audience in told["audiences"]]
        audiences[f"{name}_default"] = dict(zip(SEGMENTS, ids, strict=False))
    return connections, audiences


def main() -> None:
    """Bring the cluster to where its processes can start."""
    keys, store_url, bucket, simulator_url = Path(sys.argv[1]), *sys.argv[2:5]
    airflow("db", "migrate")
    store = object_store(keys, store_url)
    make_bucket(store, bucket)
    connections, audiences = simulated(simulator_url)
    imported("connections", {"object_store": store, **connections}, "--overwrite")
    imported("variables", {"segexport_audiences": audiences})


if __name__ == "__main__":
    main()
