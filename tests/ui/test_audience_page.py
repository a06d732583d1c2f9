"""The list of audiences and the page of one: its runs, its attempts, its verifications."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ui.page_factories import HOSTILE, attempt_of, attempted, audience_path, place_parts, text_of, verification
from ui_factories import NOW, ledger_path, summary, write_run

from airflow_provider_segexport.storage import verifications
from airflow_provider_segexport.storage.attempts import Attempt, Status, attempts_file, record
from airflow_provider_segexport.storage.ledger import FACTS
from airflow_provider_segexport.storage.ledger_facts import REVERTED_VERSION, taken_back
from airflow_provider_segexport.storage.paths import as_storage_path

pytestmark = pytest.mark.airflow


def test_the_page_of_an_audience_shows_which_version_was_taken_back(client, root):
    """The page reads the keys that an undo writes into the ledger."""
    report = summary(ledger_version=3)
    write_run(root, report, members=5)
    facts = {"as_of": report["as_of"], "by": report["run"], "members": "5", REVERTED_VERSION: "2"}
    schema = pa.schema([("email", pa.string())], metadata={FACTS: json.dumps(facts).encode()})
    ledger_file = ledger_path(root, report) / "00000003.parquet"
    pq.write_table(pa.table({"email": ["x@example.com"]}, schema=schema), ledger_file)
    assert "undo of version 2" in client(audience_path(report)).text


def test_the_page_of_an_audience_shows_what_was_found_out_about_the_account(client, root):
    """The result of an experiment, with its time."""
    report = summary(account_facts={"tags_on_upsert": {"value": "replace", "learnt_at": 1_767_225_600}})
    write_run(root, report, members=5)
    page = client(audience_path(report)).text
    assert "replace a contact&#39;s tags, so they are sent separately" in page
    assert "found out 2026-01-01 00:00:00 UTC" in text_of(page)
    assert "created by an export" not in page


def test_the_page_of_an_audience_shows_that_an_export_created_it(client, root):
    """Also after later runs, with the time of the run."""
    report = summary(audience_created=True, ended_at=1_767_225_600.0, run_folder="/state/runs/first/01")
    write_run(root, report, members=5)
    write_run(root, summary(), members=6)
    assert "created by an export, 2026-01-01 00:00:00 UTC" in text_of(client(audience_path(report)).text)


@pytest.mark.parametrize("value", ["two", "", None, "-1", "²", "1e3", "9" * 50, [], "2 "])
def test_a_version_that_is_no_number_was_not_taken_back(value):
    """A footer may be of another release."""
    assert taken_back({REVERTED_VERSION: value}) == 0


def test_an_audience_that_was_refused_last_shows_the_sentence_and_its_entry(client, root):
    """In the row, on the page, and under Runs; the other audience of the connection is as before."""
    report = summary(run="unregistered/refused/scheduled__2026-11-24/0")  # a DAG that no other test registers
    for audience in ("aa11", "bb22"):
        write_run(root, {**report, "audience": audience, "audience_name": audience}, members=5)
    attempted(root, attempt_of(report))
    page = client("audiences").text
    states = re.findall(r'<tr data-state="([a-z-]+)"', page)
    assert ["failing", "manual"] == states  # without a known schedule none is late
    assert page.count("The vendor&#39;s answer was 401") == 2  # the row, and its title
    assert 'href="errors#authentication-failed"' in page
    page = client(audience_path({**report, "audience": "aa11"})).text
    assert page.count("The vendor&#39;s answer was 401") == 2  # the head, and the run
    assert "before there was a plan" in page
    assert "answer was 401" not in client(audience_path({**report, "audience": "bb22"})).text


def test_an_audience_that_was_never_filled_is_listed(client, root):
    """With what went wrong, for those who may see the run."""
    attempted(root, attempt_of(summary(), audience=HOSTILE))
    page = client("audiences").text
    assert '<tr data-state="failing"' in page
    assert "never filled" in page
    assert HOSTILE not in page
    assert "never filled" not in client("audiences", user="bob").text


def test_the_history_is_downloaded_as_csv(client, root):
    """Every run that the user may see, also those without a plan; no cell is a formula."""
    report = summary(run="bob_exports/export/=r0/0", run_folder="/bob", error="=cmd|x", finished=False)
    write_run(root, report, members=7)
    for number in range(3):
        write_run(root, summary(run=f"exports/export/r{number}/0", run_folder=f"/{number}"), members=5)
    ledger = place_parts(report)
    failed_try = Attempt("exports/export/r9/0", Status.FAILED, NOW + 5, NOW + 5, NOW + 9, conn_id="c", ledger=ledger)
    record(attempts_file(as_storage_path(root), "c", "", "exports/export"), replace(failed_try, code="invalid-segment"))
    path = audience_path(report).replace("audience?", "history.csv?", 1)
    reply = client(path)
    assert "text/csv; charset=utf-8" == reply.headers["content-type"]
    assert "no-store" == reply.headers["cache-control"]
    rows = list(csv.DictReader(io.StringIO(reply.text.removeprefix("\ufeff"))))
    assert reply.text.startswith("\ufeff")
    assert ("r9", "invalid-segment", "") == (rows[0]["run_id"], rows[0]["error_code"], rows[0]["members"])
    rows = rows[1:]
    assert {"'=r0", "r0", "r1", "r2"} == {row["run_id"] for row in rows}
    [failed] = [row for row in rows if row["state"] == "failed"]
    shown = tuple(failed[name] for name in ("members", "profiles", "delivered", "error"))
    assert ("7", "1000", "120", "'=cmd|x") == shown
    bobs = list(csv.DictReader(io.StringIO(client(path, user="bob").text)))
    assert 1 == len(bobs)
    assert 404 == client(path, user="cem").status_code
    assert 404 == client("history.csv?vendor=omnisend&account=..&audience=..").status_code
    assert path in client(audience_path(report)).text.replace("&amp;", "&")


def test_the_page_of_an_audience_shows_match_rate_and_drift_over_time(client, root):
    """The newest verification with what explains it, and every one that the user may see."""
    report = summary()
    write_run(root, report, members=5)
    assert "has not been verified yet" in client(audience_path(report)).text
    for number in range(3):
        earlier = verification(run=f"exports/verify/r{number}/0", match_rate=0.9 + number / 100)
        verifications.record(ledger_path(root, report), earlier)
    sample = {"run": "exports/verify/r9/0", "sampled": 400, "match_rate_interval": [0.961, 0.99]}
    verifications.record(ledger_path(root, report), verification(**sample))
    page = client(audience_path(report)).text
    for text in ("97.98%", "96.1% to 99% at 95 % confidence", "sample of 400 people", "have not opted out", ">91%<"):
        assert text in page
    assert "of 500 people compared" in page


def test_a_verification_of_another_users_dag_is_not_shown(client, root):
    """As a run of that DAG is not; a command is shown to those who may read its connection."""
    report = summary(run="bob_exports/export/r/0", run_folder="/bob")
    write_run(root, report, members=5)
    verifications.record(ledger_path(root, report), verification(match_rate=0.1234))
    assert "12.34%" not in client(audience_path(report), user="bob").text
    command = verification(run="command/verify/omnisend_default/1795600000000000000", match_rate=0.5678)
    verifications.record(ledger_path(root, report), command)
    assert "56.78%" in client(audience_path(report)).text


@pytest.mark.parametrize(
    "damaged", ["{", "[]", '{"verifications": 3}', '{"verifications": [3, {"run": 5}, {"run": "a/b/c/0"}]}']
)
def test_a_damaged_history_of_verifications_does_not_close_the_page(client, root, damaged):
    report = summary()
    write_run(root, report, members=5)
    (ledger_path(root, report) / verifications.FILE).write_text(damaged)
    assert client(audience_path(report)).status_code == 200


def test_names_with_numbers_are_in_their_natural_order(client, root):
    """2 before 11."""
    for number in (11, 2, 1):
        name = f"List {number}"
        write_run(root, summary(audience=name, audience_name=name, run_folder=f"/{number}"), members=5)
    names = re.findall(r">(List [0-9]+)</a>", client("audiences").text)
    assert ["List 1", "List 2", "List 11"] == names


@pytest.mark.parametrize("day", ["day=2026-11-24/", "2026-11-24", "2026/11/24/", "*"])
def test_an_audience_is_found_by_its_segment(client, root, day):
    """The end of the path that names it is shown; the search knows all of it."""
    write_run(root, summary(segment=f"/data/segments/newsletter_active/{day}"), members=5)
    page = client("audiences").text
    assert "segment newsletter_<wbr>active" in page
    assert f"/data/segments/newsletter_active/{day}" in re.search(r'data-text="([^"]*)"', page)[1]


def test_an_audience_stays_when_its_dag_leaves_the_database(client, root):
    """For users who may read any DAG; for others, nothing is known of it."""
    write_run(root, summary(run="removed_dag/export/r/0"), members=5)
    assert 1 == client("audiences").text.count('<th scope="row"')
    assert 200 == client(audience_path(summary())).status_code
    assert 0 == client("audiences", user="cem").text.count('<th scope="row"')
