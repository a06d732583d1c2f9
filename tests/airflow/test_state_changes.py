"""Changes of audiences' states are announced once each, also by several processes, and by ones that die."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException
from airflow_fixtures import people
from ui_factories import DAY, NOW, ledger_path, summary, write_run

import airflow_provider_segexport.example_dags.example_segment_export_alerts as example
from airflow_provider_segexport.hooks.interruptible import Interruptible
from airflow_provider_segexport.notifications import state_changes
from airflow_provider_segexport.notifications.segment_export import SegmentExportNotifier
from airflow_provider_segexport.storage import attempts as storage
from airflow_provider_segexport.storage.announcements import CLAIM_S, Announcements
from airflow_provider_segexport.storage.attempts import Attempt, Status

pytestmark = pytest.mark.airflow

MANY = 12
"""Processes that look at the same moment."""

FAILED = Attempt(
    "exports/export/scheduled__9/0",
    Status.FAILED,
    NOW + 60,
    NOW + 60,
    NOW + 90,
    conn_id="campaign_monitor_default",
    audience="aa11",
    vendor="campaign_monitor",
    code="authentication-failed",
    error="The key is not accepted.",
)


class Watch:
    """A state root, its clock, and what was sent."""

    def __init__(self, root, monkeypatch):
        self.root, self.now, self.sent = root, NOW + 120, []
        monkeypatch.setenv("AIRFLOW__SEGEXPORT__STATE_PATH", str(root))
        monkeypatch.setattr(Interruptible, "clock", staticmethod(lambda: self.now))

    def runs(self, count=5, **changes):
        """Daily runs until now."""
        for back in reversed(range(count)):
            run = f"exports/export/scheduled__{count - back}/0"
            report = summary(run=run, run_folder=f"/{run}", ended_at=NOW - back * DAY, **changes)
            write_run(self.root, report, members=10)

    def attempt(self, attempt=FAILED):
        file = storage.attempts_file(self.root, attempt.conn_id, attempt.audience, "exports/export")
        storage.record(file, attempt)

    def look(self, send=None):
        """Titles of what one task announces."""
        return state_changes.announce_changes(SegmentExportNotifier(send or self.sent.append))


@pytest.fixture
def watch(tmp_path, monkeypatch):
    return Watch(tmp_path, monkeypatch)


NAME = "Newsletter (Campaign Monitor list)"


def test_failing_and_recovered_are_announced_once_each(watch):
    """A healthy audience is no news; its failure is, and the end of it."""
    watch.runs()
    assert [] == watch.look()
    watch.attempt()
    assert [f"{NAME}: Failing"] == watch.look()
    assert [] == watch.look() + watch.look()
    assert ("The key is not accepted.", "authentication-failed") == (
        watch.sent[0]["error"],
        watch.sent[0]["error_code"],
    )
    assert "What to do: Enter valid credentials" in watch.sent[0]["text"]
    watch.attempt(replace(FAILED, run="exports/export/scheduled__10/0", status=Status.FINISHED, ended_at=NOW + 100))
    assert [f"{NAME}: Recovered"] == watch.look()
    assert [] == watch.look()
    assert ["Failing", "Recovered"] == [message["title"].rpartition(" ")[2] for message in watch.sent]


def test_late_is_announced_once_and_a_failure_after_it_too(watch):
    """Both need a person, for different reasons."""
    watch.runs()
    watch.now = NOW + 2.5 * DAY
    assert [f"{NAME}: Late"] == watch.look()
    watch.now += DAY
    assert [] == watch.look()
    watch.attempt(replace(FAILED, ended_at=watch.now))
    assert [f"{NAME}: Failing"] == watch.look()


def test_exports_that_are_only_started_manually_are_never_late(watch):
    """Five mornings of clicks are no schedule."""
    for back in range(5):
        run = f"exports/export/manual__{back}/0"
        report = summary(run=run, run_folder=f"/{run}", ended_at=NOW - (5 - back) * DAY)
        write_run(watch.root, report, members=10)
    watch.now = NOW + 30 * DAY
    assert [] == watch.look()


def test_a_disabled_connection_is_no_news_and_not_recovered(watch, monkeypatch):
    """An audience that was Failing and was disabled is neither better nor worse."""
    watch.runs()
    watch.attempt()
    assert 1 == len(watch.look())
    extra = json.dumps({"conn_type": "campaign_monitor", "extra": {"export_enabled": False}})
    monkeypatch.setenv("AIRFLOW_CONN_CAMPAIGN_MONITOR_DEFAULT", extra)
    watch.attempt(replace(FAILED, run="exports/export/scheduled__10/0", status=Status.FINISHED, ended_at=NOW + 100))
    assert [] == watch.look()
    monkeypatch.delenv("AIRFLOW_CONN_CAMPAIGN_MONITOR_DEFAULT")
    assert [f"{NAME}: Recovered"] == watch.look()


def test_a_paused_dag_is_not_late(watch, monkeypatch):
    """Its page says Disabled."""
    watch.runs()
    watch.now = NOW + 9 * DAY
    monkeypatch.setattr(state_changes, "is_dag_paused", lambda dag_id: dag_id == "exports")
    assert [] == watch.look()


def test_airflow_is_asked_once_for_each_connection_and_dag(watch, monkeypatch):
    """Each question is a call to Airflow's API, and a thousand audiences may share a connection."""
    questions = []
    for name in ("exports_disabled", "is_dag_paused"):
        monkeypatch.setattr(state_changes, name, lambda text, name=name: questions.append((name, text)))
    for number in range(3):
        watch.runs(audience=f"aa{number}")
    watch.look()
    assert len(questions) == len(set(questions)) == 2


def test_an_audience_that_no_run_has_filled_fails_and_recovers(watch):
    """Its name in the announcements changes with its first run."""
    watch.attempt()
    assert ["aa11 (Campaign Monitor list): Failing"] == watch.look()
    assert [] == watch.look()
    watch.now += DAY
    write_run(watch.root, summary(run="exports/export/scheduled__10/0", ended_at=NOW + 100), members=10)
    ledger = ledger_path(watch.root, summary())
    parts = (ledger.parent.parent.name, ledger.parent.name, ledger.name)
    newest = replace(FAILED, run="exports/export/scheduled__10/0", status=Status.FINISHED, ledger=parts)
    watch.attempt(replace(newest, ended_at=NOW + 100))
    assert [f"{NAME}: Recovered"] == watch.look()
    assert [] == watch.look()


def test_many_processes_announce_a_change_once(watch):
    """Two schedulers, a retry beside a zombie: the store lets one of them create the number."""
    watch.runs()
    watch.attempt()
    start = threading.Barrier(MANY)

    def send(message):
        watch.sent.append(message)
        threading.Event().wait(0.05)

    def look():
        start.wait()
        watch.look(send)

    threads = [threading.Thread(target=look) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(watch.sent)


def test_many_processes_that_have_read_the_same_announce_once(watch, monkeypatch):
    """All have derived the change before one of them claims it."""
    watch.runs()
    watch.attempt()
    start, changes = threading.Barrier(MANY), state_changes.changes

    def at_once(*args):
        derived = list(changes(*args))
        start.wait()
        return derived

    monkeypatch.setattr(state_changes, "changes", at_once)
    threads = [threading.Thread(target=watch.look) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 == len(watch.sent)


def test_a_message_that_could_not_be_sent_is_sent_by_the_next_try(watch):
    """The others are sent all the same."""
    watch.runs()
    watch.attempt()
    watch.runs(audience="bb22", audience_name="VIP")
    watch.attempt(replace(FAILED, audience="bb22"))
    calls = itertools.count()

    def first_fails(message):
        if next(calls) == 0:
            raise ConnectionError("https://hooks.example.com/secret")
        watch.sent.append(message)

    with pytest.raises(AirflowException, match=r"1 message could not be sent \(ConnectionError\).*To fix") as raised:
        watch.look(first_fails)
    assert "secret" not in str(raised.value)
    assert 1 == len(watch.sent)
    assert 1 == len(watch.look())
    assert 2 == len({message["title"] for message in watch.sent})


def test_a_change_whose_process_died_is_announced_after_a_while(watch):
    """A message twice is better than none."""
    watch.runs()
    watch.attempt()

    def die(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.look(die)
    assert [] == watch.look()
    watch.now += CLAIM_S + 1
    assert [f"{NAME}: Failing"] == watch.look()
    assert [] == watch.look()


def test_old_announcements_are_deleted(watch):
    """An audience that fails and recovers every day leaves a handful of files."""
    watch.runs()
    for day in range(8):
        run = f"exports/export/scheduled__{10 + day}/0"
        at = NOW + 100 + day
        status = Status.FINISHED if day % 2 else Status.FAILED
        watch.attempt(replace(FAILED, run=run, status=status, ended_at=at, try_started_at=at))
        assert 1 == len(watch.look())
    assert 3 == len(list((watch.root / "announcements").iterdir()))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"state": 3}', b"\xff"])
def test_a_damaged_file_stops_nothing(watch, content):
    """Its change may be announced again."""
    watch.runs()
    watch.attempt()
    watch.look()
    [file] = (watch.root / "announcements").iterdir()
    file.write_bytes(content)
    assert 1 == len(watch.look())
    assert [] == watch.look()


def test_a_slow_process_does_not_take_a_number_again(watch):
    """Other processes have announced newer states since, and deleted the file of its number."""
    watch.runs()
    watch.attempt()
    slow = Announcements(watch.root)
    [change] = state_changes.changes(watch.root, slow, watch.now)
    for day in range(6):
        status = Status.FINISHED if day % 2 else Status.FAILED
        watch.attempt(replace(FAILED, run=f"exports/export/{day}/0", status=status, ended_at=NOW + 100 + day))
        watch.look()
    name = change.names[0]
    assert slow.claim(name, change.announced, state_changes.Announcement("failing", watch.now)) is None


def test_the_example_announces_a_real_failure(stage, monkeypatch):
    """From the operator's attempt to the DAG's log, by Airflow."""
    stage.segment(people(2))
    conn_id = stage.connection("omnisend", password="wrong")
    stage.export(conn_id=conn_id, audience="vip")
    sent = []
    bag = DagBag(example.__file__)
    assert {} == bag.import_errors
    dag = bag.dags["example_segment_export_alerts"]
    monkeypatch.setattr(example.logging.Logger, "warning", lambda self, form, *args: sent.append(form % args))
    assert ["vip (Omnisend tag): Failing"] == stage.run(dag).summary("announce")
    assert [] == stage.run(dag).summary("announce")
    assert 1 == len([text for text in sent if text.startswith("vip (Omnisend tag): Failing")])
