"""Rejected rows as a download: who may have it, and that no cell is a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ui.page_factories import REJECT, TASK, audience_path
from ui_factories import REJECTS, summary, with_folder, write_run

from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.paths import as_storage_path
from airflow_provider_segexport.storage.rejects_csv import csv_line

pytestmark = pytest.mark.airflow


def test_rejects_are_for_those_who_may_edit_the_dag(client, root):
    """They hold addresses. Who may only look at the runs sees the counts."""
    for dag_id in ("exports", "bob_exports"):
        with_folder(root, summary(run=f"{dag_id}/export/r/0"), rejects=[REJECT])
    query = "dag_id=bob_exports&run_id=r&task_id=export&map_index=-1"
    assert "jane@example.com" in client(f"rejects.csv?{query}").text
    refused = client(f"rejects.csv?{query}", user="bob")
    assert 403 == refused.status_code
    assert "jane" not in refused.text
    page = client(f"task?{query}", user="bob")
    assert 200 == page.status_code
    assert "not a valid email address" in page.text
    assert "Download rejects" not in page.text
    assert "Download rejects" in client(f"task?{query}").text


@pytest.mark.parametrize(
    ("setting", "ann"),
    [("edit", 200), ("logs", 200), ("nobody", 403), (" Nobody", 403), ("EDIT", 200), ("", 200), ("nobdy", 403)],
)
def test_who_may_download_rejects_is_a_setting(client, root, monkeypatch, setting, ann):
    """User bob may only read runs of this DAG, whatever is set."""
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__REJECTS_PERMISSION", setting)
    with_folder(root, summary(run="bob_exports/export/r/0"), rejects=[REJECT])
    query = "dag_id=bob_exports&run_id=r&task_id=export&map_index=-1"
    assert ann == client(f"rejects.csv?{query}").status_code
    assert 403 == client(f"rejects.csv?{query}", user="bob").status_code


DAMAGES = {
    "flipped": lambda content: content[:30] + bytes([content[30] ^ 4]) + content[31:],
    "cut": lambda content: content[:-20],
    "empty": lambda _: b"",
    "replaced": lambda _: b"not a table",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_rejects_is_an_error_and_not_sent_in_part(client, root, damage):
    """With what to do, and as no failure of the server."""
    path = Path(str(with_folder(root, summary()))) / "rejects.parquet"
    rows = pa.Table.from_pylist([REJECT])
    write_parquet(as_storage_path(path), rows.to_batches(), rows.schema)
    assert client(f"rejects.csv?{TASK}").status_code == 200
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    answer = client(f"rejects.csv?{TASK}")
    assert answer.status_code == 409
    assert "The rejects of this run cannot be read" in answer.text
    assert "To fix: restore" in answer.text
    assert "jane" not in answer.text
    assert client(f"task?{TASK}").status_code == 200


def csv_of(answer) -> str:
    """A download as a spreadsheet reads it, without the mark at its beginning."""
    return answer.content.decode("utf-8-sig")


CELLS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\u00a0=1",
    "\u200b=1",
    "a;\u200b=1",
    "a\u2028=1",
    "a\x0b=1",
    "a\x85\ufeff+1",
    "\u3164=1",
    "a\t\u115f@x",
    "\ufeff=1",
    "\t=1",
    "\n=1",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "\u22121",
    ";=1",
    "a;=1",
    "a; =1",
    "a\t=1",
    'a"\r\n=1',
    ",=1",
    'a;"=1',
    "a;x|\u200b+1;b",
    "=1;=2\r\n=3",
]


def cells_in_any_locale(line: str) -> list[str]:
    """The cells of a line as spreadsheets read it, which keep what follows a closing quote, without blanks."""
    lines = (csv.reader(io.StringIO(line, newline=""), delimiter=delimiter) for delimiter in ",;|\t")
    cells = (cell for rows in lines for row in rows for cell in row)
    return ["".join(char for char in cell if char.isprintable()).lstrip(" \u3164\u115f") for cell in cells]


FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20\u2212")


@pytest.mark.parametrize("text", CELLS)
def test_no_cell_is_a_formula_in_any_locale(client, root, text):
    """Whichever character separates the cells there."""
    with_folder(root, summary(), rejects=[{**REJECT, "email": text}])
    answer = csv_of(client(f"rejects.csv?{TASK}"))
    (row,) = csv.DictReader(io.StringIO(answer, newline=""))
    assert row["email"].replace("'", "") == text
    assert [] == [cell for cell in cells_in_any_locale(answer) if cell.startswith(FORMULA)]
    assert all(line.startswith('"') for line in answer.split("\r\n")[:1])


@given(
    st.lists(
        st.text(st.sampled_from("=+-@\uff1d;,|\t\n\r\v\"' a1\u200b\u3164\u2028"), max_size=9), min_size=1, max_size=4
    )
)
@example(["k", 'a;"=1;b'])
def test_no_text_becomes_a_formula_in_any_locale(texts):
    """Nothing but single quotes is added, and a text without separators and formulas is left as it is."""
    line = csv_line(texts)
    assert [] == [cell for cell in cells_in_any_locale(line) if cell.startswith(FORMULA)]
    (row,) = csv.reader(io.StringIO(line, newline=""))
    assert [text.replace("'", "") for text in row] == [text.replace("'", "") for text in texts]
    assert csv_line(["jane-ann+b@example.com", "Smith, Ann; 3-4 | b"]) == (
        '"jane-ann+b@example.com","Smith, Ann; 3-4 | b"\r\n'
    )


def test_an_ordinary_cell_is_left_as_it_is(client, root):
    """And quoted, as every cell is."""
    with_folder(root, summary(), rejects=[REJECT])
    header, row, _ = csv_of(client(f"rejects.csv?{TASK}")).split("\r\n")
    assert '"jane@example.com"' in row
    assert header == ",".join(f'"{name}"' for name in REJECTS.names)


def test_of_no_rejects_there_is_a_header(client, root):
    """Erasing may leave a file without a row, and without a row group."""
    folder = with_folder(root, summary(run="bob_exports/export/r/0"))
    pq.ParquetWriter(folder / "rejects.parquet", REJECTS).close()
    response = client("rejects.csv?dag_id=bob_exports&run_id=r&task_id=export&map_index=-1")
    assert (200, [REJECTS.names]) == (response.status_code, list(csv.reader(io.StringIO(csv_of(response)))))


def test_no_page_holds_an_address(client, root):
    """Opt-outs and rejects are shown as numbers and places."""
    report = summary()
    write_run(root, report, members=5)
    with_folder(root, report, rejects=[REJECT])
    for path in ("audiences", audience_path(report), f"task?{TASK}"):
        assert "jane" not in client(path).text


def test_a_cell_that_a_spreadsheet_would_run_is_made_text(client, root):
    """An address may begin with an equals sign."""
    evil = {**REJECT, "email": "=HYPERLINK(1)@example.com", "vendor_message": '@SUM(A1),"quoted"\nline'}
    with_folder(root, summary(), rejects=[evil, REJECT])
    answer = client(f"rejects.csv?{TASK}")
    rows = list(csv.DictReader(io.StringIO(csv_of(answer))))
    assert ["'=HYPERLINK(1)@example.com", "jane@example.com"] == [row["email"] for row in rows]
    assert '\'@SUM(A1),"quoted"\nline' == rows[0]["vendor_message"]
    assert "attachment" in answer.headers["content-disposition"]


def test_a_run_without_rejects_has_none_to_download(client, root):
    """It says so."""
    assert 404 == client(f"rejects.csv?{TASK}").status_code


def test_rejects_are_offered_if_there_are_any(client, root):
    """Each run writes the file."""
    with_folder(root, summary(), rejects=[])
    assert "Download rejects" not in client(f"task?{TASK}").text
    with_folder(root, summary(), rejects=[REJECT])
    assert "Download rejects" in client(f"task?{TASK}").text


def test_the_rejects_begin_with_a_byte_order_mark(client, root):
    """Excel reads names as another character set otherwise."""
    with_folder(root, summary(), rejects=[{**REJECT, "email": "zoë@example.com"}])
    content = client(f"rejects.csv?{TASK}").content
    assert content.startswith(b"\xef\xbb\xbf")
    assert "zoë@example.com" in content.decode("utf-8-sig")
