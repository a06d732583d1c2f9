"""Run folders that are removed when they are old, and the runs that go on without them."""

from __future__ import annotations

import shutil

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.storage import retention
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import as_storage_path
from airflow_provider_segexport.storage.retention import DAY_S, Retention


def dies(_: int) -> bool:
    raise KeyboardInterrupt


class Task:
    """One task's runs, each in its folder; the newest alone is kept whatever its age."""

    def __init__(self, account: VendorHarness) -> None:
        self.account = account

    def day(self, number: int, emails: list[str], **options) -> dict:
        environment = self.account.environment(f"dag/task/day-{number}/0", **options)
        return self.account.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"), environment=environment)

    def killed(self, number: int, emails: list[str], monkeypatch) -> None:
        """A run that is killed while its job runs gives nothing back."""
        with monkeypatch.context() as patched:
            patched.setattr(Lease, "release", lambda lease: lease._done.set())
            with pytest.raises(KeyboardInterrupt):
                self.day(number, emails, pause=dies)
        self.account.sim.clock.advance(TTL_S + SKEW_S + 1)

    def prune(self) -> set[str]:
        """Remove what is old a hundred days later; the runs that are left."""
        root, later = as_storage_path(self.account.home), self.account.sim.clock.now() + 100 * DAY_S
        task = self.account.home / "runs" / "dag" / "task"
        for run in list(Retention(root, later, 30).old(as_storage_path(task))):
            retention.remove_run(run)
        return {path.name for path in task.iterdir()}

    @property
    def audience_state(self) -> AudienceState:
        target = self.account.call(self.account.vendor.resolve_audience(self.account.endpoint, self.account.audience))
        return AudienceState.of(Ledger.of(self.account.home, self.account.name, target).path)


@pytest.fixture
def task(sim, tmp_path, monkeypatch):
    """Four people were put there on the first day."""
    monkeypatch.setattr(retention, "KEPT_RUNS", 1)
    made = Task(VendorHarness(sim, "dotdigital", tmp_path / "home", batch_rows=2))
    made.day(1, people(4))
    return made


def test_a_retry_goes_on_although_all_that_is_old_was_removed(task, monkeypatch):
    """The folder of the run that was killed stays: its batches are not sent again."""
    task.killed(2, people(6), monkeypatch)
    assert task.prune() == {"day-1", "day-2"}
    sent = len(task.account.upserts())
    assert task.day(2, people(6))["counts"]["delivered"] == 6
    assert len(task.account.upserts()) == sent
    assert task.prune() == {"day-2"}
    assert task.day(3, people(6))["counts"]["delivered"] == 6


def test_the_next_run_finds_what_a_killed_run_has_sent(task, monkeypatch):
    """Also after a hundred days: people that the killed run added are removed when they leave."""
    task.killed(2, people(6), monkeypatch)
    task.prune()
    task.day(3, people(2))
    assert task.account.active() == set(people(2))


def test_a_superseded_run_stays_while_it_is_in_doubt_and_goes_then(task, monkeypatch):
    """It writes no report. Each newer run reads its journal, until it can have nothing under way any more."""
    task.killed(2, people(6), monkeypatch)
    task.day(3, people(4))
    [doubt] = task.audience_state.doubts
    assert doubt.folder.endswith("day-2/0/01")
    assert task.prune() == {"day-2", "day-3"}
    task.account.sim.clock.advance(doubts.MAX_DOUBT_S + 1)
    task.day(4, people(4))
    assert not task.audience_state.doubts
    assert task.prune() == {"day-4"}
    assert task.day(5, people(4))["counts"]["delivered"] == 4
    assert task.account.active() == set(people(4))


def test_an_undo_needs_no_run_folder(task):
    """It reads the ledger."""
    task.day(2, people(6))
    assert task.prune() == {"day-2"}
    shutil.rmtree(task.account.home / "runs")
    report = task.account.undo(export_name="tests.export")
    assert report["removals"]["removed"] == 2
    assert task.account.active() == set(people(4))
