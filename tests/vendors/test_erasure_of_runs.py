"""Erasures from the folders of runs that broke off, and of runs of long ago."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people
from vendors.test_old_runs import Task

from airflow_provider_segexport.errors import RetryableError, StaleSnapshot
from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.erase import ErasureDeps, erase
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.receipt import Receipt
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.storage.paths import local_path

GONE = people(6)[5]


@pytest.fixture
def task(sim, tmp_path):
    """Four people were put there on the first day."""
    made = Task(VendorHarness(sim, "dotdigital", tmp_path / "home", batch_rows=2))
    made.day(1, people(4))
    return made


def erased(account: VendorHarness) -> Receipt:
    """Erase the last person; the receipt."""

    def take_out(_: object, subject: Person) -> str:
        target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
        return VendorRemover(account.vendor, target, account.call, account.sleep).remove(subject.email)

    deps = ErasureDeps(local_path(str(account.home)), local_path, take_out, account.sim.clock.now, account.sleep)
    return erase(deps, Person.of(GONE), "a test")


def rows(account: VendorHarness) -> int:
    runs = files.run_folders(local_path(str(account.home / "runs")))
    return sum(files.count(table, Person.of(GONE)) for run in runs for table in files.tables(run.path))


def test_the_folder_of_a_killed_run_keeps_the_person_while_the_next_run_needs_it(task, monkeypatch):
    """The message names the folder, and does not advise to delete it."""
    task.killed(2, people(6), monkeypatch)
    receipt = erased(task.account)
    assert any("day-2/0/01: a run that is not finished. To fix: keep the folder" in left for left in receipt.left)
    task.day(3, people(4))
    [left] = erased(task.account).left
    assert "To fix: keep the folder" in left


def test_a_run_that_no_try_resumes_loses_the_person(task, monkeypatch):
    """Newer runs have written the audience. Its own next try discards the plan."""
    task.killed(2, people(6), monkeypatch)
    task.day(3, people(4))
    task.account.sim.clock.advance(doubts.MAX_DOUBT_S + 1)
    task.day(4, people(4))
    assert rows(task.account)
    receipt = erased(task.account)
    assert not receipt.left
    assert not rows(task.account)
    with pytest.raises((RetryableError, StaleSnapshot)):
        task.day(2, people(4))
    assert task.day(5, people(5))["counts"]["delivered"] == 5
    assert task.account.active() == set(people(5))
