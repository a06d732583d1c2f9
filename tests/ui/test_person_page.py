"""Find a person: for those who may download rejects, in bounded time, and without a trace of the address."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ui_factories import REJECTS, ledger_path, summary, write_run

from airflow_provider_segexport.person import lookup
from airflow_provider_segexport.storage.ledger_schema import SCHEMA

pytestmark = pytest.mark.airflow

EMAIL = "jane@example.com"
AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
ROW = {
    "email": EMAIL,
    "row_hash": 0xABC,
    "contact_id": "c-17",
    "as_of": AT,
    "run": "exports/export/scheduled__1/0",
    "state": "member",
    "added_at": AT,
}


def ledger(root: Path, report: dict, rows: list[dict]) -> Path:
    """An audience whose ledger holds these rows."""
    write_run(root, report, members=len(rows))
    file = ledger_path(root, report) / "00000001.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file)
    return file


def audience(root: Path, number: int = 0, *, dag_id: str = "exports", rows: list[dict] | None = None) -> dict:
    """One audience at Omnisend with its newest run."""
    report = summary(
        vendor="omnisend",
        audience=f"tag{number}",
        audience_name=f"Tag {number}",
        run=f"{dag_id}/export/r{number}/0",
        run_folder=str(root / "runs" / dag_id / str(number)),
    )
    ledger(root, report, [ROW] if rows is None else rows)
    return report


@pytest.fixture
def find(client):
    """Sends the form."""

    def ask(email: str = EMAIL, user: str | None = "ann", **more):
        body = urlencode({"email": email})
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return client("person", user, "POST", {**kind, **more.pop("headers", {})}, content=body, **more)

    return ask


def test_a_person_is_found_with_state_since_hash_and_reason(find, root):
    """In every spelling that an export takes for the same address."""
    rejected = {"reason": "suppressed", "attempts": 3, "last_rejected_at": AT}
    audience(root, rows=[{**ROW, "state": "removed", **rejected}])
    audience(root, 1)
    audience(root, 2, rows=[{**ROW, "email": "other@example.com"}])
    for spelling in (EMAIL, "  JANE@Example.com "):
        page = find(spelling)
        assert 200 == page.status_code
        assert "2 audiences with a record" in page.text
        assert "of 3 audiences that you may search" in page.text
        shown = ("not in the audience, removed by an export", "in the audience, added by an export", "c-17")
        assert [] == [text for text in (*shown, "0000000000000abc", "3 times", "2026-11-24") if text not in page.text]
        assert "Tag 2" not in page.text
        assert "removed or cannot be read in 3 audiences" in page.text


def test_rows_of_the_newest_run_that_were_withheld_are_shown(find, root):
    """The ledger holds no one who was never sent."""
    report = audience(root, rows=[])
    folder = Path(report["run_folder"])
    folder.mkdir(parents=True)
    reject = dict.fromkeys(REJECTS.names, "") | {"file_row": 7, "row": 7, "email": "Jane@Example.com"}
    rows = [reject | {"outcome": "withheld", "reason": "no_consent"}]
    pq.write_table(pa.Table.from_pylist(rows, schema=REJECTS), folder / "rejects.parquet")
    page = find().text
    assert "withheld by the newest run" in page
    assert "row 7" in page
    assert "removed or cannot" not in page


def test_only_those_who_may_download_rejects_find_anyone(find, root, monkeypatch):
    """By the same option: a user who sees all counts may still see no person."""
    audience(root, dag_id="bob_exports")
    assert 403 == find(user="bob").status_code
    assert "Tag" not in find(user="bob").text
    assert 403 == find(user="cem").status_code
    assert 401 == find(user=None).status_code
    assert 200 == find(user="ann").status_code
    monkeypatch.setenv("AIRFLOW__SEGEXPORT__REJECTS_PERMISSION", "nobody")
    assert 403 == find(user="ann").status_code


def test_an_audience_of_other_dags_is_not_searched(find, root, monkeypatch):
    """One page may search some audiences and not others."""
    from airflow_provider_segexport.plugins.permissions import Rights

    monkeypatch.setattr(Rights, "can_download_rejects", lambda self, dag_id: dag_id == "exports")
    audience(root)
    audience(root, 1, dag_id="bob_exports")
    page = find().text
    assert "of 1 audience that you may search" in page
    assert "Tag 1" not in page


def test_runs_outside_any_dag_are_not_searched(find, root):
    """No rule of Airflow's says who may read their rows."""
    report = summary(run="hook/omnisend_default/1700000000000000000-ab/0", vendor="omnisend", audience="hooked")
    ledger(root, report, [ROW])
    assert 403 == find().status_code


def test_the_address_is_in_no_url_no_log_no_file_and_no_cache(find, root, caplog):
    """Looking leaves nothing behind."""
    audience(root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    caplog.set_level(logging.DEBUG)
    page = find()
    assert "no-store" == page.headers["cache-control"]
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert EMAIL not in str(page.url)
    assert not re.search(r'(href|src|action)="[^"]*jane', page.text)
    assert "jane" not in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*")}


def test_an_address_in_the_url_is_not_looked_up(client, root):
    """Someone may try; it is a form."""
    audience(root)
    assert "Tag 0" not in client(f"person?email={EMAIL}").text
    assert EMAIL not in client(f"person?email={EMAIL}").text


@pytest.mark.parametrize("email", ["", "jane", "x" * 5000, "%ff%fe", "<script>alert(1)</script>", "\x00"])
def test_what_is_no_address_is_refused(find, root, email):
    """Without a search, and escaped."""
    audience(root)
    page = find(email)
    assert 400 == page.status_code
    assert "<script>alert" not in page.text


@pytest.mark.parametrize(
    "text",
    [f"{EMAIL}, bob@example.com", f"{EMAIL};x", f"{EMAIL}\r\nx: 1", f'"Jane" {EMAIL}', "a@b\0"],
)
def test_an_address_beside_something_else_is_not_answered_with_no_record(find, root, text):
    """Such a text is the address of no person, so `No record` would be wrong of the person in it."""
    audience(root)
    page = find(text)
    assert 400 == page.status_code
    assert "No record" not in page.text
    assert "more than one email address alone" in page.text


@pytest.mark.parametrize("text", ["no address@", "jane@", "=jane@x", "jané@exämple"])
def test_a_text_that_an_export_rejects_as_an_address_can_be_looked_up(find, root, text):
    """The rejects hold addresses as the segment had them."""
    audience(root)
    assert 200 == find(text).status_code


def test_a_form_of_another_site_is_refused(find, root):
    """A page elsewhere cannot make a user's browser search."""
    audience(root)
    assert 403 == find(headers={"sec-fetch-site": "cross-site"}).status_code
    assert 200 == find(headers={"sec-fetch-site": "same-origin"}).status_code


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"x" * 4000, None])
def test_a_damaged_ledger_is_named_and_the_others_are_searched(find, root, damage):
    """No error page, and no address in a traceback."""
    broken = audience(root)
    audience(root, 1)
    file = ledger_path(root, broken) / "00000001.parquet"
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage)
    page = find()
    assert 200 == page.status_code
    assert "1 audience with a record" in page.text
    assert re.search("cannot be read of Tag 0", page.text)


@pytest.mark.parametrize("name", [name for name in SCHEMA.names if name != "email"])
@pytest.mark.parametrize("change", ["missing", "null", "text", "time"])
def test_a_ledger_with_other_columns_stops_no_search(find, root, name, change):
    """Another version or a person wrote it: its row is shown as far as it can be read, or its audience is named."""
    column = {
        "null": pa.nulls(1),
        "text": pa.array(["<b>x"]),
        "time": pa.array([2**62]).view(pa.timestamp("us", "UTC")),
    }
    table = pa.Table.from_pylist([ROW], schema=SCHEMA)
    index = SCHEMA.names.index(name)
    table = table.remove_column(index) if change == "missing" else table.set_column(index, name, column[change])
    pq.write_table(table, ledger_path(root, audience(root)) / "00000001.parquet")
    audience(root, 1)
    page = find()
    assert 200 == page.status_code
    assert "<b>x" not in page.text
    assert "2 audiences with a record" in page.text or "cannot be read of Tag 0" in page.text


def test_when_the_time_is_over_the_rest_is_named(find, root, monkeypatch):
    """A slow store costs a bounded time, and no silence."""
    for number in range(40):
        audience(root, number)
    monkeypatch.setattr(lookup, "SEARCH_S", -1.0)
    page = find().text
    assert "before 40 audiences could be searched" in page
    assert "No record of this person" in page


def test_500_audiences_are_searched_in_seconds(find, root):
    """With the newest run's rejects of each."""
    import time

    for number in range(500):
        audience(root, number)
    begun = time.monotonic()
    page = find()
    assert time.monotonic() - begun < 15
    assert "500 audiences with a record" in page.text


def test_the_list_leads_to_the_page(client, root):
    """Beside the heading."""
    audience(root)
    assert 'href="person"' in client("audiences").text
