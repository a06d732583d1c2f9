"""An erasure deletes incomplete files and table copies of killed runs, or says that they may hold the person."""

from __future__ import annotations

import json
import os

import pytest
from core.person_files import ADA, NOW, ledger, root, tools

from airflow_provider_segexport.person.erase import erase
from airflow_provider_segexport.storage.paths import STALE_TEMP_FILE_S, as_local_path, ensure_folder, write
from airflow_provider_segexport.storage.private import own_folder
from airflow_provider_segexport.storage.scratch import NAME

__all__ = ["root"]

LEFTOVERS = [
    "runs/dag/task/run/0/01/.upserts.arrow.0123456789ab.half",
    "runs/dag/task/run/0/01/removals/.removals.arrow.0123456789ab.half",
    "runs/dag/task/run/0/01/snapshots/000.parquet",
    "ledgers/.00000002-00000001.parquet.0123456789ab.half",
]


@pytest.mark.parametrize("report", [None, {"finished": False, "error": "killed"}, {"finished": True}])
@pytest.mark.parametrize("name", LEFTOVERS)
def test_a_file_that_a_killed_run_left_is_reported_and_later_deleted(root, name, report):
    """A run may still write it in the first six hours. Its column of addresses may have any name."""
    if name.endswith(".half") and as_local_path(root) is None:
        pytest.skip("object storage has no temporary files")
    written_ledger = ledger(root, {"ada@example.com": "removed"})
    run = ensure_folder(root / "runs/dag/task/run/0/01")
    write(run / "config.json", b"{}")
    if report is not None:
        write(run / "summary.json", json.dumps(report).encode())
    if name.startswith("ledgers"):
        file = written_ledger.path / name.rpartition("/")[2]
    else:
        file = ensure_folder((root / name).parent) / name.rpartition("/")[2]
    write(file, b"ada@example.com")
    for dry_run in (True, False):
        receipt = erase(tools(root), ADA, "Ann", dry_run=dry_run)
        assert [f"{file}: a process is writing it"] == [text.partition(",")[0] for text in receipt.left]
    if (local := as_local_path(file)) is not None:
        os.utime(local, (NOW - STALE_TEMP_FILE_S - 1,) * 2)
        assert erase(tools(root), ADA, "Ann").complete
        assert not file.exists()


def test_incomplete_files_without_addresses_are_not_reported(root):
    """A report, a state or a journal holds no address."""
    folder = ledger(root, {"ada@example.com": "removed"}).path
    write(ensure_folder(folder / "lease") / ".00000001.json.0123456789ab.half", b"{")
    write(folder / ".audience_state-00000001.json.0123456789ab.half", b"{")
    assert erase(tools(root), ADA, "Ann").complete


def test_temporary_folders_of_killed_processes_are_deleted(root, tmp_path, monkeypatch):
    """They are beside the state, and no lock of a process is held."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ledger(root, {"ada@example.com": "removed"})
    left = own_folder(NAME) / "17-0123456789abcdef"
    left.mkdir()
    left.with_name(f"{left.name}.lock").touch()
    (left / "segment.parquet").write_bytes(b"ada@example.com")
    erase(tools(root), ADA, "Ann", dry_run=True)
    assert left.exists()
    assert erase(tools(root), ADA, "Ann").complete
    assert not left.exists()
    own_folder(NAME).chmod(0o755)
    assert "gives other users access" in erase(tools(root), ADA, "Ann").left[0]
