"""The files of a folder are read at once, and again only if they have changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from upath import UPath

from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.folder_reader import FolderReader
from airflow_provider_segexport.storage.paths import local_path


@pytest.fixture(params=["disk", "s3", "memory"])
def folder(request, tmp_path):
    """A folder on a disk, in a store with ETags, and in one without."""
    if request.param == "disk":
        return local_path(str(tmp_path / "folder"))
    if request.param == "memory":
        return UPath(f"memory://{tmp_path}/folder")
    return s3_folder(request.getfixturevalue("server"), request.node.name)


def s3_folder(server, name):
    from s3 import KEYS, new_bucket  # noqa: PLC0415 - as above

    endpoint, bucket = f"http://127.0.0.1:{server.port}", f"b{abs(hash(name))}"
    new_bucket(endpoint, bucket)
    options = {**KEYS, "client_kwargs": {"endpoint_url": endpoint}, "skip_instance_cache": True}
    return UPath(f"s3://{bucket}/folder", **options)


@pytest.fixture
def read():
    """A reader of folders, as one page after the other uses it."""
    reader = FolderReader()
    with ThreadPoolExecutor(4) as threads:
        yield lambda folder: reader.read(folder, threads)


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def test_each_reading_has_the_files_as_they_are(folder, read):
    """New, replaced by as many bytes, and deleted files."""
    assert {} == read(folder)
    write(folder, "a.json", b"1")
    write(folder, "b.json", b"2")
    assert {"a.json": b"1", "b.json": b"2"} == read(folder)
    write(folder, "b.json", b"3")
    write(folder, "c.json", b"")
    (folder / "a.json").unlink()
    assert {"b.json": b"3", "c.json": b""} == read(folder)


def test_a_folder_in_it_and_a_file_instead_of_it_hold_nothing(folder, read):
    """A file manager or a person may have left them there."""
    write(folder, "a.json", b"1")
    write(folder / "inner", "b.json", b"2")
    assert b"1" == read(folder).pop("a.json")
    assert {} == read(folder / "a.json")


def test_an_unchanged_object_is_not_requested(server, read):
    """Five hundred audiences take one request, and those that have changed one each."""
    folder, requested = s3_folder(server, "requests"), []
    for number in range(20):
        write(folder, f"{number}.json", str(number).encode())
    plain = server.app

    def counting(environ, start_response):
        requested.append(environ["PATH_INFO"])
        return plain(environ, start_response)

    server.app = counting
    try:
        first = read(folder)
        assert (20, 21) == (len(first), len(requested))
        requested.clear()
        assert first == read(folder)
        assert 1 == len(requested)
        write(folder, "7.json", b"changed")
        requested.clear()
        assert first | {"7.json": b"changed"} == read(folder)
        assert 2 == len(requested)
    finally:
        server.app = plain


def test_no_more_is_kept_than_the_limit(server):
    """The file read longest ago goes first."""
    folder, reader = s3_folder(server, "limit"), FolderReader(max_bytes=25)
    with ThreadPoolExecutor(1) as threads:
        for number in range(4):
            write(folder, f"{number}.json", b"0123456789")
        assert 4 == len(reader.read(folder, threads))
        assert ["2.json", "3.json"] == [key.rpartition("/")[2] for key in reader._contents]
        write(folder, "3.json", b"0123456789" * 3)  # larger than the limit by itself
        assert 30 == len(reader.read(folder, threads)["3.json"])
        assert reader._bytes == sum(len(content) for _, content in reader._contents.values()) <= 25


def test_a_link_to_itself_hides_no_other_folder(tmp_path):
    """A page of all accounts or audiences continues with the next."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "other").mkdir()
    assert [] == history.list_folders(local_path(str(tmp_path / "loop")))
    assert ["loop", "other"] == history.list_folders(local_path(str(tmp_path)))
