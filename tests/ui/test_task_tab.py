"""The tab of a task instance: what its run planned, did or was refused for."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ui.page_factories import GUARDS, HOSTILE, TASK, TRIED, attempt_of, attempted, place_parts, text_of, verification
from ui_factories import NOW, summary, with_folder, write_run

from airflow_provider_segexport.http.call_log import CallLog
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.calls import Call, write_calls
from airflow_provider_segexport.storage.paths import as_storage_path

pytestmark = pytest.mark.airflow


def test_the_tab_shows_what_consent_and_suppression_lists_came_to(client, root):
    """By answer and by list; an export without them shows neither."""
    lists = {"read": 1200, "blank": 3, "understood": 1190, "not_understood": 7, "matched": 41}
    report = {
        "consent": {"yes": 900, "no": 60, "empty": 25, "unclear": 15},
        "suppression": [{"name": "opt.csv", **lists}],
    }
    with_folder(root, summary(**report))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "Yes 900 No 60 Empty 25 Neither yes nor no 15" in text
    assert "opt.csv 1,200 1,190 7 3 41" in text
    assert "Proof of consent" not in text
    with_folder(root, summary(consent_proof={"with_proof": 4100, "no_moment": 0, "opted_out_later": 3, "other": 5}))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "With proof of consent 4,100 Opted out after the consent 3" in text
    with_folder(root, summary(consent={}, suppression=[]))
    plain = client(f"task?{TASK}").text
    assert "Suppression lists" not in plain
    assert "Neither yes nor no" not in plain


def test_the_tab_lists_the_later_calls_of_a_task(client, root):
    """`hook.export` called three times in one task; another map index is another task instance."""
    with_folder(root, summary())
    assert "Later calls" not in client(f"task?{TASK}").text
    run = "exports/export/scheduled__2026-11-24"
    for index, name in (("0.3", "Third"), ("0.2", "Second"), ("1.2", "Another index"), ("0.x", "No call")):
        with_folder(root, summary(run=f"{run}/{index}", audience_name=name, finished=index != "0.3"))
    text = " ".join(re.sub(r"<[^>]+>", " ", client(f"task?{TASK}").text).split())
    assert "Later calls of this task 2" in text
    assert "2 Second Finished 120 850 20 10 0 3 Third Did not finish 120" in text
    assert "Another index" not in text


def test_the_tab_of_a_run_without_a_plan_has_sentence_code_and_log(client, root):
    """Not only that nothing was planned."""
    attempted(root, attempt_of(summary()))
    page = client(f"task?{TRIED}").text
    assert "Failed before there was a plan" in page
    assert "answer was 401. To fix: check the API key." in page
    assert 'href="errors#authentication-failed"' in page
    assert 'href="../dags/exports/runs/refused/tasks/export"' in page


@pytest.mark.parametrize(("status", "heading"), [("skipped", "Skipped"), ("waiting", "Waiting")])
def test_the_tab_says_why_a_run_was_skipped_or_waits(client, root, status, heading):
    """The sentence that the log has."""
    sentence = "Exports through connection 'c' are disabled."
    attempted(root, attempt_of(summary(), status=Status(status), error=sentence, code="exports-disabled"))
    text = text_of(client(f"task?{TRIED}").text)
    assert f"{heading} Exports through connection &#39;c&#39; are disabled. Log exports-disabled" in text


def test_the_tab_shows_a_failed_try_above_the_report_of_an_earlier_one(client, root):
    """Cleared after success, and refused then; a report that is newer has the last word."""
    report = summary(run="exports/export/refused/0")
    with_folder(root, report)
    attempted(root, attempt_of(report))
    assert "The figures below are those of an earlier try." in client(f"task?{TRIED}").text
    with_folder(root, {**report, "ended_at": report["ended_at"] + 1000})
    assert "answer was 401" not in client(f"task?{TRIED}").text


def test_the_tab_of_a_dry_run_shows_what_an_export_would_do(client, root):
    """No batch was sent, and nothing was left unattempted."""
    estimate = {"calls": 1, "bytes": 900, "estimated_minutes": 2.5, "upserts": 970, "removals": 12, "samples": {}}
    counts = {"profiles": 1000, "delivered": 0, "unchanged": 20, "rejected": 7, "withheld": 3, "not_attempted": 970}
    removals = {"planned": 12, "removed": 0, "already_gone": 0, "kept": 0, "rejected": 0, "not_attempted": 12}
    report = {"dry_run": True, "estimate": estimate, "counts": counts, "guards": GUARDS, "batches": 3}
    with_folder(root, summary(**report, removals=removals))
    text = text_of(client(f"task?{TASK}").text)
    assert "Would be sent 970 Would be removed 12 Unchanged 20 Calls 1" in text
    assert "Time at the quota 2 min 30 s" in text
    assert "Not attempted" not in text
    assert "3 of 3" not in text
    assert "tripped max_shrink Shrunk. near its limit max_removals Ninety. passed min_rows Ten rows." in text


def test_the_tab_of_a_dry_run_shows_rows_as_the_vendor_would_get_them(client, root):
    """Three at most, as the run has masked them, escaped; a report of anything else is no error page."""
    items = [{"email": "j…@e….com", "name": HOSTILE}, {"email": "b…@e….com"}, 3, {"email": "fourth"}]
    with_folder(root, summary(dry_run=True, preview=items))
    page = client(f"task?{TASK}").text
    assert 3 == page.count("<pre")
    assert "j…@e….com" in page
    assert "fourth" not in page
    assert HOSTILE not in page
    for odd in ("text", {"a": 1}, None, [None], [["x"]]):
        with_folder(root, summary(dry_run=True, preview=odd))
        assert 200 == client(f"task?{TASK}").status_code
    with_folder(root, summary(preview=items))
    assert "<pre" not in client(f"task?{TASK}").text


@pytest.mark.parametrize(
    ("batches", "began", "left"),
    [((4, 12), 60, 120.0), ((2, 12), 60, None), ((12, 12), 60, None), ((4, 12), 0, None), ((4, 12), -5, None)],
)
def test_the_time_left_follows_from_the_pace_so_far(batches, began, left):
    """Unknown is unknown: with few batches, and with clocks that differ."""
    from airflow_provider_segexport.plugins.task_run import Report, time_left

    report = Report(over=False, facts={"started_at": 1000.0 - began}, profiles=12, outcomes=(), batches=batches)
    assert left == time_left(report, 1000.0)
    assert time_left(replace(report, over=True), 1000.0) is None


def test_the_tab_of_a_verification_shows_people_by_kind(client, root):
    report = {**verification(run=summary()["run"]), "mode": "verify", "finished": True, "audience_name": "Newsletter"}
    with_folder(root, report)
    page = client(f"task?{TASK}").text
    assert "1,000 people" in page
    assert "Opted out" in page


def test_the_tab_leads_to_the_page_of_its_audience(client, root):
    """As the run's record names it."""
    report = summary(run="exports/export/refused/0")
    write_run(root, report, members=5)
    with_folder(root, report)
    ledger = place_parts(report)
    attempted(root, attempt_of(report, status=Status.FINISHED, error="", code="", ledger=ledger))
    page = client(f"task?{TRIED}").text
    address = re.search(r'href="(audience\?[^"]+)">History of this audience', page)[1].replace("&amp;", "&")
    assert 200 == client(address).status_code


def test_the_tab_lists_the_vendor_calls_of_a_run(client, root):
    """By path and status, and those that failed; also of a run that failed before its plan. A text stays a text."""
    log = CallLog()
    for number in range(120):
        log.record(Call(NOW + number, "POST", "/v3/contacts/import", 202, 30 + number))
        log.record(Call(NOW + number, "GET", "/v3/contacts/{id}", 0, 30_000, "ReadTimeout"))
    log.record(Call(NOW, "GET", HOSTILE, 500, 1))
    folder = with_folder(root, summary())
    assert "Vendor calls" not in client(f"task?{TASK}").text
    write_calls(as_storage_path(folder), log.take(), is_resumed=False)
    page = client(f"task?{TASK}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    text = text_of(page)
    assert "Vendor calls 241" in text
    assert "import 202 120 90 149" in text
    assert "First failed calls 121" in text
    assert "The first 100 are shown." in text
    (folder / "summary.json").unlink()
    assert "Vendor calls 241" in text_of(client(f"task?{TASK}").text)
    (folder / "calls.json").write_text("[]")
    assert 200 == client(f"task?{TASK}").status_code
