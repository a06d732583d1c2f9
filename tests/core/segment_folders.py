"""Folders on a disk and in a bucket with files of given names, and the content of a segment in them."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import shared
from upath import UPath

from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.storage.paths import local_path


def content(*emails: str, **columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"email": list(emails), **columns}), file)
    return file.getvalue()


class Disk:
    """A folder of a disk, filled by names."""

    def __init__(self, root):
        self.root, self.resolve = root, local_path

    def put(self, name: str, body: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


class Bucket:
    """A folder of a bucket, filled by keys."""

    def __init__(self, endpoint: str, name: str):
        from s3 import KEYS, new_bucket  # noqa: PLC0415 - brings moto, which tests on a disk do not need

        new_bucket(endpoint, name)
        self.options = {**KEYS, "client_kwargs": {"endpoint_url": endpoint}}
        self.endpoint, self.name, self.root = endpoint, name, f"s3://{name}/top"

    def resolve(self, text: str) -> UPath:
        scheme, _, path = text.partition("://")
        bucket, _, key = path.partition("/")
        base = UPath(f"{scheme}://{bucket}", **self.options)
        return base / key if key else base

    def put(self, name: str, body: bytes) -> None:
        from s3 import s3_client  # noqa: PLC0415 - as above

        with s3_client(self.endpoint) as client:
            client.put_object(Bucket=self.name, Key=f"top/{name}", Body=body)


@pytest.fixture(params=["disk", "bucket"])
def store(request, tmp_path):
    if request.param == "disk":
        return Disk(tmp_path / "top")
    server = request.getfixturevalue("server")
    return Bucket(f"http://127.0.0.1:{server.port}", f"b{abs(hash(request.node.name))}")


def names(store, *texts: str) -> list[str]:
    """The paths below the root that texts expand to."""
    segment = [f"{store.root}/{text}" if text else str(store.root) for text in texts]
    return [name.removeprefix(f"{store.root}/") for _, name in find_files(segment, store.resolve)]


def emails(store, *texts: str) -> list[str]:
    """The emails that the engine reads from texts below the root."""
    files = find_files([f"{store.root}/{text}".rstrip("/") for text in texts], store.resolve)
    return [email for (email,) in shared().rows(f"select email from {shared().scan([path for path, _ in files])}")]
