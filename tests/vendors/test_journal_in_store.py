"""The state in object storage: a worker is killed, or its store fails, at any write of the journal."""

from __future__ import annotations

from contextlib import suppress

import pytest
from upath import UPath
from vendors.harness import people
from vendors.store_account import StoreAccount

from airflow_provider_segexport.storage import group_commit
from airflow_provider_segexport.storage.journal import Journal, State
from airflow_provider_segexport.storage.paths import write
from airflow_provider_segexport.storage.run_folder import RunFolder

ACCOUNTS = ["campaign_monitor", "constant_contact", "dotdigital", "omnisend"]
FIRST, THEN = people(5), people(9)[2:]
"""Seven people in four batches on day 2; two have left."""


@pytest.fixture
def account(request, sim, tmp_path):
    root = UPath(f"memory://state-{abs(hash(request.node.name))}")
    yield StoreAccount(sim, request.param, tmp_path, root)
    if root.exists():
        root.fs.rm(root.path, recursive=True)


@pytest.mark.parametrize("account", ACCOUNTS, indirect=True)
def test_every_call_that_leaves_has_a_stored_intent(account, monkeypatch):
    """Another process that reads the journal when a call leaves finds its intent."""
    sync, checked = Journal.sync, []

    def sync_and_read(self: Journal, batch: str = "") -> None:
        sync(self, batch)
        if batch:
            checked.append(batch)
            assert Journal(self._path).states()[batch].state is State.SENDING

    monkeypatch.setattr(Journal, "sync", sync_and_read)
    account.export_day(1, FIRST)
    account.export_day(2, THEN)
    assert len(checked) >= 3 + 4
    for part in (RunFolder.latest(account.root / "runs/day-2"),):
        assert part is not None
        assert {entry.state for entry in part.journal.states().values()} == {State.SETTLED}
        part.journal.check()


@pytest.mark.parametrize(
    ("at", "stores", "retried"),
    [(at, at % 2 == 1, at % 4 < 2) for at in range(8)],
    ids=lambda value: str(value).lower(),
)
@pytest.mark.parametrize("account", ACCOUNTS, indirect=True)
def test_a_journal_that_fails_at_any_write(account, monkeypatch, at, stores, retried):
    """From write `at` on, the store fails; with `stores` it has taken the object, and only the response is lost.

    The right people are in the audience later, whether the next try of the run comes first (`retried`) or the next run.
    """
    account.export_day(1, FIRST)
    writes = 0

    def fail(path, content):
        nonlocal writes
        fails, writes = writes >= at, writes + 1
        if not fails or stores:
            write(path, content)
        if fails:
            raise OSError(5, "503")

    with monkeypatch.context() as failing:
        failing.setattr(group_commit, "write", fail)
        with suppress(OSError):
            account.export_day(2, THEN)
    account.sim.clock.advance(3600)
    if retried:
        account.export_day(2, THEN)
        assert account.active() == set(THEN)
    account.export_day(3, THEN[:4])
    assert account.active() == set(THEN[:4])
    assert {email for email, ledger_row in account.ledger().items() if ledger_row["state"] == "member"} == set(THEN[:4])
    assert "Day 1" not in str({email: account.members()[email] for email in THEN[:4]})
