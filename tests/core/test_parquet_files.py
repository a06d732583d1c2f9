"""From what the user wrote to a list of literal Parquet files, on a disk and in a bucket."""

from __future__ import annotations

import os
import random
import socket

import pytest
from core.factories import cleaned, inspected, shared, values, written
from core.segment_folders import Disk, content, emails, names, store

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import patterns
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage.listing import MAX_DEPTH
from airflow_provider_segexport.storage.paths import local_path

__all__ = ["store"]

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


@pytest.mark.parametrize("copy", ["people (1).parquet", "people(12).parquet"])
def test_a_numbered_copy_beside_its_first_version_is_refused(store, copy):
    """One of the two holds people who have left since; each is read if it is named in full, or has no other version."""
    store.put("seg/people.parquet", content("a@x.org"))
    store.put(f"seg/{copy}", content("b@x.org"))
    for text in ("seg", "seg/*.parquet"):
        with pytest.raises(InvalidSegment, match=r"\(by its name another version of people\.parquet\)"):
            names(store, text)
    assert names(store, f"seg/{copy}") == [f"seg/{copy}"]
    store.put(f"other/{copy}", content("b@x.org"))
    store.put("other/people (2).snappy.parquet", content("c@x.org"))
    assert 2 == len(names(store, "other"))


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
