"""Output of a run besides its log: metrics, and a message that a notifier can send as it is."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import pytest
from airflow.sdk.bases.notifier import BaseNotifier
from airflow_fixtures import export_dag, people

from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.operators import messages

pytestmark = pytest.mark.airflow


class Stats:
    """Counts what is counted."""

    def __init__(self):
        self.counters, self.timings = Counter(), []

    def incr(self, name, count=1, rate=1, *, tags=None):
        self.counters[(name, *sorted((tags or {}).items()))] += count

    def timing(self, name, took, *, tags=None):
        self.timings.append((name, took, tags))

    def total(self, name, **tags):
        return sum(
            count
            for (which, *tag_pairs), count in self.counters.items()
            if which == name and tags.items() <= dict(tag_pairs).items()
        )


@pytest.fixture
def stats(monkeypatch):
    recorded = Stats()
    monkeypatch.setattr(metrics, "Stats", recorded)
    return recorded


class Notifier(BaseNotifier):
    """As a chat's or a mail's notifier: its text is a template over the task's context."""

    template_fields = ("text",)

    def __init__(self, sent, text="{{ segexport.title }}\n{{ segexport.body }}"):
        super().__init__()
        self.text, self.sent = text, sent

    def notify(self, context):
        self.sent.append(self.text)


def test_metrics_of_a_run_that_succeeds(stage, stats):
    """Rows by where they ended, calls, bytes and seconds, each with the vendor's name."""
    rows = people(10)
    rows.loc[2, "email"] = "no-address"
    stage.segment(rows)
    summary = stage.export(conn_id=stage.connection("dotdigital")).summary()
    assert 1 == stats.total("segexport.runs", vendor="dotdigital", status="success")
    assert 9 == stats.total("segexport.rows", vendor="dotdigital", outcome="delivered")
    assert 1 == stats.total("segexport.rows", vendor="dotdigital", outcome="rejected")
    assert 10 == stats.total("segexport.rows")
    assert summary["calls"] == stats.total("segexport.api_calls", vendor="dotdigital")
    assert stats.total("segexport.bytes_sent") > 100
    [(_, took, tags)] = [timing for timing in stats.timings if timing[0] == "segexport.duration"]
    assert timedelta(seconds=summary["seconds"]) == took
    assert {"vendor": "dotdigital"} == tags


def test_metrics_of_a_run_that_is_tried_again(stage, stats):
    """A try that broke off is counted with its error; rows are counted when they have all ended, once."""
    stage.sim.faults([{"path": "import.json", "count": 6, "status": 503}])
    stage.segment(5)
    conn_id = stage.connection("campaign_monitor")
    run = stage.export(conn_id=conn_id, retries=1, retry_delay=timedelta(0))
    assert "success" == run.state
    assert 1 == stats.total("segexport.errors", error="VendorUnavailable")
    assert (1, 1) == tuple(stats.total("segexport.runs", status=status) for status in ("retry", "success"))
    assert 5 == stats.total("segexport.rows")
    assert len(stage.sim.requests(vendor="campaign_monitor")) == stats.total("segexport.api_calls")


def test_metrics_of_a_run_that_is_skipped_and_of_one_that_fails(stage, stats):
    """An older snapshot is skipped, credentials that are refused fail; both say so by name."""
    stage.segment(3)
    conn_id = stage.connection("dotdigital")
    stage.export(conn_id=conn_id, as_of="2026-03-02")
    stage.export(conn_id=conn_id, as_of="2026-03-01")
    stage.export(conn_id=stage.connection("dotdigital", password="not-this-one"))
    assert 1 == stats.total("segexport.runs", status="skipped")
    assert 1 == stats.total("segexport.errors", error="StaleSnapshot")
    assert 1 == stats.total("segexport.runs", status="failed")
    assert 1 == stats.total("segexport.errors", error="AuthenticationFailed")


def test_a_notifier_of_success(stage):
    """`{{ segexport.title }}` and `{{ segexport.body }}` are a message: what, where to, how many, which report."""
    sent = []
    stage.segment(4)
    stage.export(conn_id=stage.connection("dotdigital"), on_success_callback=Notifier(sent))
    [message] = sent
    title, first, *_, last = message.splitlines()
    assert "Customers at dotdigital: 4 delivered" == title
    assert "4 profiles: 4 delivered." == first
    assert last.startswith("Run folder: ")


def test_a_notifier_of_failure(stage):
    """The one line that a person needs is the message; the run's progress is below it."""
    sent = []
    stage.sim.faults([{"path": "import.json", "count": 0, "status": 401, "body": {"Code": 100, "Message": "no"}}])
    stage.segment(20)
    dag = export_dag("tells", stage.folder, conn_id=stage.connection("campaign_monitor"))
    dag.get_task("export").on_failure_callback = [Notifier(sent)]
    run = stage.begin(dag)
    dag.get_task("export").on_failure_callback = [Notifier(sent)]
    run.go(dag)
    [message] = sent
    assert "Customers at Campaign Monitor: tells.export has stopped" == message.splitlines()[0]
    assert "API key" in message.splitlines()[1]
    assert "So far, of 20 profiles: 20 not attempted." in message


def test_a_notifier_of_a_failure_before_anything_was_planned(stage):
    """There is no report yet: the task's name and the error are all there is to say."""
    sent = []
    stage.segment(20)
    dag = export_dag("tells_early", stage.folder, conn_id="nobody_made_it")
    run = stage.begin(dag)
    dag.get_task("export").on_failure_callback = [Notifier(sent)]
    run.go(dag)
    assert "tells_early.export has stopped" == sent[0].splitlines()[0]
    assert "no Airflow connection 'nobody_made_it'" in sent[0].splitlines()[1]


def test_the_summary_is_a_message_too(stage):
    """XCom's `title` and `body` serve a task downstream; they name no person."""
    stage.segment(4)
    summary = stage.export(conn_id=stage.connection("omnisend")).summary()
    assert "4 delivered" in summary["title"]
    assert summary["run_folder"] in summary["body"]
    assert "@" not in json.dumps(summary)


REPORT = {
    "vendor": "dotdigital",
    "audience_name": "Newsletter",
    "counts": {"profiles": 9, "delivered": 0, "unchanged": 2, "rejected": 0, "withheld": 0, "not_attempted": 7},
    "reasons": {},
    "http": {"calls": 3, "retries": 0, "wait_s": 0.0},
    "seconds": 1.25,
    "run_folder": "/reports/01",
}


def test_a_dry_run_says_what_it_would_do():
    """No reader takes its message for an export's."""
    message = messages.success({**REPORT, "dry_run": True})
    assert "Newsletter at dotdigital: dry run, 7 of 9 profiles would be sent" == message["title"]


def test_leavers_and_guards_have_lines_of_their_own():
    """A tripped guard's message is included; a guard that held adds nothing."""
    removals = {"planned": 5, "removed": 3, "already_gone": 2, "kept": 0, "rejected": 0, "not_attempted": 0}
    guards = [{"tripped": True, "message": "Half are gone."}, {"tripped": False, "message": "All is well."}]
    lines = messages.success({**REPORT, "removals": removals, "guards": guards})["body"].splitlines()
    assert "5 leavers: 3 removed, 2 already gone" == lines[1]
    assert "Half are gone." == lines[2]
    assert "All is well." not in "\n".join(lines)


def test_nothing_to_send_is_said_so():
    """Every row is unchanged: the title says that, in numbers."""
    counts = {"profiles": 2, "delivered": 0, "unchanged": 2, "rejected": 0, "withheld": 0, "not_attempted": 0}
    assert "Newsletter at dotdigital: 2 unchanged" == messages.success({**REPORT, "counts": counts})["title"]
    counts = dict.fromkeys(counts, 0)
    assert "Newsletter at dotdigital: nothing to send" == messages.success({**REPORT, "counts": counts})["title"]
