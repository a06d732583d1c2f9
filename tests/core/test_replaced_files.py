"""A file that is replaced or removed while it is read is tried again or named, and never damaged."""

from __future__ import annotations

import os

import pytest
from core.factories import inspected, written
from core.faulty_files import FaultyFile, reading

from airflow_provider_segexport.errors import InvalidSegment, RetryableError
from airflow_provider_segexport.segment_files import parquet_reading
from airflow_provider_segexport.storage.paths import local_path


@pytest.mark.parametrize("how", ["replaced", "shortened", "removed", "touched with other rows"])
def test_a_file_that_changes_while_it_is_read(tmp_path, how):
    """Rows are read more than once: values of one person must not meet the address of another."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com", "b@example.com"]})
    kind = InvalidSegment if how == "removed" else RetryableError
    with pytest.raises(kind, match=r"x\.parquet (was replaced|does not exist any more)"), reading([path]) as rows:
        read_twice(rows, path, how)


def read_twice(rows, path, how):
    """Something happens to the file between the two."""
    rows()
    if how == "removed":
        path.unlink()
    elif how == "shortened":
        os.truncate(path, 100)
    else:
        other = path.with_name("y.parquet") if how == "replaced" else path
        written(other, {"email": ["c@example.com", "d@example.com"]})
        other.replace(path)
    rows()


def test_a_file_that_is_overwritten_while_its_footer_is_read_is_tried_again(tmp_path, monkeypatch):
    """Its old end is no footer any more; the file is not damaged."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"] * 100})

    class Overwritten(FaultyFile):
        def read(self, size=-1):
            path.write_bytes(b"PAR1 and so on")
            return self.file.read(size)

    monkeypatch.setattr(parquet_reading, "open_file", lambda opened: Overwritten(opened.open("rb"), None, 0))
    with pytest.raises(RetryableError, match=r"x\.parquet was replaced or changed.*To fix:"):
        inspected(path)


def test_a_file_that_is_removed_as_it_is_opened_is_named(tmp_path, monkeypatch):
    """Its version cannot be looked up any more; its rows are looked for later, and the file is then missing."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"]})

    def removed(opened):
        file = opened.open("rb")
        path.unlink(missing_ok=True)
        return file

    monkeypatch.setattr(parquet_reading, "open_file", removed)
    with pytest.raises(InvalidSegment, match=r"x\.parquet does not exist any more.*To fix:"), reading([path]) as rows:
        rows()


def test_an_objects_version_is_its_etag():
    """A listing and a request for one object say different things of it: what both say is compared."""
    listed = {"size": "5", "ETag": '"1"'}
    assert not parquet_reading.was_replaced(listed, {"size": "5", "ETag": '"1"', "VersionId": "7"})
    assert parquet_reading.was_replaced(listed, {"size": "5", "ETag": '"2"'})
    assert parquet_reading.was_replaced(listed, {"size": "6"})
    assert parquet_reading.file_version(local_path(__file__))
