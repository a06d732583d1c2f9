"""Folders of tables are refused, because their files hold rows that were deleted."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import written
from core.segment_folders import content, names, store

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import footers
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.segment_files.suppression_files import read_entries
from airflow_provider_segexport.storage.paths import local_path

__all__ = ["store"]


@pytest.mark.parametrize(
    ("sign", "kind"),
    [
        ("_delta_log/00000000000000000000.json", "a Delta table"),
        ("metadata/00000-1.metadata.json", "an Iceberg table"),
        ("metadata/v1.gz.metadata.json", "an Iceberg table"),
        ("metadata/version-hint.text", "an Iceberg table"),
        (".hoodie/hoodie.properties", "a Hudi table"),
        ("ducklake-0197a3bb-1c2d-7e8f-9a0b-112233445566.parquet", "a DuckLake table"),
        ("ducklake-0197a3bb-1c2d-7e8f-9a0b-112233445566-delete.parquet", "a DuckLake table"),
        ("base_0000003/000000_0", "a transactional Hive table"),
        ("delta_0000001_0000002_0000_v0000017/000000_0", "a transactional Hive table"),
    ],
)
@pytest.mark.parametrize("text", ["", "lake", "lake/table", "lake/*", "lake/**/*.parquet", "lake/table/*.parquet"])
def test_table_folders_are_refused(store, sign, kind, text):
    """A table is refused as folder, below a parent and by pattern: its files hold rows that were deleted since."""
    store.put(f"lake/table/{sign}", b"{}")
    store.put("lake/table/part-1.parquet", content("stale@x.org"))
    if "ducklake" in sign and text.endswith("*.parquet"):
        store.put(f"lake/table/{sign}", content("stale@x.org"))
    with pytest.raises(InvalidSegment, match=rf"lake/table is {kind}.*Nothing was read\. To fix: .*plain Parquet"):
        names(store, text)


@pytest.mark.parametrize("text", ["", "lake", "lake/table", "lake/*", "lake/**/*.parquet"])
def test_a_paimon_table_is_refused(store, text):
    """Its files of data lie in folders of their own, below the table's."""
    store.put("lake/table/snapshot/LATEST", b"1")
    store.put("lake/table/bucket-0/data-1-0.parquet", content("stale@x.org"))
    with pytest.raises(InvalidSegment, match="lake/table is a Paimon table"):
        names(store, text)


@pytest.mark.parametrize("text", ["", "lake", "lake/people.lance", "lake/*"])
def test_a_lance_dataset_is_refused(store, text):
    """It has no Parquet file, and the advice is not to remove its files."""
    store.put("lake/people.lance/_versions/1.manifest", b"1")
    store.put("lake/people.lance/data/0197a3bb.lance", b"1")
    with pytest.raises(InvalidSegment, match=r"lake/people\.lance is a Lance dataset.*plain Parquet"):
        names(store, text)


def test_a_file_with_the_ending_of_lance_makes_no_dataset(store):
    """Beside it lies no manifest. As any other file that is not read, it is refused by its own name."""
    store.put("lake/data/notes.lance", b"1")
    store.put("lake/data/_versions/2026/readme.txt", b"1")
    store.put("lake/data/part-1.parquet", content("ann@x.org"))
    assert names(store, "lake/data/*.parquet") == ["lake/data/part-1.parquet"]
    with pytest.raises(InvalidSegment, match=r"lake/data/notes\.lance \(not Parquet\)"):
        names(store, "lake")


@pytest.mark.parametrize("sign", ["_delta_log/0.json", ".hoodie/x", "metadata/1.metadata.json", "_versions/1.manifest"])
def test_files_inside_a_table_are_refused(store, sign):
    """Also a partition of it, one of its files, and a pattern over its partitions."""
    store.put(f"table/{sign}", b"{}")
    store.put("table/country=DE/day=1/part-1.parquet", content("stale@x.org"))
    for text in ("table/country=DE", "table/country=DE/day=1/part-1.parquet", "table/country=*/day=1/*.parquet"):
        with pytest.raises(InvalidSegment, match=r"/table is an? (Delta table|Hudi table|Iceberg table|Lance dataset)"):
            names(store, text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("paimon/dt=1", "paimon is a Paimon table"),
        ("paimon/dt=1/bucket-0", "paimon is a Paimon table"),
        ("paimon/dt=1/bucket-0/data-1-0.parquet", "paimon is a Paimon table"),
        ("hive/dt=1/delta_0000001_0000001_0000", "hive/dt=1 is a transactional Hive table"),
        ("hive/dt=1/base_0000003", "hive/dt=1 is a transactional Hive table"),
        ("hive/dt=1/base_0000003/000000_0", "hive/dt=1 is a transactional Hive table"),
        ("hive/dt=1/delta_0000001_0000001_0000/*_0", "hive/dt=1 is a transactional Hive table"),
        ("duck/main/ducklake-0197a3bb-1c2d-7e8f-9a0b-112233445566.parquet", "duck/main is a DuckLake table"),
    ],
)
def test_a_part_of_a_table_that_is_named_itself_is_refused(store, text, kind):
    """Its rows may have been deleted or replaced by another part."""
    store.put("paimon/snapshot/snapshot-1", b"{}")
    for name in (
        "paimon/dt=1/bucket-0/data-1-0.parquet",
        "hive/dt=1/delta_0000001_0000001_0000/000000_0",
        "hive/dt=1/base_0000003/000000_0",
        "duck/main/ducklake-0197a3bb-1c2d-7e8f-9a0b-112233445566.parquet",
    ):
        store.put(name, content("stale@x.org"))
    with pytest.raises(InvalidSegment, match=rf"/{kind}.*Nothing was read\. To fix: .*plain Parquet"):
        names(store, text)


UUID = "6f0b4e5c-1c1a-4c0b-9d7f-0123456789ab"
DATA_FILES = [
    ("Hudi", f"{UUID}-0_0-24-34_20210503131555.parquet"),
    ("Hudi", f"00000002-{UUID[9:]}_1-24-34_20210503131555123.parquet"),
    ("Iceberg", f"00000-0-{UUID}-00001.parquet"),
    ("Iceberg", f"00003-7-{UUID}-0-00001.parquet"),
    ("Iceberg", f"00000-0-root_20210101_{UUID}-job_1-00001.parquet"),
    ("Iceberg", f"00000-0-{UUID}-00001-deletes.parquet"),
    ("Iceberg", f"00000-0-{UUID}.parquet"),
    ("Iceberg", f"20240101_101010_00001_abcde-{UUID}.parquet"),
    ("DuckLake", f"ducklake-{UUID.upper()}.parquet"),
    ("Paimon", f"bucket-0/data-{UUID}-0.parquet"),
    ("Paimon", f"bucket-postpone/changelog-{UUID}-0.parquet"),
]
"""Kind of table and name of a data file, of files whose table has its log elsewhere or was copied without it."""


@pytest.mark.parametrize(("kind", "name"), DATA_FILES)
def test_a_data_file_without_the_log_of_its_table_is_refused(store, kind, name):
    """As a folder, by pattern and by its own name."""
    store.put(f"lake/data/{name}", content("stale@x.org"))
    for text in ("lake", "lake/data", "lake/**/*.parquet", f"lake/data/{name}"):
        with pytest.raises(InvalidSegment, match=rf"lake/data is an? {kind} table: .*Nothing was read"):
            names(store, text)


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        ("Hudi", "table/.hoodie_partition_metadata"),
        ("Hudi", "table/.hoodie_partition_metadata.parquet"),
        ("Iceberg", "table/metadata/snap-1-1-x.avro"),
        ("Iceberg", "table/metadata/x-m0.avro"),
    ],
)
def test_a_folder_with_a_part_of_a_table_s_log_is_refused(store, kind, sign):
    """The other parts of the log may be elsewhere."""
    store.put(sign, b"x")
    store.put("table/part-1.parquet", content("stale@x.org"))
    for text in ("table", "", "*/*"):
        with pytest.raises(InvalidSegment, match=rf"/table is an? {kind} table"):
            names(store, text)


@pytest.mark.parametrize(
    "name",
    [
        f"part-00000-{UUID}-c000.snappy.parquet",
        f"20240101_101010_00001_abcde_{UUID}",
        f"{UUID}.snappy.parquet",
        f"events-1-2024-01-01-10-10-10-{UUID}.parquet",
        f"data-{UUID}-0.parquet",
        "000000000000.parquet",
        "data_0_0_0.snappy.parquet",
        "0000_part_00.parquet",
        "run-1700000000000-part-block-0-r-00000-snappy.parquet",
    ],
)
def test_data_files_of_other_writers_are_read(store, name):
    """Spark, Athena, awswrangler, Firehose, BigQuery, Snowflake, Redshift and Glue write plain Parquet."""
    store.put(f"seg/{name}", content("ann@x.org"))
    assert names(store, "seg") == [f"seg/{name}"]


@pytest.mark.parametrize(
    ("kind", "key"),
    [("Iceberg", "iceberg.schema"), ("Hudi", "hoodie_min_record_key"), ("Hudi", "org.apache.hudi.bloomfilter")],
)
def test_a_data_file_is_known_by_its_footer(tmp_path, kind, key):
    """Also if it was renamed, and also as a suppression list, which would lack entries."""
    table = pa.table({"email": ["stale@x.org"]}).replace_schema_metadata({key: "{}"})
    path = local_path(str(written(tmp_path / "part-1.parquet", table)))
    for read in (
        lambda: footers.read_footer(path, "part-1.parquet"),
        lambda: next(read_entries(path, "part-1.parquet")),
    ):
        with pytest.raises(
            InvalidSegment, match=rf"part-1\.parquet is a data file of an? {kind} table.*Nothing was read"
        ):
            read()


def test_a_link_to_a_data_file_of_a_table_is_refused(tmp_path):
    """The name of the real file counts."""
    path = written(tmp_path / "lake" / f"00000-0-{UUID}.parquet", {"email": ["stale@x.org"]})
    (tmp_path / "seg").mkdir()
    (tmp_path / "seg" / "x.parquet").symlink_to(path)
    for text in ("seg", "seg/x.parquet"):
        with pytest.raises(InvalidSegment, match="lake is an Iceberg table"):
            find_files(str(tmp_path / text), local_path)


def test_a_link_into_a_table_is_refused(tmp_path):
    """The table around the real file counts."""
    path = written(tmp_path / "table" / "part.parquet", {"email": ["stale@x.org"]})
    (tmp_path / "table" / "_delta_log").mkdir()
    (tmp_path / "seg").mkdir()
    (tmp_path / "seg" / "x.parquet").symlink_to(path)
    with pytest.raises(InvalidSegment, match="table is a Delta table"):
        find_files(str(tmp_path / "seg"), local_path)


DATABRICKS = {
    "part-0-tid-111-aa-c000.parquet": b"",
    "part-0-tid-222-bb-c000.parquet": b"",
    "part-0-tid-333-cc-c000.parquet": b"",
    "part-1-tid-222-bb-c000.parquet": b"",
    "part-0-tid-444-dd-c000.parquet": b"",
    "old.parquet": b"",
    "_committed_111": b'{"added":["part-0-tid-111-aa-c000.parquet"],"removed":[]}',
    "_started_222": b" ",
    "_committed_222": (
        b'{"added":["part-0-tid-222-bb-c000.parquet"],"removed":["part-0-tid-111-aa-c000.parquet","old.parquet"]}'
    ),
    "_started_333": b" ",
    "_committed_vacuum5": b'{"added":[],"removed":["_committed_99"]}',
}
"""An overwritten folder: with a file of a failed task, one of a job without an end, and one of a job long ended."""


@pytest.mark.parametrize("text", ["seg", "seg/*.parquet", "**", "s*/*", "*"])
def test_a_file_that_databricks_has_replaced_or_not_committed_is_refused(store, text):
    """VACUUM deletes such a file days later; people in it may have left the segment."""
    for name, body in DATABRICKS.items():
        store.put(f"seg/{name}", body or content(name))
    with pytest.raises(InvalidSegment, match=r"replaced or not committed.*To fix:.*VACUUM") as caught:
        names(store, text)
    stale = {name for name in DATABRICKS if f"/{name} (replaced" in str(caught.value)}
    assert stale == set(DATABRICKS) - {name for name in DATABRICKS if name.startswith("_")} - {
        "part-0-tid-222-bb-c000.parquet",
        "part-0-tid-444-dd-c000.parquet",
    }
    assert names(store, "seg/old.parquet", "seg/part-0-*444*") == [
        "seg/old.parquet",
        "seg/part-0-tid-444-dd-c000.parquet",
    ]


@pytest.mark.parametrize("marker", [b"no JSON", b"{}", b"[" * 10_000, b'{"added":[{}],"removed":[]}'])
def test_a_databricks_marker_that_cannot_be_read_is_named(store, marker):
    """It may say that a file beside it was replaced."""
    store.put("a.parquet", content("a@x.org"))
    store.put("_committed_7", marker)
    with pytest.raises(InvalidSegment, match=r"a\.parquet \(beside a Databricks marker that cannot be read\)"):
        names(store, "")


def test_a_table_that_is_not_read_disturbs_nothing(store):
    """A table beside the segment, or in a hidden folder, is not read and not refused."""
    store.put("table/_delta_log/0.json", b"{}")
    store.put("seg/_old/_delta_log/0.json", b"{}")
    store.put("seg/metadata/a.parquet", content("a@x.org"))
    assert names(store, "seg") == ["seg/metadata/a.parquet"]


@pytest.mark.parametrize("unfinished", ["_temporary", "__magic", "__magic_job-0f3c"])
@pytest.mark.parametrize("folder", ["seg", "seg/day=1"])
def test_a_folder_into_which_a_job_writes_is_refused(store, unfinished, folder):
    """Spark and Hadoop move their files one by one, and some would be missing: people of a suppression list."""
    store.put("seg/day=1/part-0.parquet", content("day"))
    store.put("seg/part-0.parquet", content("top"))
    store.put(f"{folder}/{unfinished}/0/task_1/part-1.parquet", content("missing"))
    texts = ["seg", "s*", "**/*.parquet", "seg/day=*", f"{folder}/*.parquet"]
    for text in texts if folder == "seg" else [*texts, folder]:
        if text == "seg/day=*" and folder == "seg":
            continue  # the job writes into the folder above
        with pytest.raises(InvalidSegment, match=rf"/{folder} holds the folder {unfinished} of a job.*To fix: "):
            names(store, text)
    assert names(store, "seg/part-0.parquet") == ["seg/part-0.parquet"]
    meant = f"{folder}/{unfinished}/0/task_1/part-1.parquet"
    assert names(store, f"{folder}/{unfinished}/**/*.parquet") == [meant]
    assert names(store, f"{folder}/_*/0/*/*.parquet") == [meant]


def test_what_an_interrupted_job_left_in_a_hidden_folder_disturbs_nothing(store):
    """Hidden folders are not read."""
    store.put("seg/part-0.parquet", content("top"))
    store.put("seg/_old/_temporary/0/part-1.parquet", content("old"))
    assert names(store, "seg") == ["seg/part-0.parquet"]
