"""An account's quota over several processes, wherever they count."""

from __future__ import annotations

import multiprocessing
import secrets
from dataclasses import dataclass

import pytest
from quota_stores import STORES, forget, quota_store
from vendors.shared_quota import ClockServer, Load, Timekeeper, run

from airflow_provider_segexport.simulator import ManualClock, Simulator

CALLS_A_MINUTE, PROCESSES, THREADS, CALLS_EACH = 40, 4, 2, 10


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return quota_store(request.param, tmp_path)


@dataclass
class Shared:
    """The calls that the vendor received, and the results of each process."""

    calls: list[dict]
    answers: dict[int, list[tuple[int, float]]]
    retries: int

    def ended(self, process: int) -> float:
        return max(at for _, at in self.answers[process])


@pytest.fixture
def share(store):
    """Lets processes share an account, to the end; a clock moves when they all sleep."""
    account = f"account-{secrets.token_hex(4)}"

    def together(*, backfills: int = 0, delay_s: float) -> Shared:
        clock = ManualClock()
        context = multiprocessing.get_context("spawn")
        reports = context.Queue()
        settings = {"omnisend": {"calls_per_minute": CALLS_A_MINUTE}}
        keeper = Timekeeper(clock, PROCESSES * THREADS)
        with Simulator(clock=clock, settings=settings) as sim, ClockServer(keeper) as office:
            described = sim.describe()["vendors"]["omnisend"]
            signs = f"Omnisend-API-Key {described['credentials']['api_key']}"
            tasks = [
                context.Process(
                    target=run,
                    args=(
                        Load(
                            office=office.address,
                            api=described["api_url"],
                            signs=signs,
                            store=store,
                            account=account,
                            calls_a_minute=CALLS_A_MINUTE,
                            threads=THREADS,
                            calls=CALLS_EACH,
                            delay_s=delay_s,
                            seed=number,
                            backfill=number < backfills,
                        ),
                        reports,
                    ),
                )
                for number in range(PROCESSES)
            ]
            for task in tasks:
                task.start()
            reported = [reports.get(timeout=120) for _ in tasks]
            for task in tasks:
                task.join(60)
            calls = sim.requests(vendor="omnisend")
        return Shared(
            calls, {number: answers for number, answers, _ in reported}, sum(retries for *_, retries in reported)
        )

    yield together
    forget(store, account)


def test_four_processes_share_one_accounts_quota(share):
    """None of them ever sees a 429 of its own making, though calls are under way for up to eight seconds each way."""
    shared = share(delay_s=8.0)
    assert [200] * PROCESSES * THREADS * CALLS_EACH == [call["status"] for call in shared.calls]
    assert 0 == shared.retries


@pytest.mark.parametrize("store", ["file"], indirect=True)
def test_together_they_use_the_quota_up(share):
    """Where calls arrive at once, no more than a twentieth of the time is lost."""
    shared = share(delay_s=0.1)
    calls = PROCESSES * THREADS * CALLS_EACH
    fastest = (calls // (CALLS_A_MINUTE // 4) - 1) * 15
    assert fastest <= shared.calls[-1]["time"] - shared.calls[0]["time"] <= fastest * 1.05


@pytest.mark.parametrize("store", ["file"], indirect=True)
def test_scheduled_runs_go_before_a_backfill(share):
    """The backfill has what they leave, and all of it once they are done."""
    shared = share(backfills=1, delay_s=0.1)
    assert [200] * PROCESSES * THREADS * CALLS_EACH == [call["status"] for call in shared.calls]
    scheduled = max(shared.ended(number) for number in (1, 2, 3))
    before = [at for _, at in shared.answers[0] if at <= scheduled]
    assert len(before) <= THREADS * CALLS_EACH // 2
    assert scheduled < shared.ended(0)
