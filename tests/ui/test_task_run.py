"""The page of one run, past or present, from its run folder; without Airflow."""

from __future__ import annotations

import json

import pytest
from ui_factories import run_folder, summary, with_folder

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.plugins import task_run
from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.storage.journal import Entry, Journal
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import with_checksum

IDENTITY = RunIdentity("exports", "export", "scheduled__2026-11-24", 0)


def counts(report: task_run.Report) -> dict[str, int]:
    return {part.name: part.count for part in report.outcomes}


def begun(tmp_path, *lines: dict) -> object:
    """A run folder of a run that has a plan and a journal, and no end."""
    folder = run_folder(tmp_path, "exports/export/scheduled__2026-11-24/0")
    folder.mkdir(parents=True)
    planned = Plan(
        profiles=100,
        upsert_rows=60,
        unchanged=30,
        batches=("aa", "bb", "cc"),
        bytes=6000,
        not_sent={"rejected": {"no_email": 2, "invalid_email": 5}, "withheld": {"duplicate": 3}},
    )
    audience = Audience("https://api.example.com", "7", "Acme", "42", "Newsletter")
    facts = PlanFacts("dotdigital", audience, "upsert", "2026-11-24T00:00:00+00:00", 1000.0, 0)
    RunFolder(folder).write_plan(planned, facts)
    Journal(folder).write([Entry(**line) for line in lines])
    return folder


def test_a_finished_run_tells_its_summary(tmp_path):
    """Counts, removals and reasons, the most frequent reason first."""
    report = task_run.report(
        with_folder(tmp_path, summary(), rejects=[{"row": 1, "outcome": "rejected"}]), at_work=False
    )
    assert report.over
    assert {"delivered": 120, "unchanged": 850, "rejected": 20, "withheld": 10, "not_attempted": 0} == counts(report)
    assert {"removed": 7, "already_gone": 2, "kept": 0, "rejected": 0, "not_attempted": 0} == {
        part.name: part.count for part in report.removals
    }
    assert ["invalid_email", "no_email"] == list(report.reasons["rejected"])
    assert report.rejects


def test_a_run_under_way_tells_how_far_it_is(tmp_path):
    """From plan and journal; rows without a result are pending, and it all adds up."""
    folder = begun(
        tmp_path,
        {"batch": "aa", "state": "sending", "rows": 20},
        {"batch": "aa", "state": "submitted", "rows": 20, "job_id": "job-1"},
        {"batch": "bb", "state": "submitted", "rows": 20, "job_id": "job-2"},
        {"batch": "aa", "state": "settled", "rows": 20, "accepted": 19, "rejected": 1},
        {"batch": "remove-dd", "state": "settled", "rows": 4, "accepted": 4},
    )
    report = task_run.report(folder, at_work=True)
    assert not report.over
    assert {"delivered": 19, "unchanged": 30, "rejected": 8, "withheld": 3, "to_do": 40} == counts(report)
    assert 100 == sum(counts(report).values())
    assert [("job-2", "running"), ("job-1", "ended")] == [(job.job_id, job.state) for job in report.jobs]
    assert (2, 3) == report.batches


def test_a_torn_line_and_a_line_of_a_later_version_are_passed_over(tmp_path):
    """The journal is read while it is written."""
    folder = begun(tmp_path, {"batch": "aa", "state": "settled", "rows": 20, "accepted": 20})
    later = with_checksum(b'{"batch": "bb", "state": "dreaming", "rows": 20}')
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(later + b'\n7\n{"batch": "bb", "sta')
    assert 20 == counts(task_run.report(folder, at_work=True))["delivered"]


def test_what_a_failed_try_wrote_gives_way_to_the_try_that_goes_on(tmp_path):
    """The summary of the first try is not the end while the second works."""
    folder = begun(tmp_path, {"batch": "aa", "state": "settled", "rows": 20, "accepted": 20})
    (folder / "summary.json").write_text(json.dumps(summary(finished=False, error="The vendor is down.")))
    assert not task_run.report(folder, at_work=True).over
    ended = task_run.report(folder, at_work=False)
    assert (True, "The vendor is down.") == (ended.over, ended.facts["error"])


def test_a_run_without_a_plan_has_nothing_to_tell(tmp_path):
    """It is still checking."""
    assert None is task_run.report(tmp_path, at_work=True)
    assert None is task_run.newest(tmp_path / "nothing")


def test_the_newest_generation_is_shown(tmp_path):
    """A task that was cleared after success began again in the next folder."""
    with_folder(tmp_path, summary())
    second = run_folder(tmp_path, summary()["run"], 10)
    second.mkdir()
    assert second == task_run.newest(task_run.home(tmp_path / "runs", IDENTITY))


@pytest.mark.parametrize("evil", ["../../../etc", "..", "/etc/passwd", "a/../../b", "\0", ".", "%2e%2e/x", "~root"])
def test_no_name_of_a_task_instance_leads_out_of_the_root(tmp_path, evil):
    """Each part becomes one folder's name below the root, whatever it holds."""
    for identity in (RunIdentity(evil, "t", "r", 0), RunIdentity("d", evil, "r", 0), RunIdentity("d", "t", evil, 0)):
        home = task_run.home(tmp_path / "runs", identity)
        assert (tmp_path / "runs") == home.parent.parent.parent.parent
        assert home.resolve().is_relative_to(tmp_path)


def test_a_summary_of_wrong_types_is_shown_as_zeros(tmp_path):
    """A report that a person has written by hand breaks no page."""
    report_of_wrong_types = {
        "counts": 5,
        "reasons": ["x"],
        "http": "much",
        "guards": [1, {"name": 3}],
        "error": {"a": 1},
        "finished": 1,
    }
    report = task_run.report(with_folder(tmp_path, {**report_of_wrong_types, "run": summary()["run"]}), at_work=False)
    assert (0, {}, "", 0.0) == (
        report.profiles,
        dict(report.reasons),
        report.facts["error"],
        report.facts["http"]["calls"],
    )
    assert ["3"] == [guard["name"] for guard in report.facts["guards"]]
