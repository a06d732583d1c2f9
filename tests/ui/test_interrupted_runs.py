"""The tab of a run that has a plan and no end: whether it goes on depends on its task instance."""

from __future__ import annotations

import json

import pytest
from ui.page_factories import TASK, text_of
from ui_factories import NOW, run_folder, summary, with_folder

from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.plugins import task_page, task_run
from airflow_provider_segexport.plugins.task_instances import TaskInstanceInfo
from airflow_provider_segexport.storage.journal import Entry, Journal
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder

pytestmark = pytest.mark.airflow

RUN = summary()["run"]


@pytest.fixture
def begun(root):
    """A run of five batches, four of which have a result, and its second call with one batch and none."""
    audience = Audience("https://api.example.com", "7", "Acme", "42", "Newsletter")
    for run, batches in ((RUN, ("aa", "bb", "cc", "dd", "ee")), (f"{RUN}.2", ("ff",))):
        folder = run_folder(root, run)
        folder.mkdir(parents=True)
        planned = Plan(profiles=100, upsert_rows=100, unchanged=0, batches=batches, bytes=6000, not_sent={})
        RunFolder(folder).write_plan(planned, PlanFacts("dotdigital", audience, "upsert", "2026-11-24", NOW, 0))
        settled = [Entry(batch=batch, state="settled", rows=20, accepted=20) for batch in batches[:-1]]
        Journal(folder).write([*settled, Entry(batch=batches[-1], state="submitted", rows=20, job_id="job-1")])
    return root


@pytest.fixture
def tab(client, monkeypatch):
    """A function that returns the tab as text, with the task instance in a state; None without a task instance."""

    def text(state: str | None) -> str:
        info = None if state is None else TaskInstanceInfo(state, "SegmentExportOperator", 1, exports=True)
        monkeypatch.setattr(task_page, "instance", lambda run, map_index: info)
        monkeypatch.setattr(task_page.time, "time", lambda: NOW + 100)
        responses = [client(f"{page}?{TASK}") for page in ("task", "live")]
        assert [200, 200] == [response.status_code for response in responses]
        return text_of(responses[0].text)

    return text


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed", "none"])
def test_a_run_whose_task_has_ended_is_not_shown_as_running(begun, tab, state):
    """A worker that died leaves a plan without an end: nothing is running, and no time is left."""
    text = tab(state)
    assert "Newsletter Interrupted" in text
    assert f"4 of 5 batches done. The task ended ({state}) before the run did." in text
    assert "2 Newsletter Interrupted" in text
    assert [] == [word for word in ("Running", "Time left", "1 job running at") if word in text]


def test_a_run_that_airflow_has_forgotten_opens(begun, tab):
    """The DAG run was deleted, or old rows of the database were."""
    text = tab(None)
    assert "4 of 5 batches done. The run has not ended, and Airflow does not know its task instance." in text
    assert "Running" not in text


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_reschedule", "up_for_retry", "queued"])
def test_a_run_under_way_is_shown_as_running(begun, tab, state):
    """With the time left at the pace so far; its later call runs, too."""
    text = tab(state)
    assert "Newsletter Running" in text
    assert "4 of 5 batches done, 1 job running at dotdigital" in text
    assert "Running for 1 min 40 s Time left 25 s" in text
    assert "2 Newsletter Running" in text
    assert "Interrupted" not in text


def test_a_later_call_runs_after_the_first_has_ended(begun, tab):
    """An unfinished report of an earlier try does not end it."""
    with_folder(begun, summary())
    (run_folder(begun, f"{RUN}.2") / "summary.json").write_text(json.dumps(summary(finished=False)))
    assert "2 Newsletter Running" in tab("running")
    assert "2 Newsletter Did not finish" in tab("failed")


@pytest.mark.parametrize("seconds", [None, "30", 0])
def test_a_report_without_a_duration_shows_none_since_1970(seconds, begun):
    folder = with_folder(begun, summary(seconds=seconds, started_at=0))
    assert 0.0 == task_run.seconds(task_run.report(folder, at_work=False), NOW)
