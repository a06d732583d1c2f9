"""Sets up a cluster: database, bucket, connections and the Variable with the audiences. It can run repeatedly.

Usage: python first_start.py KEYS STORE_URL BUCKET SIMULATOR_URL

The connections to the vendors point to the simulator, and each run restores them. Create connections to real vendors
under other ids, in Airflow's form or in a secrets backend. An existing connection `object_store` stays as it is.
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


def airflow(*arguments: str) -> None:
    """Run a command of Airflow; exit if it fails."""
    subprocess.run(["airflow", *arguments], check=True)  # noqa: S603, S607 - Airflow, from the image's own PATH


def import_objects(kind: str, content: dict[str, Any], *more: str) -> None:
    """Import connections or Variables through a temporary file that only this user can read.

    Args:
        kind: `connections` or `variables`.
        content: the objects by id.
        more: further arguments of the command.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(content, file)
        file.flush()
        airflow(kind, "import", *more, file.name)


def object_store(keys: Path, url: str) -> dict[str, Any]:
    """Return the connection to the object storage."""
    credentials = json.loads((keys / "store.json").read_text())
    return {"conn_type": "aws", **credentials, "extra": {"endpoint_url": url, "region_name": "us-east-1"}}


def make_bucket(store: dict[str, Any], bucket: str) -> None:
    """Create the bucket if it does not exist."""
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


def simulator_connections(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a connection to each simulated vendor, and the audience of each segment by connection."""
    with urllib.request.urlopen(f"{url}/_sim", timeout=30) as reply:  # noqa: S310 - the cluster's own simulator
        vendors = json.load(reply)["vendors"]
    connections, audiences = {}, {}
    for name, vendor in vendors.items():
        connections[f"{name}_default"] = connection(
            name, vendor, consented_by="first start", allowed_dags="segment_exports"
        )
        ids = [str(audience["id"]) for audience in vendor["audiences"]]
        audiences[f"{name}_default"] = dict(zip(SEGMENTS, ids, strict=False))
    return connections, audiences


def main() -> None:
    """Prepare everything that the cluster's processes need."""
    keys, store_url, bucket, simulator_url = Path(sys.argv[1]), *sys.argv[2:5]
    airflow("db", "migrate")
    store = object_store(keys, store_url)
    make_bucket(store, bucket)
    connections, audiences = simulator_connections(simulator_url)
    import_objects("connections", {"object_store": store})  # an existing one may point to a bucket of the user's own
    import_objects("connections", connections, "--overwrite")
    import_objects("variables", {"segexport_audiences": audiences})


if __name__ == "__main__":
    main()
