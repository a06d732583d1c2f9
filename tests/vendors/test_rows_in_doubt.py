"""Rows that a superseded run may have sent late are sent again, until the doubt ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from vendors.harness import VendorHarness, people
from vendors.takeovers import RUNS_OUT_S, ledger_of
from vendors.test_verify import verify

from airflow_provider_segexport.errors import DamagedState, FatalError, Superseded
from airflow_provider_segexport.export import doubts, finish, repair
from airflow_provider_segexport.export.release import Release, look
from airflow_provider_segexport.fencing import Unfenced
from airflow_provider_segexport.storage.audience_state import AudienceState, Doubt, fencing_token_of
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.paths import listing, local_path
from airflow_provider_segexport.storage.run_folder import RunFolder


@pytest.fixture
def account(sim, vendor, tmp_path):
    """An account in which five people were put on the first day, by several calls."""
    made = VendorHarness(sim, vendor, tmp_path, batch_rows=2, max_concurrency=1)
    made.day(1, people(5), first=dict.fromkeys(people(5), "First"))
    return made


def is_upsert(account: VendorHarness, request) -> bool:
    method, path = account.row.upsert
    return request.method == method and str(request.url).endswith(path)


def journalled_late(account: VendorHarness, day_3):
    """Day 2 journals the answer to a call that was under way when day 3 had read its journal."""
    taken = []
    sender = account.sender()
    plain = sender._call

    def call(session, request):
        response = plain(session, request)
        if is_upsert(account, request) and not taken:
            taken.append(True)
            day_3()
        return response

    sender._call = call
    with pytest.raises(Superseded):
        account.day(
            2,
            people(6),
            first=dict.fromkeys(people(6), "Second"),
            environment=account.environment("day-2", send=sender),
        )


def test_rows_that_a_superseded_run_may_have_touched_are_sent_again(account: VendorHarness):
    """Its answer is journalled after day 3 has read the journal: the next run sends those rows again."""

    def day_3():
        account.sim.clock.advance(RUNS_OUT_S)
        account.day(3, people(5), first=dict.fromkeys(people(5), "Third"))

    journalled_late(account, day_3)
    state = AudienceState.of(ledger_of(account).path)
    assert state.doubts
    with pytest.raises(FatalError, match="has not confirmed its stop"):
        look(ledger_of(account).path, Release(state.owner))
    report = account.day(4, people(5), first=dict.fromkeys(people(5), "Third"))
    assert 2 <= report["counts"]["delivered"] <= 4  # a batch of two was under way, and perhaps a second one
    assert sum(report["counts"][name] for name in ("delivered", "unchanged")) == 5
    assert not AudienceState.of(ledger_of(account).path).doubts
    assert account.day(5, people(5), first=dict.fromkeys(people(5), "Third"))["counts"]["unchanged"] == 5


def test_people_that_a_superseded_run_may_have_added_again_are_removed_again(account: VendorHarness):
    """Day 3 has removed them; the call of day 2 may have landed after that."""

    def day_3():
        account.sim.clock.advance(RUNS_OUT_S)
        account.day(3, people(5)[3:], first=dict.fromkeys(people(5), "Third"))

    journalled_late(account, day_3)
    report = account.day(4, people(5)[3:], first=dict.fromkeys(people(5), "Third"))
    assert report["removals"]["planned"] >= 1
    assert account.active() == set(people(5)[3:])


def test_a_superseded_run_that_says_nothing_more_is_looked_at_for_a_day(account: VendorHarness, monkeypatch):
    """Killed: what it had under way is sent again once, and it is not looked at for ever."""

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    sender = account.sender()
    plain = sender._call
    sender._call = lambda session, request: killed() if is_upsert(account, request) else plain(session, request)
    monkeypatch.setattr(Lease, "release", lambda lease: lease._done.set())  # a killed process gives nothing back
    with pytest.raises(Killed):
        account.day(2, people(6), environment=account.environment("day-2", send=sender))
    monkeypatch.undo()
    account.sim.clock.advance(RUNS_OUT_S)
    account.day(3, people(5))
    assert len(AudienceState.of(ledger_of(account).path).doubts) == 1
    assert account.day(4, people(5))["counts"]["delivered"] > 0
    assert account.day(5, people(5))["counts"]["unchanged"] == 5
    assert len(AudienceState.of(ledger_of(account).path).doubts) == 1
    monkeypatch.setattr(doubts, "MAX_DOUBT_S", 60.0)  # a day later a login of Constant Contact has expired
    account.sim.clock.advance(61)
    account.day(6, people(5))
    assert not AudienceState.of(ledger_of(account).path).doubts


def test_a_finished_run_in_doubt_keeps_its_rows_until_the_doubt_ends(account: VendorHarness, monkeypatch):
    """An earlier process of it may still write its journal: the next run then needs the planned rows."""
    write_state, folder = finish._write_state, account.home / "runs" / "day-2" / "01"

    def doubted(context, ledger):
        doubt = Doubt(str(folder), "suspended", account.sim.clock.now())
        state = replace(write_state(context, ledger), doubts=(doubt,))
        state.write(ledger.path, ledger.fence)
        return state

    monkeypatch.setattr(finish, "_write_state", doubted)
    account.day(2, people(6))
    monkeypatch.undo()
    rows = folder / "upserts.arrow"
    assert rows.exists()
    journal = RunFolder(folder).journal
    journal.write([next(iter(journal.states().values()))])  # the response to an earlier call with the same rows
    report = account.day(3, people(6))
    assert 1 <= report["counts"]["delivered"] <= 2  # the batch whose entry is new; only its rows are in doubt
    assert AudienceState.of(ledger_of(account).path).doubts
    monkeypatch.setattr(doubts, "MAX_DOUBT_S", 0.0)
    assert account.day(4, people(6))["counts"]["unchanged"] == 6
    assert not AudienceState.of(ledger_of(account).path).doubts
    assert not rows.exists()


def test_a_run_in_doubt_whose_folder_is_gone_is_damage_until_a_repair(account: VendorHarness):
    """Its late rows would be lost silently; a verification and an export name the folder, and a repair ends it."""
    path, lost = ledger_of(account).path, account.home / "runs/day-0/01"
    doubt = Doubt(str(lost), "suspended", account.sim.clock.now())
    token = max(fencing_token_of(name) or 0 for name in listing(path))
    replace(AudienceState.of(path), doubts=(doubt,)).write(path, Unfenced(token))
    for run in (lambda: account.day(2, people(5)), lambda: verify(account)):
        with pytest.raises(DamagedState, match=rf"{lost} of audience .* it is gone"):
            run()
    repair.repair(path, local_path, clock=account.sim.clock.now, sleep=account.sleep)
    assert not AudienceState.of(path).doubts
    assert account.day(2, people(5))["finished"]
    assert verify(account)["match_rate"] == 1
