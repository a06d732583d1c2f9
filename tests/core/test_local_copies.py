"""Local copies of a run's files that are in object storage."""

from __future__ import annotations

import errno
import threading
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
import pytest
from upath import UPath

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage import local_copies, object_store
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, write_parquet
from airflow_provider_segexport.storage.local_copies import is_written, kept_copies, local_of, readable, uploads
from airflow_provider_segexport.storage.sealing import verify

ROWS = pa.record_batch({"email": ["a@example.com", "b@example.com"]})


@pytest.fixture
def folder(request) -> Iterator[UPath]:
    path = UPath(f"memory://copies-{abs(hash(request.node.name))}/run")
    path.mkdir(parents=True)
    yield path
    path.fs.rm(path.parent.path, recursive=True)


@pytest.fixture
def requests(monkeypatch) -> Counter[str]:
    """The downloads and listings, by name of the file or folder."""
    counts: Counter[str] = Counter()
    download, listing = object_store.download, local_copies.listing

    def counting_download(store, name, to):
        counts[name.rpartition("/")[2]] += 1
        download(store, name, to)

    def counting_listing(path):
        counts[path.name] += 1
        return listing(path)

    monkeypatch.setattr(object_store, "download", counting_download)
    monkeypatch.setattr(local_copies, "listing", counting_listing)
    return counts


def emails(path) -> list[str]:
    with engine() as sql:
        return [email for (email,) in sql.rows(f"select email from {sql.scan([path])}")]


def test_a_file_that_was_written_is_read_without_a_request(folder, requests):
    path, rows = folder / "rejects.parquet", folder / "upserts.arrow"
    with kept_copies(folder):
        write_parquet(path, [ROWS], ROWS.schema)
        with ArrowFileWriter(rows, ROWS.schema) as writer:
            writer.write(ROWS)
        verify(path)
        assert emails(path) == ["a@example.com", "b@example.com"]
        assert len(ArrowReader(rows)) == 1
        assert is_written(path)
        assert not requests
        write_parquet(path, [ROWS.slice(1)], ROWS.schema)
        assert emails(path) == ["b@example.com"]
    assert emails(path) == ["b@example.com"]
    verify(path)


def test_a_file_is_downloaded_once_and_its_copy_is_private(folder, requests):
    path = folder / "ledger.parquet"
    write_parquet(path, [ROWS], ROWS.schema)
    with kept_copies(folder):
        for _ in range(3):
            verify(path)
            assert emails(path) == ["a@example.com", "b@example.com"]
        assert requests == {"ledger.parquet": 1}
        copy = local_of(path)
        assert copy is not None
        assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert not copy.exists()
    with kept_copies(folder):
        verify(path)
    assert requests == {"ledger.parquet": 2}


def test_a_folder_is_listed_once(folder, requests):
    write_parquet(folder / "sharers.parquet", [ROWS], ROWS.schema)
    with kept_copies(folder):
        assert [is_written(folder / name) for name in ("sharers.parquet", "bars.parquet")] == [True, False]
        write_parquet(folder / "bars.parquet", [ROWS], ROWS.schema)
        assert is_written(folder / "bars.parquet")
    assert requests == {"run": 1}
    assert is_written(folder / "bars.parquet")


def test_other_folders_and_disks_have_no_copies(folder, requests, tmp_path):
    other = folder.parent / "run-2" / "rejects.parquet"
    with kept_copies(folder, tmp_path):
        write_parquet(other, [ROWS], ROWS.schema)
        write_parquet(tmp_path / "rejects.parquet", [ROWS], ROWS.schema)
        assert readable(other) is other
        assert local_of(other) is None
        assert local_of(tmp_path / "rejects.parquet") == tmp_path / "rejects.parquet"
    assert not requests


def test_a_file_that_is_gone_or_damaged(folder):
    """The copy is of what the store holds."""
    path = folder / "upserts.parquet"
    with kept_copies(folder):
        with pytest.raises(DamagedState, match="it is gone"):
            verify(path)
        with pytest.raises(FileNotFoundError):
            readable(path)
    write_parquet(path, [ROWS], ROWS.schema)
    content = path.read_bytes()
    path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    with kept_copies(folder), pytest.raises(DamagedState, match="checksum"):
        verify(path)


def test_files_of_an_uploads_block_are_stored_side_by_side_and_read_before_that(folder, monkeypatch):
    """Each upload waits for the other, and the block ends after both."""
    both, plain = threading.Barrier(2, timeout=10), local_copies._upload
    monkeypatch.setattr(local_copies, "_upload", lambda *file: both.wait() + 1 and plain(*file))
    paths = [folder / "upserts.parquet", folder / "not_sent.parquet"]
    with kept_copies(folder):
        with uploads(folder):
            write_parquet(paths[0], [ROWS], ROWS.schema)
            assert emails(paths[0]) == ["a@example.com", "b@example.com"]
            assert not paths[0].exists()
            write_parquet(paths[1], [ROWS], ROWS.schema)
        assert all(path.exists() for path in paths)


def test_a_file_that_is_written_twice_in_an_uploads_block_keeps_the_later_content(folder):
    path = folder / "upserts.parquet"
    with kept_copies(folder), uploads(folder):
        for start in (0, 1):
            write_parquet(path, [ROWS.slice(start)], ROWS.schema)
    assert emails(path) == ["b@example.com"]


def test_an_upload_that_fails_is_raised_after_the_others_have_ended(folder, monkeypatch):
    plain = local_copies._upload

    def upload(source, path):
        if path.name == "refused.parquet":
            raise OSError(errno.ENOSPC, "full")
        plain(source, path)

    monkeypatch.setattr(local_copies, "_upload", upload)
    uploading = uploads(folder)
    with kept_copies(folder):
        uploading.__enter__()
        for name in ("refused", "stored"):
            write_parquet(folder / f"{name}.parquet", [ROWS], ROWS.schema)
        with pytest.raises(OSError, match="full"):
            uploading.__exit__(None, None, None)
    assert emails(folder / "stored.parquet") == ["a@example.com", "b@example.com"]


def test_without_copies_a_file_of_an_uploads_block_is_stored_when_it_is_written(folder):
    with uploads(folder):
        write_parquet(folder / "upserts.parquet", [ROWS], ROWS.schema)
        assert (folder / "upserts.parquet").exists()
