"""The folder of one task instance: plan, journal, results and report."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from core.factories import TARGET, batch_of

from airflow_provider_segexport.model import BatchResult, Reason, RowRejection
from airflow_provider_segexport.storage.files import AtomicFile
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.paths import write
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder


def test_a_retry_goes_on_in_the_same_folder(tmp_path):
    """Until the run is finished there is one generation."""
    folder = RunFolder.open(tmp_path)
    assert [folder.path.name, folder.plan(), folder.finished()] == ["01", None, False]
    facts = PlanFacts("plain", TARGET, "full", "2026-01-01T00:00:00Z", 1.0, 0)
    folder.write_plan(Plan(1, 1, 0, ("a",), 10), facts)
    folder.write_summary({"finished": False})
    two = RunFolder.open(tmp_path)
    assert two.path == folder.path
    assert two.plan() == (Plan(1, 1, 0, ("a",), 10), facts)


def test_a_finished_run_is_never_written_again(tmp_path):
    """A task that is cleared after success starts in the next folder."""
    for expected in ("01", "02", "03"):
        folder = RunFolder.open(tmp_path)
        assert folder.path.name == expected
        folder.write_summary({"finished": True})


def test_generations_past_ninety_nine(tmp_path):
    """Folders are counted as numbers, not as texts."""
    for name in ("02", "99", "100", "notes"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "summary.json", b'{"finished": true}')
    assert RunFolder.open(tmp_path).path.name == "101"


def test_a_text_as_one_folder_name():
    """A run id or a tag cannot lead out of its folder, and two of them never share one."""
    names = [
        "scheduled__2026-01-01T00:00:00+00:00",
        "../../etc",
        "a/b",
        "a b",
        "a_b",
        "..",
        ".",
        "",
        "ü" * 300,
        "caf\udce9",
        "caf?",
        "x" * 300,
    ]
    folders = [safe_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all(set(folder).isdisjoint("/\\:") and folder.strip(".") and len(folder) < 200 for folder in folders)
    assert safe_name("c256a8a8") == "c256a8a8"


def test_results_by_row_are_kept_once_the_journal_says_so(tmp_path):
    """A result file whose batch is not settled is left over from a kill, and does not count."""
    folder = RunFolder(tmp_path)
    batch = batch_of(3)
    settled = BatchResult(
        rejected=(RowRejection(1, Reason.BOUNCED, "207", "Is Bounced"),), contact_ids={0: "8", 2: "9"}
    )
    assert folder.write_results(batch, settled)
    assert folder.result_files() == []
    folder.journal.write([Entry(batch.id, State.SETTLED, 3, accepted=2, rejected=1, has_rows=True)])
    (part,) = folder.result_files()
    assert [(row["row"], row["reason"], row["contact_id"]) for row in pq.read_table(part).to_pylist()] == [
        (1, "bounced", None),
        (0, None, "8"),
        (2, None, "9"),
    ]
    assert not folder.write_results(batch, BatchResult())


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    """An error while writing leaves nothing behind, neither the file nor half of it."""
    with pytest.raises(ZeroDivisionError), AtomicFile(tmp_path / "x.bin") as out:  # noqa: PT012 - what is tested
        out.file.write(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with AtomicFile(tmp_path / "x.bin") as out:
        out.file.write(b"whole")
        assert not (tmp_path / "x.bin").exists()
    assert (tmp_path / "x.bin").read_bytes() == b"whole"
