"""Segments in a bucket: few listings, overwritten objects, an object and a folder of one name, a failing store."""

from __future__ import annotations

import pytest
from core.segment_folders import Bucket, content, emails, names, store

from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import read
from airflow_provider_segexport.storage import listing
from airflow_provider_segexport.storage.paths import local_path

__all__ = ["store"]


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
