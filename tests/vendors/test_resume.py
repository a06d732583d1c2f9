"""A run that is killed and then run again; `tests/chaos` kills it everywhere."""

from __future__ import annotations

import json
import threading

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.storage.journal import Journal
from airflow_provider_segexport.vendors.registry import VENDORS

ROWS, BATCH, CONNECTIONS = 8, 3, 2


class Killed(BaseException):
    """The process is gone."""


class KillSwitch:
    """Lets so many steps pass; from then on nothing that the process would do reaches the world."""

    def __init__(self, steps: float) -> None:
        self.left = steps
        self.taken = 0
        self.lock = threading.Lock()

    def step(self) -> None:
        with self.lock:
            self.taken += 1
            self.left -= 1
            if self.left < 0:
                raise Killed


class KillingSender:
    """A sender that may be killed before a call leaves and after its answer came."""

    def __init__(self, send, kill_switch):
        self.send = send
        self.kill_switch = kill_switch
        self.traffic = send.traffic

    def __call__(self, request):
        self.kill_switch.step()
        response = self.send(request)
        self.kill_switch.step()
        return response

    def close(self):
        self.send.close()


@pytest.fixture
def killed_after(monkeypatch):
    """Run an export that is killed after some steps; return how many it took, and whether it survived."""

    def go(account, segment, steps):
        kill_switch = KillSwitch(steps)
        write = Journal.write

        def killing_write(self, entries):
            kill_switch.step()
            write(self, entries)
            kill_switch.step()

        sender = account.sender()
        environment = account.environment(send=KillingSender(sender, kill_switch))
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "write", killing_write)
            try:
                report = Export(account.vendor, account.endpoint, account.config(segment), environment).run()
            except Killed:
                return kill_switch.taken, False
            finally:
                sender.close()
        assert not isinstance(report, PendingJobs)
        return kill_switch.taken, True

    return go


def small(sim, vendor, home):
    jobs = min(2, VENDORS[vendor].limits.max_jobs)
    return VendorHarness(sim, vendor, home, batch_rows=BATCH, max_concurrency=CONNECTIONS, max_jobs=jobs)


def test_a_run_killed_again_and_again_comes_to_its_end(sim, vendor, tmp_path, killed_after):
    """A few steps at a time are enough: each try does a little more."""
    account = small(sim, vendor, tmp_path)
    segment = account.segment({"email": people(ROWS)})
    tries = 0
    while not killed_after(account, segment, 12)[1]:
        tries += 1
        assert tries < 30
    assert tries
    assert sorted(account.members()) == sorted(people(ROWS))


def test_a_killed_run_keeps_its_plan(sim, vendor, tmp_path, killed_after):
    """The plan is carried out, whatever has become of the segment's file since."""
    account = small(sim, vendor, tmp_path)
    segment = account.segment({"email": people(ROWS)})
    steps = 0
    while not (account.home / "runs" / "run" / "01" / "plan.json").exists():
        steps += 1
        killed_after(account, segment, steps)
    account.segment({"email": ["somebody@example.com"]})
    report = account.export(segment)
    assert report["counts"]["profiles"] == ROWS
    assert "somebody@example.com" not in account.members()


def test_a_run_that_ended_starts_anew(sim, vendor, tmp_path):
    """Cleared after success, a task exports again, in a folder of its own."""
    account = small(sim, vendor, tmp_path)
    segment = account.segment({"email": people(3)})
    for generation in ("01", "02"):
        assert account.export(segment)["run_folder"].endswith(generation)


def test_only_changes_are_sent(sim, vendor, tmp_path):
    """Rows that the ledger holds unchanged are not sent again; new and changed ones are."""
    account = small(sim, vendor, tmp_path)
    first = {"email": people(4), "first": ["Ann", "Bob", "Cid", "Dee"]}
    account.export(account.segment(first), "one", field_mapping={"first_name": "first"}, mode="upsert")
    later = {"email": people(5), "first": ["Ann", "Bob", "Zoe", "Dee", "Eve"]}
    report = account.export(account.segment(later), "two", field_mapping={"first_name": "first"}, mode="upsert")
    assert (report["counts"]["delivered"], report["counts"]["unchanged"]) == (2, 3)
    bodies = json.dumps([call["body"] for call in account.upserts()[2:]])
    assert [address for address in people(5) if f'"{address}"' in bodies] == ["p2@example.com", "p4@example.com"]
