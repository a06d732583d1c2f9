"""From what the user wrote to a list of literal Parquet files, on a disk and in a bucket."""

from __future__ import annotations

import io
import os
import random
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import cleaned, inspected, shared, values, written
from upath import UPath

from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.segment_files import patterns
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage import listing
from airflow_provider_segexport.storage.listing import MAX_DEPTH
from airflow_provider_segexport.storage.paths import local_path

ODD = [
    "part[1].parquet",
    "part1.parquet",
    "a?b.parquet",
    "axb.parquet",
    "all*.parquet",
    "[!a].parquet",
    "{a,b}.parquet",
    "back\\slash.parquet",
    "it's.parquet",
    "50%.parquet",
    "e%20f.parquet",
    "a#b.parquet",
    "q?",
    "~home.parquet",
    "größe.parquet",
    "new\nline.parquet",
    "a;b,c.parquet",
    "k=v.parquet",
]


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


def test_every_name_is_literal(store):
    """Each file is read once, under its own name and with its own rows, whatever characters the name has."""
    odd = [name for name in ODD if isinstance(store, Disk) or "\n" not in name]  # moto knows no such key
    for name in odd:
        store.put(name, content(name))
    assert sorted(emails(store, "")) == sorted(odd)
    for name in odd:
        assert emails(store, name) == [name]


def test_folders_with_wildcards_in_their_names_are_literal(store):
    """A folder `only [gold]` is that folder, also beside one that the pattern would match."""
    for folder in ("only [gold]", "only g", "a*", "ab", "day=?"):
        store.put(f"{folder}/x.parquet", content(folder))
    for folder in ("only [gold]", "a*", "day=?"):
        assert emails(store, folder) == [folder]
        assert emails(store, f"{folder}/*.parquet") == [folder]
    assert len(emails(store, "")) == 5


def test_a_pattern_is_matched_once_by_us(store):
    """Names that a pattern matched are not matched again; brackets say a literal wildcard."""
    for name in ("a[1].parquet", "a1.parquet", "a2.parquet", "b.parquet"):
        store.put(name, content(name))
    assert emails(store, "a*.parquet") == ["a1.parquet", "a2.parquet", "a[1].parquet"]
    assert emails(store, "a[[]*.parquet") == ["a[1].parquet"]
    assert emails(store, "a[12].parquet") == ["a1.parquet", "a2.parquet"]
    assert emails(store, "[!a]*") == ["b.parquet"]


def test_key_value_folders_change_no_column(store):
    """A column of the file is read, not the folder's key of the same name, and the key adds none."""
    store.put("newsletter=yes/state=active/a.parquet", content("a@x.org", newsletter=["no"]))
    files = find_files([f"{store.root}"], store.resolve)
    rows = shared().rows(f"select * from {shared().scan([path for path, _ in files])}")
    assert rows == [("a@x.org", "no")]


@pytest.mark.parametrize(
    "name",
    [
        "A.PARQUET",
        "a.parq",
        "a.pq",
        "a.snappy.parquet",
        "a.parquet.snappy",
        "a.gz.parquet",
        "000000_0",
        "20260302_x_1-2",
    ],
)
def test_parquet_is_known_by_name_or_by_its_first_bytes(store, name):
    """Endings in any case, with a codec, and the part files of Hive and Athena that have none."""
    store.put(name, content("a@x.org"))
    store.put("b.parquet", content("b@x.org"))
    assert sorted(emails(store, "")) == ["a@x.org", "b@x.org"]


@pytest.mark.parametrize("body", [b"email\na@x.org\n", b"", b"PAR", b"ORC\x00"])
@pytest.mark.parametrize("name", ["people.csv", "part-00001", "deep/er/notes.txt"])
def test_what_is_no_parquet_is_refused_by_name(store, name, body):
    """A file that would be left out stops the run, for a segment as for a suppression folder."""
    store.put("a.parquet", content("a@x.org"))
    store.put(name, body)
    with pytest.raises(InvalidSegment, match=rf"{name} \((not Parquet|empty)\).*To fix:"):
        names(store, "")
    assert names(store, "*.parquet") == ["a.parquet"]


STEMS = ("b", "part-00000-c000", "x.y")
ENDINGS = (
    *(
        ".tmp",
        ".temp",
        ".part",
        ".partial",
        ".inprogress",
        ".crdownload",
        ".bak",
        ".old",
        ".orig",
        "~",
        ".swp",
        ".copy",
    ),
    *(" (copy)", " (another copy)", " (3rd copy)", " (copy 2)", " - Copy", " - Copy (2)", " copy", " copy 2"),
    *(".tmp.8123", ".tmp-8123", ".temp8123", ".bak1", ".old.2", "._COPYING_", ".filepart", ".download", ".SWP", ".TMP"),
    ".inprogress.5f3c0e1d-2b4a-4c7d-8e9f-0a1b2c3d4e5f",
)
NOT_CURRENT = [
    *(
        name
        for end in ENDINGS
        for stem in STEMS
        for name in (f"{stem}.parquet{end}", f"{stem}{end}.parquet", f"{stem}{end}")
    ),
    *("b.parquet.1", "b.parquet.12", "b.snappy.parquet.2", "b.pq.~1~", "Copy of b.parquet", "b.bak.snappy.parquet"),
    *("b.parquet.tmp/part-0.parquet", "seg.old/b.parquet", "seg (copy)/day=1/b.parquet", "seg~/deep/er/b.parquet"),
]
CURRENT = (
    *("b.1.parquet", "part.0.parquet", "000000_0", "000000_0_copy_1", "bak.parquet", "old", "part-0001", "x.part-0001"),
    *(
        "b.parquet.snappy",
        "b (1).parquet",
        "copy.parquet",
        "x.parts.parquet",
        "temperature.parquet",
        "state=x.old/b.parquet",
    ),
    *("threshold.parquet", "b.on_stale.parquet", "x.20260101", "photocopy.parquet", "v1.2/b.parquet"),
)


def test_what_is_by_its_name_not_current_is_refused(tmp_path):
    """Its first bytes are Parquet's, and its rows those of another day; a name that is written in full is read."""
    store = Disk(tmp_path)
    for number, name in enumerate(NOT_CURRENT):
        folder = f"f{number}"
        store.put(f"{folder}/a.parquet", b"PAR1")
        store.put(f"{folder}/{name}", b"PAR1")
        for text in (folder, f"{folder}/*", f"{folder}/**", f"{folder[:-1]}[{folder[-1]}]"):
            with pytest.raises(
                InvalidSegment, match=r"\(unfinished or an earlier copy, by its name\).*To fix:"
            ) as caught:
                names(store, text)
            assert name in str(caught.value)
        assert names(store, f"{folder}/{name}") == [f"{folder}/{name}"]


def test_a_pattern_that_says_so_means_such_names(tmp_path):
    """`*.bak` names backups, `*` and `*.parquet` do not."""
    store = Disk(tmp_path)
    for name in ("a.parquet.bak", "day.old/x.parquet", "b (copy).parquet"):
        store.put(name, content(name))
    for text in ("*.bak", "*.old/*", "*(copy).parquet"):
        assert 1 == len(names(store, text))
    for text in ("*", "*/*", "*.parquet", "*.parquet*"):
        with pytest.raises(InvalidSegment, match="unfinished or an earlier copy"):
            names(store, text)


def test_names_that_are_like_those_of_copies_are_read(tmp_path):
    """Numbered parts, words that begin or end alike, values of partitions."""
    store = Disk(tmp_path)
    for name in CURRENT:
        store.put(name, content(name))
    assert set(CURRENT) == set(names(store, ""))


def test_known_markers_are_passed_over(store):
    """Files that writers leave beside data are neither read nor an error."""
    store.put("a.parquet", content("a@x.org"))
    for name in ("_SUCCESS", "_metadata", "_common_metadata", ".a.parquet.crc", "a.crc", "_committed_1", ".DS_Store"):
        store.put(name, b"")
    store.put("day_$folder$", b"")
    store.put("_temporary/0/part-1.parquet", content("half@x.org"))
    assert names(store, "") == ["a.parquet"]


def test_hidden_folders_are_not_matched(store):
    """A part that begins with `_` or `.` is read only if the user wrote it."""
    for folder in ("", "day/", "_temporary/", ".staging/", "_old/", "day/_tmp/"):
        store.put(f"{folder}x.parquet", content(folder or "top"))
    for text in ("*", "**/*.parquet", "**", ""):
        assert sorted(emails(store, text)) == ["day/", "top"]
    assert names(store, "*/*.parquet") == ["day/x.parquet"]
    assert names(store, "_old") == ["_old/x.parquet"]
    assert names(store, "_*/*.parquet") == ["_old/x.parquet", "_temporary/x.parquet"]
    assert names(store, "**/_old/*.parquet") == ["_old/x.parquet"]


def test_a_file_that_is_reached_twice_is_read_once(store):
    """By a folder, a pattern and its name, in the order of the list."""
    for name in ("a.parquet", "b.parquet"):
        store.put(name, content(name))
    assert names(store, "b.parquet", "", "*.parquet") == ["b.parquet", "a.parquet"]


def test_links_are_read_once(tmp_path):
    """A link to a file, a second name of it, a link to a folder and a loop add no row."""
    written(tmp_path / "seg" / "a.parquet", {"email": ["a@x.org"]})
    (tmp_path / "seg" / "b.parquet").symlink_to("a.parquet")
    (tmp_path / "seg" / "c.parquet").hardlink_to(tmp_path / "seg" / "a.parquet")
    (tmp_path / "seg" / "loop").symlink_to(tmp_path / "seg")
    (tmp_path / "again").symlink_to(tmp_path / "seg")
    for text in ("seg", "seg/**/*.parquet", "seg/*", "*"):
        files = find_files([f"{tmp_path}/{text}", str(tmp_path / "again")], local_path)
        assert len(files) == 1


def irregular(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "gone.parquet").symlink_to(tmp_path / "nowhere")
    (tmp_path / "self.parquet").symlink_to(tmp_path / "self.parquet")
    return ["pipe.parquet", "gone.parquet", "self.parquet"]


def test_only_regular_files_are_read(tmp_path, monkeypatch):
    """A pipe, a socket, a device and a link that leads nowhere are refused by name, and nothing waits for them."""
    for name in irregular(tmp_path):
        with pytest.raises(InvalidSegment, match=r"not a regular file|does not exist|cannot be listed"):
            find_files(str(tmp_path / name), local_path)
    with pytest.raises(InvalidSegment, match=r"gone\.parquet \(not a regular file\).*pipe\.parquet.*self\.parquet"):
        find_files(str(tmp_path), local_path)
    with pytest.raises(InvalidSegment, match=r"pipe\.parquet"):
        find_files(f"{tmp_path}/p*", local_path)
    with pytest.raises(InvalidSegment, match=r"/dev/zero .not a regular file"):
        find_files("/dev/zero", local_path)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("s.parquet")
        with pytest.raises(InvalidSegment, match="not a regular file"):
            find_files("s.parquet", local_path)


def test_a_name_that_no_system_knows_does_not_exist():
    """A NUL byte in a path is refused as any path that leads nowhere."""
    with pytest.raises(InvalidSegment, match="does not exist"):
        find_files("/tmp/a\0b.parquet", local_path)


def test_deeply_nested_folders_are_refused(store):
    """Folders without end are an error, not a hang."""
    store.put("a/" * (MAX_DEPTH + 2) + "x.parquet", content("a@x.org"))
    with pytest.raises(InvalidSegment, match=f"more than {MAX_DEPTH} folders"):
        names(store, "")


def test_five_thousand_nested_folders_are_refused(tmp_path):
    """Their path is longer than the system opens at once."""
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(5000):
            os.mkdir("d", dir_fd=top)
            below = os.open("d", os.O_RDONLY, dir_fd=top)
            os.close(top)
            top = below
    finally:
        os.close(top)
    try:
        for text in (str(tmp_path), f"{tmp_path}/**/*.parquet"):
            with pytest.raises(InvalidSegment, match=f"more than {MAX_DEPTH} folders"):
                find_files(text, local_path)
    finally:
        os.system(f"rm -rf {tmp_path}/d")


def test_names_that_are_not_utf8_are_read(tmp_path):
    """Bytes that are no UTF-8 are shown as escapes, and the file is read."""
    path = os.fsencode(tmp_path) + b"/caf\xe9.parquet"
    written(tmp_path / "x.parquet", {"email": ["a@x.org"]}).rename(os.fsdecode(path))
    ((file, name),) = find_files(str(tmp_path), local_path)
    assert name.endswith("caf\\udce9.parquet")
    assert shared().rows(f"select email from {shared().scan([file])}") == [("a@x.org",)]


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


@pytest.mark.parametrize("sign", ["_delta_log/0.json", ".hoodie/x", "metadata/1.metadata.json"])
def test_files_inside_a_table_are_refused(store, sign):
    """Also a partition of it, one of its files, and a pattern over its partitions."""
    store.put(f"table/{sign}", b"{}")
    store.put("table/country=DE/day=1/part-1.parquet", content("stale@x.org"))
    for text in ("table/country=DE", "table/country=DE/day=1/part-1.parquet", "table/country=*/day=1/*.parquet"):
        with pytest.raises(InvalidSegment, match=r"/table is an? (Delta|Hudi|Iceberg) table"):
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


@pytest.mark.parametrize(
    "text", ["", "seg", "seg/x.parquet", "seg/x.parquet/", "seg/*", "seg/*.parquet", "*/x.parquet", "seg/**/*.parquet"]
)
def test_an_object_with_the_name_of_a_folder_is_refused(server, request, text):
    """In a store both may exist. Whichever was read, rows of the other would be missing or read as well."""
    store = Bucket(f"http://127.0.0.1:{server.port}", f"b{abs(hash(request.node.name))}")
    store.put("seg/x.parquet", content("a@x.org"))
    store.put("seg/x.parquet/part-0.parquet", content("b@x.org"))
    store.put("seg/y.parquet", content("c@x.org"))
    with pytest.raises(
        InvalidSegment, match=r"seg/x\.parquet is an object and also a folder.*Nothing was read\. To fix"
    ):
        names(store, text)
    assert emails(store, "seg/y.parquet") == ["c@x.org"]


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


def test_a_bucket_is_listed_with_few_requests(server):
    """One listing a thousand keys, a fixed number of looks above, and none for a file."""
    bucket = Bucket(f"http://127.0.0.1:{server.port}", "cheap")
    for number in range(40):
        bucket.put(f"day=1/country={number}/part.parquet", content(f"p{number}@x.org"))
    calls = []
    plain = server.app

    def counting(environ, start_response):
        calls.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"]))
        return plain(environ, start_response)

    server.app = counting
    try:
        assert len(names(bucket, "")) == 40
    finally:
        server.app = plain
    assert len(calls) < 20
    assert not [path for _, path, _ in calls if path.endswith("part.parquet")]


@pytest.mark.parametrize(("before", "after"), [(1, 5000), (5000, 1), (2, 2)])
def test_an_object_that_is_overwritten_after_it_was_listed_is_tried_again(server, before, after):
    """The store refuses to read the listed version; neither the path nor the file is wrong."""
    bucket = Bucket(f"http://127.0.0.1:{server.port}", f"over{before}{after}")
    bucket.put("x.parquet", content(*[f"o{number}@x.org" for number in range(before)]))
    files = find_files(bucket.root, bucket.resolve)
    bucket.put("x.parquet", content(*[f"n{number}@x.org" for number in range(after)]))
    with pytest.raises(RetryableError, match=r"x\.parquet was replaced or changed.*To fix:"):
        read.read_schemas(files, ["email"])
    assert read.read_schemas(find_files(bucket.root, bucket.resolve), ["email"]).rows == after


def test_a_store_that_cannot_be_listed(tmp_path, monkeypatch):
    """Want of permission is final and says so; anything else may pass, and is tried again."""

    def fail(error):
        def listed(*_):
            raise error

        return listed

    monkeypatch.setattr(listing, "list_entries", fail(PermissionError(13, "Permission denied")))
    with pytest.raises(InvalidSegment, match=r"cannot be listed: Permission denied\. To fix:"):
        find_files(str(tmp_path), local_path)
    monkeypatch.setattr(listing, "list_entries", fail(OSError(116, "Stale file handle")))
    with pytest.raises(RetryableError, match="cannot be listed just now: Stale file handle"):
        find_files(str(tmp_path), local_path)


def test_patterns_match_as_fnmatch_does():
    """Over made-up names and patterns without hidden names; only negation is written in two ways here."""
    import fnmatch  # noqa: PLC0415 - the second opinion

    chance = random.Random(20)
    for _ in range(20_000):
        name = "".join(chance.choices("ab[]-!*?c", k=chance.randint(1, 5)))
        part = "".join(chance.choices("ab[]-!*?c", k=chance.randint(1, 6)))
        expected = name == part or fnmatch.fnmatchcase(name, part)
        assert patterns.matches(name, part) == expected, (name, part)


def test_a_pattern_with_many_stars_is_matched_at_once():
    """Trying every split of the name would take years."""
    assert not patterns.matches("a" * 255, "*a" * 30 + "b")
    assert patterns.matches("a" * 255, "*a" * 30)


def test_rows_of_odd_names_are_planned(tmp_path):
    """From such a folder to clean rows: numbers and addresses belong together."""
    for name in sorted(ODD):
        written(tmp_path / name, {"email": [f"p{ODD.index(name)}@example.com"]})
    files = inspected(tmp_path)
    assert [file.path.name for file in files.files] == sorted(ODD)
    with cleaned(tmp_path) as (sql, _):
        assert values(sql, "email") == [f"p{ODD.index(name)}@example.com" for name in sorted(ODD)]
    assert read.read_schemas(find_files(str(tmp_path), local_path), ["email"]).rows == len(ODD)
