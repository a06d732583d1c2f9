"""`airflow segexport runs`, `show` and `rejects` with files that a person, another version or a disk has changed."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest
from airflow_run_lists import bad_rows, exported, listed

from airflow_provider_segexport.storage.history import latest_file

__all__ = ["exported", "listed"]

pytestmark = pytest.mark.airflow


ODD_REPORTS = [
    {"counts": None, "guards": {"a": 1}, "reasons": [1], "removals": 3, "started_at": "noon", "seconds": None},
    {"counts": {"delivered": 10**400, "x": [1]}, "guards": [1, None, {"limit": "x", "measured": {}}]},
    {"started_at": -5, "ended_at": 1e300, "seconds": 1e30, "segment": [["a"], 1], "http": [], "batches": "x"},
    {"error": "\x1b[31mred\x07\n[bold]x[/bold] :warning:", "audience_name": "[/red]"},
]


class TestDamage:
    """Files that a person, another version or a disk has changed."""

    def test_a_removed_folder_is_shown_from_the_history(self, exported, command, listed):
        """The counts are there, the rejects are gone."""
        folder = exported(bad_rows())["run_folder"]
        shutil.rmtree(folder)
        entry = listed()[0]
        code, text = command("show", entry["id"])
        assert code == 0
        assert "delivered" in text
        code, text = command("rejects", entry["id"])
        assert code == 1
        assert "are gone" in text
        assert command("show", folder)[0] == 1

    def test_a_damaged_report(self, exported, command):
        """Our own error, which names the file."""
        folder = exported()["run_folder"]
        contents = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"format": 99, "checksum": "x"}', b"[" * 100_000]
        for content in contents:
            Path(folder, "summary.json").write_bytes(content)
            code, text = command("show", folder)
            assert (code, "summary.json" in text, "Traceback" in text) == (1, True, False), (content[:20], text)

    def test_a_report_of_a_version_without_checksums_with_other_types(self, exported, command):
        """Values that cannot be read are empty; texts keep their brackets and lose their control characters."""
        report = exported()
        path = Path(report["run_folder"], "summary.json")
        stored = json.loads(path.read_text())
        del stored["format"], stored["checksum"]
        for changed, form in itertools.product(ODD_REPORTS, ("table", "plain", "json", "yaml")):
            path.write_text(json.dumps({**stored, **changed}))
            code, text = command("show", report["run_folder"], "-o", form)
            assert (code, "\x1b" in text) == (0, False), (changed, form, text)
            if "error" in changed and form in {"table", "plain"}:
                assert "[bold]x[/bold] :warning:" in text

    def test_a_damaged_record_of_the_history(self, exported, command, listed):
        """The other runs are listed."""
        exported(3)
        folder = exported(4)["run_folder"]
        records = sorted(Path(folder.split("/runs/")[0]).glob("ledgers/*/*/*/history/*.json"))
        (records[0].parent / "notes.json").write_text("a file of a person")
        for content in (b"", b"[]", b"[" * 100_000, b'{"run": 5, "counts": {"delivered": "x"}}'):
            records[0].write_bytes(content)
            newest, *others = listed()
            assert newest["run_folder"] == folder
            assert len(others) == (1 if content[:1] == b"{" else 0)
            code, text = command("show", records[0].name[16:28])
            assert (code, "cannot be used" in text) == (1, True), content[:20]

    def test_damaged_state_and_latest(self, exported, command, listed):
        """The history is all that the list needs."""
        exported(3)
        [ledger] = Path(exported(4)["run_folder"].split("/runs/")[0]).glob("ledgers/*/*/*")
        for path in [*ledger.glob("audience_state*"), latest_file(ledger)]:
            path.write_text("[1]")
        assert len(listed()) == 2
        assert command("runs", "name:Customers")[0] == 0
        assert command("runs", ledger.name)[0] == 0

    def test_damaged_rejects(self, exported, command):
        """In every format, before anything is written."""
        folder = exported(bad_rows())["run_folder"]
        for content in (b"", b"PAR1", b"PAR1" + b"\0" * 64 + b"PAR1", b"people"):
            Path(folder, "rejects.parquet").write_bytes(content)
            for options in (("--csv",), ("-o", "json"), ()):
                code, text = command("rejects", folder, *options)
                assert (code, text[:9]) == (1, "The file "), (content, options, text)

    @pytest.mark.parametrize("value", ["", "/dev/null", "/no/such/root", "nosuch://bucket/x"])
    def test_a_state_path_without_runs(self, command, monkeypatch, airflow_db, value):
        """Not configured, a file, missing: no run. A store that cannot be opened: an error."""
        monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", value)
        monkeypatch.setenv("AIRFLOW_HOME", "/no/such/home")
        code, text = command("runs")
        assert code == (1 if "://" in value else 3), text
        assert "Traceback" not in text
