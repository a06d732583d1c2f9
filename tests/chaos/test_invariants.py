"""A planted fault violates its invariant, and only a fault does: rows, order, retries, writers, privacy, quotas."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections import Counter

import pytest
from chaos.fault_injection import Between, KillSwitch
from chaos.run_records import Run
from chaos.stage import Trouble
from chaos.story import Story

from airflow_provider_segexport.model import BatchResult
from airflow_provider_segexport.stages import read, record
from airflow_provider_segexport.storage.journal import CREATED
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.vendors.campaign_monitor import imports as campaign_monitor
from airflow_provider_segexport.vendors.omnisend import imports as omnisend


@pytest.mark.parametrize("mode", ["full", "upsert", "mirror"])
def test_calm_days_break_nothing(sim, vendor, mode, tmp_path):
    """At every vendor, runs without a fault violate nothing."""
    calm = Story(sim, vendor, tmp_path)
    for day in range(3):
        calm.export(day, mode)
    assert calm.violations() == []


def test_a_batch_that_is_never_sent(story, monkeypatch):
    """1: rows that a finished run has not attempted, and people who are lost."""
    remaining = record.remaining
    monkeypatch.setattr(record, "remaining", lambda folder, names: itertools.islice(remaining(folder, names), 2))
    story.export(0)
    assert {"conservation", "agreement"} == story.broken_invariants()


def test_a_report_that_says_more_than_happened(story):
    """1: counts that do not add up, or are not what arrived."""
    run = story.export(0, "full")
    path = run.folder / "01" / "summary.json"
    report = json.loads(path.read_text())
    report["counts"] |= {"delivered": report["counts"]["delivered"] - 1, "unchanged": 1}
    path.write_text(json.dumps(report))
    assert any("delivered, and" in violation for violation in story.violations())
    report["counts"]["delivered"] += 5
    path.write_text(json.dumps(report))
    assert any("do not add up" in violation for violation in story.violations())


def test_a_result_that_is_lost(story, monkeypatch):
    """1: a refused person is counted as delivered."""
    monkeypatch.setattr(campaign_monitor, "batch_result", lambda result, batch: BatchResult())
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "unsubscribed"}], story.stage.audience)
    story.export(0, "full")
    assert any(email in violation for violation in story.violations() if violation.startswith("agreement"))


def test_a_ledger_that_forgets(story):
    """4: an older snapshot goes out after a newer one."""
    story.export(2)
    shutil.rmtree(story.stage.root / "ledgers")
    story.export(1)
    assert any(violation.startswith("order") and "(as of" in violation for violation in story.violations(settled=False))


def test_a_journal_that_forgets(story):
    """5: what was settled before the kill goes out again."""
    run = story.begin(0)
    assert story.stage.attempt(run, Trouble(KillSwitch(str(story.stage.root), near="rejects.parquet"))) == "killed"
    (run.folder / "01" / "journal.jsonl").write_bytes(CREATED + b"\n")
    story.stage.attempt(run)
    assert "retry" in story.broken_invariants()


@pytest.mark.parametrize("late", [True, False], ids=["late", "in time"])
def test_batches_without_tags_that_are_sent_again(sim, tmp_path, monkeypatch, late):
    """5: an hour after a batch, its tag might go to no person. Then its rows are sent again, once; before, never."""
    story = Story(sim, "omnisend", tmp_path)
    sim.configure({"omnisend": {"update_tags": "replace"}})
    if not late:
        monkeypatch.setattr(omnisend, "ended_long_ago", lambda *_: True)
    run = story.begin(0)
    assert story.stage.attempt(run, Trouble(leaves=True)) == "waiting"
    story.stage.sleep(4000 if late else 3000)
    assert story.stage.attempt(run) == "finished"
    sent = Counter(call.batch for call in story.evidence().calls_of(run) if call.items and call.arrived)
    assert max(sent.values()) > 1
    assert story.broken_invariants() == (set() if late else {"retry"})


def race(story: Story) -> tuple[Run, Run]:
    """A run, and another one that begins while it sends."""
    first, second = story.begin(1, "full"), story.begin(2, "full")
    between = Between(str(story.stage.root), 7, lambda: story.stage.attempt(second))
    story.stage.attempt(first, Trouble(between))
    return first, second


def test_two_writers(story, monkeypatch):
    """6: two runs write one audience at a time."""
    for name in ("acquire", "check", "release"):
        monkeypatch.setattr(Lease, name, lambda self: None)
    race(story)
    assert any(
        violation.startswith("one writer") and "writes in between" in violation
        for violation in story.violations(settled=False)
    )


def test_an_address_in_a_log(story, monkeypatch):
    """7: a well-meant line of a log names a person."""
    answered = record.BatchRecorder.record_reply

    def talkative(self, batch, answer):
        logging.getLogger("airflow_provider_segexport").info("Settled, the first is %s.", batch.emails[0])
        return answered(self, batch, answer)

    monkeypatch.setattr(record.BatchRecorder, "record_reply", talkative)
    story.export(0)
    assert {"privacy"} == story.broken_invariants()


def test_a_secret_in_an_error(story, monkeypatch):
    """7: a connection's secret is in an exception's message."""
    key = story.stage.described["credentials"]["api_key"]

    def careless(*_, **__):
        raise ValueError(f"cannot sign in with {key}")

    monkeypatch.setattr(read, "read_schemas", careless)
    story.export(0)
    assert "privacy" in story.broken_invariants()


def test_calls_that_are_not_counted(sim, tmp_path):
    """8: without a pace the vendor says "too many"."""
    story = Story(sim, "constant_contact", tmp_path)
    story.stage.paced = False
    story.export(0)
    about_quota = [violation for violation in story.violations() if violation.startswith("quota")]
    assert any("one too many (429)" in violation for violation in about_quota)
    assert any("calls to the vendor in 1 s" in violation for violation in about_quota)


def test_a_call_before_the_checks(story, monkeypatch):
    """9: something is sent, and then the run finds that it cannot be done."""
    run = story.begin(0)
    inspect = read.read_schemas

    def hasty(*arguments, **options):
        path = f"/api/v3.3/subscribers/{story.stage.audience}/import.json"
        story.rogue(run, "POST", path, json={"Subscribers": [{"EmailAddress": "a@example.com"}], "Resubscribe": False})
        return inspect(*arguments, **options)

    monkeypatch.setattr(read, "read_schemas", hasty)
    story.stage.attempt(run, field_mapping={"email": "no_such_column"})
    about_checks = [violation for violation in story.violations(settled=False) if violation.startswith("checks first")]
    assert any("before it has looked" in violation for violation in about_checks)
    assert any("ended with InvalidSegment" in violation for violation in about_checks)


def test_a_dry_run_that_sends(story):
    """9: nothing is sent where only a plan was asked for."""
    run = story.export(0)
    run.dry = True
    assert any("is a dry run" in violation for violation in story.violations(settled=False))


def test_an_audience_that_is_not_the_segment(story):
    """And the purpose of them all: a person was removed by another program."""
    story.export(0)
    email = story.days[0].rows[0].email
    story.stage.sim.seed("campaign_monitor", [{"email": email, "status": "deleted"}], story.stage.audience)
    assert {"agreement"} == story.broken_invariants()
