"""A journal that is lost is damage, not a run that has sent nothing: on a disk and in object storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upath import UPath
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export import repair
from airflow_provider_segexport.fencing import Unfenced
from airflow_provider_segexport.storage.audience_state import AudienceState, Doubt, fencing_token_of
from airflow_provider_segexport.storage.history import ledger_paths
from airflow_provider_segexport.storage.journal import Entry, Journal, State
from airflow_provider_segexport.storage.paths import list_names, local_path
from airflow_provider_segexport.storage.run_folder import RunFolder

DAY_2 = people(8)[2:]
"""Three batches of upserts; two people leave, each in a batch of removals."""

SETTLED = {"none": 0, "some": 1, "all": 2}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    from s3 import s3_server  # noqa: PLC0415 - tests on a disk do not wait for it

    with s3_server() as server:
        yield f"http://127.0.0.1:{server.port}"


class Account(VendorHarness):
    """An account whose runs and ledgers are below `root`, on a disk or in object storage."""

    def __init__(self, sim, vendor: str, home: Path, root: Any, resolve: Callable[[str], Any]) -> None:
        super().__init__(sim, vendor, home, batch_rows=2, max_concurrency=1)
        removal = self.vendor.removal
        limits = replace(removal.limits, batch_rows=1, max_concurrency=1)
        self.vendor = replace(self.vendor, removal=replace(removal, limits=limits))
        self.root, self.resolve = root, resolve

    def environment(self, run: str = "run", **options: Any):
        made = super().environment(run, **options)
        folder = RunFolder.open(self.root / "runs" / run)
        return replace(made, run_folder=folder, state_root=self.root, resolve=self.resolve)

    def export_day(self, number: int, emails: list[str]) -> dict[str, Any]:
        return self.day(number, emails, first=dict.fromkeys(emails, f"Day {number}"))

    def sent(self) -> list[tuple[str, str]]:
        """All calls but those that only read."""
        calls = self.sim.requests(vendor=self.name)
        return [(str(call["method"]), str(call["path"])) for call in calls if call["method"] != "GET"]

    def repair(self) -> list[repair.Diagnosis]:
        options = {"clock": self.sim.clock.now, "sleep": self.sleep}
        return [repair.repair(path, self.resolve, **options) for path in ledger_paths(self.root)]


@pytest.fixture(params=["dotdigital", "omnisend", "s3"])
def account(request, sim, tmp_path) -> Account:
    """An account in which five people were put on the first day."""
    if request.param == "s3":
        from s3 import KEYS, new_bucket  # noqa: PLC0415 - as above

        endpoint, bucket = request.getfixturevalue("endpoint"), f"b{abs(hash(request.node.name))}"
        new_bucket(endpoint, bucket)
        options = {**KEYS, "client_kwargs": {"endpoint_url": endpoint}, "skip_instance_cache": True}

        def resolve(text: str):
            return UPath(text, **options) if text.startswith("s3://") else local_path(text)

        made = Account(sim, "dotdigital", tmp_path, resolve(f"s3://{bucket}/state"), resolve)
    else:
        made = Account(sim, request.param, tmp_path, tmp_path, local_path)
    made.export_day(1, people(5))
    return made


def kill_day_2(account: Account, monkeypatch: pytest.MonkeyPatch, part: str, settled: int) -> RunFolder:
    """Kill day 2 when so many batches of a part have a result, before the next is sent; return its folder."""
    write, count = Journal.write, 0

    def write_or_die(self: Journal, entries: list[Entry]) -> None:
        nonlocal count
        is_part = all(entry.is_removal == (part == "removals") for entry in entries)
        if is_part and count >= settled and any(entry.state is State.SENDING for entry in entries):
            raise KeyboardInterrupt
        write(self, entries)
        count += sum(is_part and entry.state is State.SETTLED for entry in entries)
        if settled and count >= settled:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "write", write_or_die)
        patched.setattr(Journal, "write_intents", write_or_die)  # of a group in object storage
        with pytest.raises(KeyboardInterrupt):
            account.export_day(2, DAY_2)
    account.sim.clock.advance(3600)
    folder = RunFolder.latest(account.root / "runs/day-2")
    assert folder is not None
    return folder


def journal_files(folder: RunFolder) -> list[Any]:
    return [folder.path / name for name in list_names(folder.path) if name.startswith("journal")]


CASES = [
    (account, part, settled, again)
    for account in ("dotdigital", "omnisend", "s3")
    for part in ("upserts", "removals")
    for settled in SETTLED
    for again in (2, 3)
    if account != "s3" or (settled, again) in {("none", 2), ("some", 3)}
]
"""Vendor or store, part whose journal is lost, batches before the kill, and whether the retry or the next run is first
after the repair. An export to the S3 server takes seconds, so fewer cases run there."""


@pytest.mark.parametrize(("account", "part", "settled", "again"), CASES, indirect=["account"])
def test_a_lost_journal_sends_nothing_until_the_repair(account, monkeypatch, part, settled, again):
    """Retry and next run name it. After the repair the right people are members with new values, and only they."""
    folder = kill_day_2(account, monkeypatch, part, SETTLED[settled] + (part == "upserts" and settled == "all"))
    lost = folder if part == "upserts" else folder.removals
    for path in journal_files(lost):
        path.unlink()
    sent = account.sent()
    for number in (2, 3):
        with pytest.raises(DamagedState, match=r"journal.*airflow segexport repair") as caught:
            account.export_day(number, DAY_2)
        assert str(lost.path) in str(caught.value)
        assert account.audience in str(caught.value)
    assert account.sent() == sent
    [diagnosis] = account.repair()
    assert (diagnosis.run, diagnosis.rows_known) == (str(folder.path), True)
    assert "journal" in diagnosis.why
    emails = DAY_2 if again == 2 else people(7)[4:]
    report = account.export_day(again, emails)
    assert report["counts"]["delivered"] == len(emails)
    assert account.active() == set(emails)
    assert {f"Day {again}" in str(account.members()[email]) for email in emails} == {True}


@pytest.mark.parametrize("account", ["dotdigital", "omnisend", "s3"], indirect=True)
@pytest.mark.parametrize("settled", [0, 2])
def test_plan_and_journal_that_are_both_lost(account, monkeypatch, settled):
    """The audience's state names the run and says that its plan was frozen: it is no run that was killed early."""
    folder = kill_day_2(account, monkeypatch, "upserts", settled)
    for path in [*journal_files(folder), *journal_files(folder.removals), folder.path / "plan.json"]:
        path.unlink()
    sent = account.sent()
    for number in (2, 3):
        with pytest.raises(DamagedState, match=r"plan\.json.*airflow segexport repair"):
            account.export_day(number, DAY_2)
    assert account.sent() == sent
    [diagnosis] = account.repair()
    assert diagnosis.run == str(folder.path)
    assert "plan.json" in diagnosis.why
    account.export_day(3, DAY_2)
    assert set(DAY_2) <= account.active()
    assert not account.repair()[0].damaged


@pytest.mark.parametrize("account", ["dotdigital"], indirect=True)
def test_the_lost_journal_of_a_superseded_run(account, monkeypatch):
    """The audience state names it as in doubt: the next run stops until the repair, and then sends all of its rows."""
    folder = kill_day_2(account, monkeypatch, "upserts", 2)
    [path] = ledger_paths(account.root)
    state = AudienceState.read(path)
    doubt = Doubt(str(folder.path), state.writer_token, account.sim.clock.now())
    newest = max(fencing_token_of(name) or 0 for name in list_names(path))
    replace(state, open_run_folder="", doubts=(doubt,)).write(path, Unfenced(newest))
    for file in journal_files(folder):
        file.unlink()
    with pytest.raises(DamagedState, match=r"journal.*airflow segexport repair"):
        account.export_day(3, DAY_2)
    [diagnosis] = account.repair()
    assert [name for name, _ in diagnosis.doubts] == [str(folder.path)]
    account.export_day(3, people(5))
    assert account.active() == set(people(5))
    assert not AudienceState.read(path).doubts
    assert not account.repair()[0].damaged


@pytest.mark.parametrize("account", ["dotdigital", "omnisend"], indirect=True)
@pytest.mark.parametrize("number", [2, 3], ids=["retry", "next run"])
def test_a_kill_before_the_plan_is_there_is_harmless(account, monkeypatch, number):
    """The journals are there, the plan is not: the retry and the next run plan as if nothing had happened."""
    with monkeypatch.context() as patched:
        patched.setattr("airflow_provider_segexport.storage.run_folder.write_json", stop)
        with pytest.raises(KeyboardInterrupt):
            account.export_day(2, DAY_2)
    folder = RunFolder.latest(account.root / "runs/day-2")
    assert folder is not None
    assert journal_files(folder)
    assert journal_files(folder.removals)
    assert not folder.has_plan()
    account.export_day(number, DAY_2)
    assert account.active() == set(DAY_2)


def stop(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
