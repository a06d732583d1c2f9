"""Files wherever they lie: whole or not there, created once, and nothing half written left behind for long."""

from __future__ import annotations

import math
import os
import time

import pyarrow as pa
import pytest
from core.factories import TARGET
from upath import UPath

from airflow_provider_segexport.storage import paths
from airflow_provider_segexport.storage.exclusive import create
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import SCHEMA
from airflow_provider_segexport.storage.paths import STALE_TEMP_FILE_S, remove_stale_temp_files, temp_name
from airflow_provider_segexport.storage.run_folder import RunFolder


@pytest.fixture(params=["disk", "objects"])
def path(request, tmp_path):
    if request.param == "disk":
        yield tmp_path / "folder" / "file"
    else:
        file = UPath(f"memory://{request.node.originalname}/folder/file")
        yield file
        file.fs.store.clear()


def halves(folder, *, age_s):
    """Half written files of a killed process, and others that look alike."""
    names = (temp_name(folder / "summary.json").name, temp_name(temp_name(folder / "00000002.parquet")).name)
    for name in (*names, ".theirs.half", "notes.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"{")
        os.utime(folder / name, (time.time() - age_s,) * 2)


def test_a_file_is_created_once(path):
    """The second writer gets an error, and the first one's content stays."""
    create(path, b"first")
    with pytest.raises(FileExistsError):
        create(path, b"second")
    assert b"first" == paths.read(path)
    assert ["file"] == paths.list_names(path.parent)


@pytest.mark.parametrize("path", ["objects"], indirect=True)
def test_a_store_without_an_exclusive_mode_is_asked_before(path, monkeypatch):
    """The writer is warned that this is not safe."""
    plain = type(path).open

    def opened(self, mode="r", **options):
        if "x" in mode:
            raise ValueError(f"unsupported file mode {mode}")
        return plain(self, mode, **options)

    monkeypatch.setattr(type(path), "open", opened)
    assert create(path, b"first") is False
    with pytest.raises(FileExistsError):
        create(path, b"second")
    assert b"first" == paths.read(path)


def test_what_a_killed_process_left_half_written_is_swept(tmp_path):
    """From a run folder and its parts when it is opened again; of names that only this provider gives, and old ones."""
    for folder in (tmp_path / "01", tmp_path / "01" / "batch_results"):
        halves(folder, age_s=STALE_TEMP_FILE_S + 60)
    RunFolder.open(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert ["01/.theirs.half", "01/batch_results/.theirs.half", "01/batch_results/notes.json", "01/notes.json"] == left


def test_what_is_being_written_is_left_alone(tmp_path):
    """Another process may be at it."""
    halves(tmp_path, age_s=60)
    remove_stale_temp_files(tmp_path)
    assert 4 == len(list(tmp_path.iterdir()))


def test_a_ledger_is_swept_when_it_is_written(tmp_path):
    """Also files beside it: lease, history, audience card."""
    ledger = Ledger.of(tmp_path, "plain", TARGET)
    halves(ledger.path / "lease", age_s=STALE_TEMP_FILE_S + 60)
    ledger.commit(pa.table({field.name: [] for field in SCHEMA}, schema=SCHEMA).to_batches(), 0)
    assert [".theirs.half", "notes.json"] == sorted(path.name for path in (ledger.path / "lease").iterdir())


@pytest.mark.parametrize("gone", ["a", "b", "c"])
def test_files_are_removed_although_another_process_has_removed_one(path, gone):
    """A store may stop at the first one that is gone, and the others hold people."""
    folder = path.parent
    for name in {"a", "b", "c"} - {gone}:
        create(folder / name, b"content")
    paths.remove(folder, ["a", "b", "c"])
    assert [] == paths.list_names(folder)


def test_the_time_of_a_file_is_unknown_where_the_store_does_not_report_it():
    """A path-like returns 0 for it, and a file of 1970 would be deleted as old."""
    path = UPath("memory://test_paths/file")
    paths.write(path, b"content")
    assert math.inf == paths.modified_at(path)
