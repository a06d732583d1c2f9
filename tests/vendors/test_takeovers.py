"""A run that is suspended while another takes its audience over sends nothing more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from vendors.harness import VendorHarness, people
from vendors.takeovers import RUNS_OUT_S, ledger_of

from airflow_provider_segexport.errors import SegexportError, Superseded
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger, numbers_of


@pytest.fixture
def account(sim, vendor, tmp_path):
    """An account in which five people were put on the first day, by several calls."""
    made = VendorHarness(sim, vendor, tmp_path, batch_rows=2, max_concurrency=1)
    made.day(1, people(5), first=dict.fromkeys(people(5), "First"))
    return made


class Suspended:
    """Run `then` once, at the first wait of a sender's that comes when a call was refused: the process is stopped."""

    def __init__(self, account: VendorHarness, then) -> None:
        self.account, self.then, self.happened = account, then, False

    def sleep(self, seconds: float) -> None:
        if not self.happened:
            self.happened = True
            self.then()
        self.account.sleep(seconds)


def refuse_next(account: VendorHarness) -> None:
    """The next batch is answered 503 with a time to wait."""
    method, path = account.row.upsert
    account.sim.faults(
        [
            {
                "vendor": account.name,
                "method": method,
                "path": path,
                "status": 503,
                "headers": {"Retry-After": "30"},
                "body": {},
                "count": 1,
            }
        ]
    )


def suspended_day_2(account: VendorHarness, then) -> Suspended:
    """Day 2 is suspended between two attempts of its first batch, and goes on after `then`."""
    refuse_next(account)
    nap = Suspended(account, then)
    sender = account.sender()
    sender._sleep = nap.sleep
    with pytest.raises(Superseded, match="taken over by dag/task/day-3/0"):
        account.day(
            2,
            people(6),
            first=dict.fromkeys(people(6), "Second"),
            environment=replace(account.environment("day-2", send=sender)),
        )
    assert nap.happened
    return nap


def test_a_run_that_was_suspended_between_two_attempts_sends_nothing_more(account: VendorHarness):
    """Its lease has run out, a newer mirror has taken over, sent its rows and removed two people."""
    sent = []

    def day_3():
        account.sim.clock.advance(RUNS_OUT_S)
        account.day(3, people(3), first=dict.fromkeys(people(3), "Third"))
        sent.append(len(account.sim.requests(vendor=account.name)))

    suspended_day_2(account, day_3)
    assert len(account.sim.requests(vendor=account.name)) == sent[0]
    assert account.active() == set(people(3))
    facts = ledger_of(account).facts()
    assert (facts["as_of"], facts["by"]) == ("2026-01-03T00:00:00Z", "dag/task/day-3/0")
    assert AudienceState.of(ledger_of(account).path).run == "dag/task/day-3/0"


def test_a_run_that_airflow_has_marked_failed_stops_at_its_next_call(account: VendorHarness):
    """The newer run does not wait for the lease to run out, but for the last call that may still be under way."""
    slept = []

    def day_3():
        before = account.sim.clock.now()
        options = {"is_task_running": lambda owner: owner != "dag/task/day-2/0"}
        account.day(3, people(3), environment=account.environment("day-3", **options))
        slept.append(account.sim.clock.now() - before)

    suspended_day_2(account, day_3)
    assert slept[0] >= account.vendor.limits.timeout_s
    assert account.active() == set(people(3))


def test_the_retry_of_a_superseded_run_is_older_than_the_ledger(account: VendorHarness):
    """It is skipped; nothing of it goes out, and the newer run's ledger stays."""

    def day_3():
        account.sim.clock.advance(RUNS_OUT_S)
        account.day(3, people(3))

    suspended_day_2(account, day_3)
    version = ledger_of(account).version()
    with pytest.raises(Exception, match="newer"):
        account.day(2, people(6), first=dict.fromkeys(people(6), "Second"))
    assert account.active() == set(people(3))
    assert ledger_of(account).version() == version


def test_a_commit_that_was_suspended_after_its_check_moves_no_head(account: VendorHarness, monkeypatch):
    """Suspended between the check and the write: the version appears, and is none."""
    day_3_ran = []
    plain = Ledger._check_next

    def suspended(ledger, version):
        plain(ledger, version)
        if not day_3_ran:
            day_3_ran.append(True)
            account.sim.clock.advance(RUNS_OUT_S)
            account.day(3, people(3))

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_check_next", suspended)
        with pytest.raises(Superseded):
            account.day(2, people(6))
    assert day_3_ran
    assert ledger_of(account).facts()["as_of"] == "2026-01-03T00:00:00Z"
    assert account.active() == set(people(3))


def test_a_late_version_is_none_before_the_newer_run_has_written_one(account: VendorHarness, monkeypatch):
    """The newer run fails before it commits: the head is still the version that it took over."""
    account.day(2, people(5))
    ledger = ledger_of(account)
    head, facts = ledger.version(), ledger.facts()
    before = max(numbers_of(path.name) for path in ledger.path.glob("*.parquet"))
    newer = replace(ledger, fence=type("Fence", (), {"number": before[1] + 2, "mark": "b", "check": lambda _: None})())
    older = replace(ledger, fence=type("Fence", (), {"number": before[1] + 1, "mark": "a", "check": lambda _: None})())
    monkeypatch.setattr(type(older), "_check_next", lambda *_: newer.seal())
    older.commit([], head, {"as_of": "late"})
    assert (ledger.version(), ledger.facts()) == (head, facts)
    monkeypatch.undo()
    assert newer.commit([], head, {"as_of": "newer"}) == head + 1
    assert ledger.facts()["as_of"] == "newer"


def test_a_state_that_is_written_late_is_never_read(account: VendorHarness):
    """The audience's state carries the token in its name, and the highest counts."""
    ledger = ledger_of(account)
    late = AudienceState.of(ledger.path)
    account.day(2, people(4))
    late.write(ledger.path)
    (ledger.path / "audience_state-00000001.json").write_text((ledger.path / "audience_state.json").read_text())
    assert AudienceState.of(ledger.path).run == "dag/task/day-2/0"


class Turn:
    """Waits under the account's quota; in the meantime another run takes the audience over."""

    def __init__(self, then) -> None:
        self.then, self.calls = then, 0

    def __call__(self, request) -> float:
        if "import" in request.url and not self.calls:
            self.calls += 1
            self.then()
        return 0.0

    def record_response(self, request, response) -> None:
        """It learns nothing."""

    def remaining(self) -> None:
        """The outcome is unknown."""

    def close(self) -> None:
        """Nothing is open."""


def sent_late(account: VendorHarness, how: str) -> int:
    """Batches of day 2 that reach the vendor after day 3 has taken over: while it waits for its turn, or to retry."""
    sent = []

    def day_3():
        account.sim.clock.advance(RUNS_OUT_S)
        account.day(3, people(3), first=dict.fromkeys(people(3), "Third"))
        sent.append(len(account.upserts()))

    sender = account.sender()
    if how == "paced":
        sender._rate_limiter = Turn(day_3)
    else:
        refuse_next(account)
        sender._sleep = Suspended(account, day_3).sleep
    with suppress(SegexportError):
        account.day(2, people(6), environment=account.environment("day-2", send=sender))
    return len(account.upserts()) - sent[0]


@pytest.fixture
def one_account(sim, tmp_path):
    """An account of one vendor, with people of a first day."""
    made = VendorHarness(sim, "campaign_monitor", tmp_path, batch_rows=2, max_concurrency=1)
    made.day(1, people(5), first=dict.fromkeys(people(5), "First"))
    return made


@pytest.mark.parametrize("how", ["paced", "retried"])
def test_the_check_comes_after_every_wait(one_account, how):
    """For the account's quota, and between two attempts of a call."""
    assert sent_late(one_account, how) == 0


@pytest.mark.parametrize("how", ["paced", "retried"])
def test_a_check_that_comes_once_before_all_waits_is_caught(one_account, monkeypatch, how):
    """A planted fault: a call is checked before it waits for its turn, and its attempts are not."""

    def send(job, request):
        job.fence.check()
        return job.environment.http(request)

    monkeypatch.setattr(ExportContext, "send", send)
    assert sent_late(one_account, how) > 0
