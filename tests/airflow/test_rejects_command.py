"""`airflow segexport rejects`, through Airflow's own parser: as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from argparse import Namespace

import pyarrow as pa
import pytest
from airflow_run_lists import bad_rows, exported

from airflow_provider_segexport.cli import rejects
from airflow_provider_segexport.stages.report import REJECTS
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.run_folder import RunFolder

__all__ = ["exported"]

pytestmark = pytest.mark.airflow


class TestRejects:
    def test_csv_is_the_download_of_the_ui(self, exported, command):
        """With the quote before what a spreadsheet would run; every cell is quoted."""
        code, text = command("rejects", exported(bad_rows())["run_folder"], "--csv")
        assert code == 0
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["email"] for row in rows] == ["'=no address", "person3@example.com"]
        assert text.splitlines()[0].startswith('"file","file_row","row","email"')

    def test_a_run_without_rejects_is_exit_code_3(self, exported, command):
        """The CSV has its header."""
        folder = exported(3)["run_folder"]
        assert command("rejects", folder) == (3, "The run has no rows that were rejected or withheld.\n")
        code, text = command("rejects", folder, "--csv")
        assert (code, text.splitlines()[0][:6]) == (3, '"file"')
        code, text = command("rejects", folder, "-o", "json")
        assert (code, text.splitlines()[0]) == (3, "[]")

    @pytest.fixture
    def many(self, exported):
        """A run folder with 12,000 rejects, one of them hostile."""
        folder = exported(3)["run_folder"]
        rows = [
            dict.fromkeys(REJECTS.names) | {"row": number, "email": f"p{number}@example.com", "reason": "x"}
            for number in range(12_000)
        ]
        rows[0]["vendor_message"] = "\x1b]0;title\x07[red]text[/red]\n=cmd"
        table = pa.Table.from_pylist(rows, schema=REJECTS)
        write_parquet(RunFolder(local_path(folder)).path / "rejects.parquet", table.to_batches(), REJECTS)
        return folder

    def test_a_table_shows_a_hundred_and_says_so(self, many, command, capsys):
        code, text = command("rejects", many, "-o", "plain")
        assert code == 0
        assert len(text.splitlines()) == 101
        assert "\x1b" not in text
        assert "[red]text[/red]" in text
        assert len(command("rejects", many, "-o", "plain", "--limit", "7")[1].splitlines()) == 8

    def test_json_and_csv_have_all_of_them(self, many, command):
        rows = json.loads(command("rejects", many, "-o", "json")[1])
        assert len(rows) == 12_000
        assert rows[0]["vendor_message"].startswith("\x1b]0;")
        assert len(json.loads(command("rejects", many, "-o", "json", "--limit", "3")[1])) == 3
        lines = list(csv.reader(io.StringIO(command("rejects", many, "--csv")[1])))
        assert len(lines) == 12_001
        assert lines[1][-1].endswith("\n'=cmd")
        assert command("rejects", many, "--csv", "--limit", "3")[0] == 2

    def test_a_reader_that_has_seen_enough_ends_it(self, many, monkeypatch, tmp_path):
        """`| head`: neither a traceback nor an error."""
        with (tmp_path / "pipe").open("w") as pipe:

            class Closed(io.StringIO):
                def write(self, _):
                    raise BrokenPipeError

                def fileno(self):
                    return pipe.fileno()

            monkeypatch.setattr("sys.stdout", Closed())
            with pytest.raises(SystemExit) as ended:
                rejects.rejects(Namespace(run=many, csv=True, limit=None, output="table", verbose=False))
            assert ended.value.code == 0
