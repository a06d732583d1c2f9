"""The power fails at any step of a run: the next try and the next run keep the promises."""

from __future__ import annotations

import os
import random
from contextlib import suppress

import pytest
from power_loss import Disk, PowerCut
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.vendors.registry import VENDORS

FIRST, THEN = people(5), people(3)
SAMPLES = int(os.environ.get("SEGEXPORT_POWER_SAMPLES", "2"))
"""Cuts for each case: few in `make test`, more in `make chaos`. Calls run side by side, so cuts vary."""
ACCOUNTS = sorted(VENDORS) if "SEGEXPORT_POWER_SAMPLES" in os.environ else ["campaign_monitor", "dotdigital"]


def day(account: VendorHarness, number: int, emails: list[str]) -> None:
    account.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"))


def cut(account: VendorHarness, monkeypatch: pytest.MonkeyPatch, step: int) -> Disk:
    """Day 2 of an audience, with new values for three people and two who have left, up to a step."""
    day(account, 1, FIRST)
    disk = Disk(account.home, step)
    with monkeypatch.context() as patch:
        disk.watch(patch)
        with suppress(PowerCut):
            day(account, 2, THEN)
    account.sim.clock.advance(3600)
    return disk


@pytest.fixture
def account(sim, tmp_path, request):
    (tmp_path / "home").mkdir()
    return VendorHarness(sim, request.param, tmp_path / "home", batch_rows=2)


@pytest.mark.parametrize("left", ["lost", "empty", "torn"])
@pytest.mark.parametrize("part", range(SAMPLES))
@pytest.mark.parametrize("retried", [True, False], ids=["next-try", "next-run"])
@pytest.mark.parametrize("account", ACCOUNTS, indirect=True)
def test_the_promises_hold_after_a_loss_of_power(account, monkeypatch, left, part, retried):
    """Unsynced files are lost, empty or torn; the right people with the newest values are in the audience."""
    steps_of_a_run = 80
    step = random.Random(f"{account.name} {left} {retried} {part}").randrange(steps_of_a_run) + 1
    disk = cut(account, monkeypatch, step)
    if not disk.off:
        disk.close()
        pytest.skip(f"the run has fewer than {step} steps")
    disk.restore(left)
    if retried:
        day(account, 2, THEN)
    day(account, 3, THEN[:2])
    assert account.active() == set(THEN[:2])
    assert {email for email, ledger_row in account.ledger().items() if ledger_row["state"] == "member"} == set(THEN[:2])
    assert "Day 3" in str(account.members())
    assert "Day 1" not in str({email: account.members()[email] for email in THEN[:2]})


@pytest.mark.parametrize("left", ["empty", "torn"])
def test_a_new_file_has_nothing_of_a_removed_one(tmp_path, monkeypatch, left):
    """A file system gives the inode of a removed file to the next one; the disk does not mix up their contents."""
    disk = Disk(tmp_path, cut=3)
    old, new = tmp_path / "old", tmp_path / "new"
    with monkeypatch.context() as patch, suppress(PowerCut):
        disk.watch(patch)
        old.write_bytes(b"synced")
        with old.open("rb") as file:
            os.fsync(file.fileno())
        old.unlink()
        new.write_bytes(b"{}")
        old.mkdir()
    assert disk.off
    disk.restore(left)
    assert new.read_bytes() == {"empty": b"", "torn": b"{"}[left]
