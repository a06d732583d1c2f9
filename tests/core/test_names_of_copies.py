"""Files that by their names are not current, hidden or markers are refused or passed over."""

from __future__ import annotations

import pytest
from core.segment_folders import Disk, content, emails, names, store

from airflow_provider_segexport.errors import InvalidSegment

__all__ = ["store"]


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
    store.put("_impala_insert_staging/part-1.parquet", content("half@x.org"))
    store.put(".hive-staging_hive_1/-ext-10000/part-1.parquet", content("half@x.org"))
    store.put("_temporary_$folder$", b"")
    assert names(store, "") == ["a.parquet"]


def test_hidden_folders_are_not_matched(store):
    """A part that begins with `_` or `.` is read only if the user wrote it."""
    for folder in ("", "day/", "_staging/", ".staging/", "_old/", "day/_tmp/"):
        store.put(f"{folder}x.parquet", content(folder or "top"))
    for text in ("*", "**/*.parquet", "**", ""):
        assert sorted(emails(store, text)) == ["day/", "top"]
    assert names(store, "*/*.parquet") == ["day/x.parquet"]
    assert names(store, "_old") == ["_old/x.parquet"]
    assert names(store, "_*/*.parquet") == ["_old/x.parquet", "_staging/x.parquet"]
    assert names(store, "**/_old/*.parquet") == ["_old/x.parquet"]
