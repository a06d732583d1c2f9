"""Reading one snapshot of a Delta or Iceberg table, on a disk and in a bucket."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import sys
import uuid
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.segment_folders import Bucket, Disk
from upath import UPath

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import snapshots
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.storage.paths import as_storage_path, local_path

deltalake = pytest.importorskip("deltalake")
pytest.importorskip("pyiceberg")

PEOPLE = {"email": ["a@x.org", "b@x.org", "c@x.org"], "country": ["DE", "FR", "DE"], "points": [1, 2, 3]}


@pytest.fixture(params=["disk", "bucket"])
def store(request, tmp_path):
    if request.param == "disk":
        return Disk(tmp_path / "lake [1]" / "day=1")
    server = request.getfixturevalue("server")
    return Bucket(f"http://127.0.0.1:{server.port}", f"b{uuid.uuid4().hex}")


def uploaded(store, folder):
    """A table that was made on the disk, as the store holds it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put(f"{folder.name}/{path.relative_to(folder)}", path.read_bytes())
    return f"{store.root}/{folder.name}"


def rows(text, resolve, to, **options):
    path, name = snapshots.copy_snapshot(text, resolve, as_storage_path(to), **options)
    return pq.read_table(path), name


@pytest.fixture
def delta(tmp_path):
    """A table whose second version has no b and a new column."""
    path = tmp_path / "people"
    deltalake.write_deltalake(path, pa.table(PEOPLE), partition_by=["country"])
    deltalake.DeltaTable(path).delete("email = 'b@x.org'")
    more = pa.table({"email": ["d@x.org"], "country": ["a/b=c"], "points": [4], "vip": [True]})
    deltalake.write_deltalake(path, more, mode="append", schema_mode="merge")
    return path


def test_a_delta_table_is_read_as_it_is_now(store, delta, tmp_path):
    """Deleted rows are not there, partition columns are, and a file of before a column was added has nulls."""
    table, name = rows(f"delta:{uploaded(store, delta)}", store.resolve, tmp_path / "run")
    assert sorted(table.to_pylist(), key=lambda row: row["email"]) == [
        {"email": "a@x.org", "country": "DE", "points": 1, "vip": None},
        {"email": "c@x.org", "country": "DE", "points": 3, "vip": None},
        {"email": "d@x.org", "country": "a/b=c", "points": 4, "vip": True},
    ]
    assert name == f"delta:{store.root}/people@2"


def test_a_delta_table_is_read_as_it_was(delta, tmp_path):
    """At a time between two commits; before the first there is nothing to read."""
    first = min(entry["timestamp"] for entry in deltalake.DeltaTable(delta).history())
    at = dt.datetime.fromtimestamp(first / 1000, dt.UTC)
    table, name = rows(f"delta:{delta}", local_path, tmp_path / "run", at=at.isoformat())
    assert sorted(table.column("email").to_pylist()) == ["a@x.org", "b@x.org", "c@x.org"]
    assert name.endswith("@0")
    with pytest.raises(InvalidSegment, match=r"has no version of 2001.*To fix: give a later `as_of`"):
        rows(f"delta:{delta}", local_path, tmp_path / "run", at="2001-01-01T00:00:00+00:00")


def test_a_delta_table_with_deletion_vectors_is_refused_or_read_exactly(delta, tmp_path):
    """A deleted row never comes out: the library refuses what it cannot apply, and the error says what to do."""
    log = delta / "_delta_log"
    schema = deltalake.DeltaTable(delta).schema().to_json()
    for path in log.iterdir():
        path.unlink()
    for path in delta.rglob("*.parquet"):
        path.unlink()
    pq.write_table(pa.table({"email": ["a@x.org", "gone@x.org"]}), delta / "part-0.parquet")
    features = ["deletionVectors"]
    protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    actions = [
        {"protocol": protocol},
        {
            "metaData": {
                "id": str(uuid.uuid4()),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json.dumps({**json.loads(schema), "fields": json.loads(schema)["fields"][:1]}),
                "partitionColumns": [],
                "configuration": {"delta.enableDeletionVectors": "true"},
                "createdTime": 0,
            }
        },
        {
            "add": {
                "path": "part-0.parquet",
                "partitionValues": {},
                "size": (delta / "part-0.parquet").stat().st_size,
                "modificationTime": 0,
                "dataChange": True,
                "stats": json.dumps({"numRecords": 2}),
                "deletionVector": {
                    "storageType": "i",
                    "pathOrInlineDv": base64.b85encode(bytes(40)).decode(),
                    "sizeInBytes": 40,
                    "cardinality": 1,
                },
            }
        },
    ]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    with pytest.raises(InvalidSegment, match=r"deletion vectors.*To fix: write the table's current snapshot"):
        rows(f"delta:{delta}", local_path, tmp_path / "run")


@pytest.fixture
def iceberg(tmp_path):
    """A table of a catalog on the disk: b is deleted, d is new."""
    catalog = lake(tmp_path, f"file://{tmp_path}/warehouse")
    table = catalog.create_table("crm.people", pa.schema([("email", pa.string()), ("points", pa.int64())]))
    table.append(pa.table({"email": ["a@x.org", "b@x.org"], "points": [1, 2]}))
    table.delete("email == 'b@x.org'")
    table.append(pa.table({"email": ["d@x.org"], "points": [4]}))
    yield table
    catalog.destroy_tables()
    catalog.close()


def test_an_iceberg_table_is_read_as_it_is_now_and_as_it_was(iceberg, tmp_path):
    """By its folder, from the newest metadata file."""
    text = f"iceberg:{iceberg.location().removeprefix('file://')}"
    table, name = rows(text, local_path, tmp_path / "run")
    assert sorted(table.column("email").to_pylist()) == ["a@x.org", "d@x.org"]
    assert name.endswith(f"@{iceberg.current_snapshot().snapshot_id}")
    first = dt.datetime.fromtimestamp(iceberg.history()[0].timestamp_ms / 1000, dt.UTC)
    table, _ = rows(text, local_path, tmp_path / "run", at=first.isoformat())
    assert sorted(table.column("email").to_pylist()) == ["a@x.org", "b@x.org"]
    with pytest.raises(InvalidSegment, match="has no snapshot of 2001"):
        rows(text, local_path, tmp_path / "run", at="2001-01-01T00:00:00+00:00")


def test_an_iceberg_table_is_read_through_its_catalog(iceberg, tmp_path, monkeypatch):
    """A name without a slash belongs to a catalog that pyiceberg's own configuration describes."""
    monkeypatch.setattr("pyiceberg.catalog.load_catalog", lambda name: {"lake": iceberg.catalog}[name])
    table, _ = rows("iceberg:lake.crm.people", local_path, tmp_path / "run", wanted=["email"])
    assert table.column_names == ["email"]
    assert sorted(table.column("email").to_pylist()) == ["a@x.org", "d@x.org"]


def test_only_wanted_columns_are_copied(delta, tmp_path):
    """All of them where one is missing: the reader of footers says which there are."""
    assert rows(f"delta:{delta}", local_path, tmp_path, wanted=["email"])[0].column_names == ["email"]
    assert len(rows(f"delta:{delta}", local_path, tmp_path, wanted=["email", "none"])[0].column_names) == 4


def test_find_copies_tables_and_discard_removes_the_copies(delta, tmp_path):
    """A table named twice is copied once; the plain folder stays refused."""
    run = as_storage_path(tmp_path / "run")
    copy = partial(snapshots.copy_snapshot, resolve=local_path, to=run)
    files = find_files([f"delta:{delta}", f"delta:{delta}"], local_path, copy)
    assert [name for _, name in files] == [f"delta:{delta}@2"]
    assert files[0][0].exists()
    snapshots.discard_copies(run)
    assert not files[0][0].exists()
    with pytest.raises(InvalidSegment, match=r"is a Delta table.*delta:<path>"):
        find_files(str(delta), local_path, copy)


def delete_by_position(table, monkeypatch, data, positions):
    """Add a delete file, as engines write that merge on read: it names rows by their file and position.

    pyiceberg reads such files and writes none, so its writer of manifests marks this one as holding deletes.
    """
    from pyiceberg import manifest  # noqa: PLC0415 - an extra
    from pyiceberg.typedef import Record  # noqa: PLC0415 - as above

    content = io.BytesIO()
    pq.write_table(pa.table({"file_path": [data] * len(positions), "pos": positions}), content)
    path = f"{table.location()}/data/{uuid.uuid4().hex}-deletes.parquet"
    with table.io.new_output(path).create() as out:
        out.write(content.getvalue())
    file = manifest.DataFile.from_args(
        content=manifest.DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=manifest.FileFormat.PARQUET,
        partition=Record(),
        record_count=len(positions),
        file_size_in_bytes=len(content.getvalue()),
    )
    file.spec_id = table.spec().spec_id
    meta = manifest.ManifestWriterV2._meta.fget
    with monkeypatch.context() as patched, table.transaction() as transaction:
        patched.setattr(manifest.ManifestWriterV2, "content", lambda _: manifest.ManifestContent.DELETES)
        patched.setattr(
            manifest.ManifestWriterV2, "_meta", property(lambda writer: {**meta(writer), "content": "deletes"})
        )
        with transaction.update_snapshot().fast_append() as append:
            append.append_data_file(file)


def lake(tmp_path, location, **options):
    """A catalog on the disk whose tables lie below a location."""
    from pyiceberg.catalog.sql import SqlCatalog  # noqa: PLC0415 - brings SQLAlchemy

    catalog = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=location, **options)
    catalog.create_namespace("crm")
    return catalog


@pytest.fixture(params=["disk", "bucket"])
def stored(request, tmp_path):
    """A table on a disk or in a bucket of an S3 server, with its path and what opens places there."""
    if request.param == "disk":
        catalog, resolve = lake(tmp_path, f"file://{tmp_path}/warehouse"), local_path
    else:
        from s3 import KEYS  # noqa: PLC0415 - brings moto

        port = request.getfixturevalue("server").port
        bucket = Bucket(f"http://127.0.0.1:{port}", f"b{uuid.uuid4().hex}")
        resolve = bucket.resolve
        options = {"s3.endpoint": bucket.endpoint, "s3.access-key-id": KEYS["key"]}
        options |= {"s3.secret-access-key": KEYS["secret"], "s3.region": "us-east-1"}
        catalog = lake(tmp_path, bucket.root, **{"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}, **options)
    table = catalog.create_table("crm.people", pa.schema([("email", pa.string()), ("points", pa.int64())]))
    table.append(pa.table({"email": ["a@x.org", "gone@x.org", "c@x.org"], "points": [1, 2, 3]}))
    yield table, table.location().removeprefix("file://"), resolve
    catalog.destroy_tables()
    catalog.close()


def test_rows_of_an_iceberg_table_that_delete_files_name_do_not_come_out(stored, tmp_path, monkeypatch):
    """On a disk and in a bucket, now; as of before the deletion the row is there."""
    table, path, resolve = stored
    (data,) = (task.file.file_path for task in table.scan().plan_files())
    delete_by_position(table, monkeypatch, data, [1])
    (task,) = table.scan().plan_files()
    assert 1 == len(task.delete_files)
    rows_read, name = rows(f"iceberg:{path}", resolve, tmp_path / "run")
    assert ["a@x.org", "c@x.org"] == rows_read.column("email").to_pylist()
    assert name == f"iceberg:{path}@{table.current_snapshot().snapshot_id}"
    first = dt.datetime.fromtimestamp(table.history()[0].timestamp_ms / 1000, dt.UTC)
    rows_read, _ = rows(f"iceberg:{path}", resolve, tmp_path / "run", at=first.isoformat(), wanted=["email"])
    assert ["a@x.org", "gone@x.org", "c@x.org"] == rows_read.column("email").to_pylist()


@pytest.mark.parametrize(("kind", "library"), [("delta", "deltalake"), ("iceberg", "pyiceberg.catalog")])
def test_a_missing_library_names_the_extra(tmp_path, monkeypatch, kind, library):
    """Without the extra the error says how to install it."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(
        InvalidSegment, match=rf"not installed. To fix: pip install 'airflow-provider-segexport\[{kind}\]'"
    ):
        rows(f"{kind}:{tmp_path}/t", local_path, tmp_path)


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_what_is_no_table_is_refused(tmp_path, kind):
    """An empty folder, and one that is not there."""
    (tmp_path / "empty").mkdir()
    for name in ("empty", "gone"):
        with pytest.raises(InvalidSegment, match="To fix:"):
            rows(f"{kind}:{tmp_path}/{name}", local_path, tmp_path / "run")


def test_only_a_prefix_makes_a_table():
    """An address of another scheme, and a path, are none."""
    assert snapshots.is_table("delta:s3://lake@bucket/t")
    assert not any(map(snapshots.is_table, ("delta://x/y", "./delta:x", "s3://b/delta:x", "delta:")))
    assert UPath("memory://x")
