"""Rate limits hold although the clocks of the machines differ or jump: the store's time counts."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from core.factories import PLAIN
from core.skewed_clocks import DAY, HOUR, LONGEST_WAIT_S, NAME, NOW, READ, WINDOW_S, FakeVendor
from quota_stores import STORES, quota_store

from airflow_provider_segexport.model import Rate, Response
from airflow_provider_segexport.ratelimit.backends import open_store
from airflow_provider_segexport.ratelimit.clocks import this_machine
from airflow_provider_segexport.ratelimit.limiter import RateLimiter
from airflow_provider_segexport.ratelimit.store import ACCOUNT_SCOPE, QuotaCall


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return quota_store(request.param, tmp_path / "quotas")


@pytest.fixture
def fake_vendor(store: str) -> Iterator[FakeVendor]:
    made = FakeVendor(store, Rate(4, WINDOW_S))
    yield made
    made.close()


@pytest.fixture
def filed(tmp_path: Path) -> FakeVendor:
    return FakeVendor(str(tmp_path), Rate(4, WINDOW_S))


@pytest.mark.parametrize("skew", [HOUR, -HOUR, 1.9 * HOUR])
def test_machines_whose_clocks_differ_share_a_window(fake_vendor: FakeVendor, skew: float):
    """Together they send what one would, and none of them waits longer than the window."""
    right, wrong = fake_vendor.worker(), fake_vendor.worker(skew)
    waits = [worker.call() for worker in [right, wrong] * 8]
    assert fake_vendor.busiest(WINDOW_S) == 4
    assert max(waits) <= LONGEST_WAIT_S
    assert sum(waits) <= 3 * LONGEST_WAIT_S


@pytest.mark.parametrize("skew", [HOUR, -HOUR, DAY, -DAY])
def test_a_clock_that_jumps_while_a_task_runs(fake_vendor: FakeVendor, skew: float):
    """No call is forgotten, and no worker waits for the time that the clock has skipped."""
    jumping, other = fake_vendor.worker(), fake_vendor.worker()
    jumping.call(), other.call()
    jumping.skew = skew
    waits = [worker.call() for worker in [jumping, other] * 4]
    jumping.skew = 0
    waits += [worker.call() for worker in [jumping, other] * 4]
    assert fake_vendor.busiest(WINDOW_S) == 4
    assert max(waits) <= LONGEST_WAIT_S


@pytest.mark.parametrize("skew", [HOUR, DAY])
def test_a_machine_with_another_clock_that_goes_away_delays_no_worker(fake_vendor: FakeVendor, skew: float):
    """The time that it brought with it passes for the others as fast as before."""
    right, wrong = fake_vendor.worker(), fake_vendor.worker(skew)
    for worker in (right, wrong, wrong, wrong):
        worker.call()
    waits = [right.call() for _ in range(4)]
    assert max(waits) <= LONGEST_WAIT_S
    assert skew > HOUR or waits == [pytest.approx(LONGEST_WAIT_S, abs=0.1), 0, 0, 0]
    right.open()  # another process of the same machine
    assert right.call() <= LONGEST_WAIT_S


def test_a_task_that_comes_again_for_each_try_makes_progress(filed: FakeVendor):
    """A deferred task is another process each time. Time passes for it, also on a new machine."""
    worker = filed.worker()
    for _ in range(4):
        worker.call()
    worker.restart_machine()
    assert worker.try_call() > 0
    for _ in range(6):
        filed.now += WINDOW_S / 5
        worker.open()
        wait_s = worker.try_call()
    assert wait_s == 0


@pytest.mark.parametrize("pause", [10.0, HOUR, 3 * HOUR, 30 * DAY])
def test_a_machine_that_starts_again(filed: FakeVendor, pause: float):
    """Shortly after the last call it counts that as just made; after hours the file's calls are of the past."""
    worker = filed.worker()
    for _ in range(4):
        worker.call()
    filed.now += pause
    worker.restart_machine()
    waited_s = worker.call()
    assert waited_s <= LONGEST_WAIT_S
    assert pause < 2 * HOUR or waited_s == 0
    assert filed.busiest(WINDOW_S) == 4


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_calls_jumps_and_restarts(fake_vendor: FakeVendor, seed: int):
    """No window of the vendor's time holds more than the limit, and calls go on."""
    dice = random.Random(seed)
    workers = [fake_vendor.worker(dice.choice([-HOUR, -1.0, 0.0, HOUR])) for _ in range(2)]
    last = fake_vendor.now
    for _ in range(150):
        worker = dice.choice(workers)
        match dice.choices(["call", "pass", "jump", "process", "restart", "join"], [60, 30, 4, 4, 1, 1])[0]:
            case "call":
                if worker.try_call() == 0:
                    last = fake_vendor.now
            case "pass":
                fake_vendor.now += dice.choice([0.01, 1.0, 7.0, 30.0, 61.0])
            case "jump":
                worker.skew = dice.choice([-HOUR, 0.0, HOUR])
            case "process":
                worker.open()
            case "restart":
                worker.restart_machine()
            case "join" if len(workers) < 4:
                workers.append(fake_vendor.worker(dice.choice([-HOUR, 0.0, HOUR])))
    assert fake_vendor.busiest(WINDOW_S) <= 4
    for worker in workers:
        assert worker.call() <= LONGEST_WAIT_S
    assert fake_vendor.now - last < 40 * WINDOW_S
    assert len(fake_vendor.sent) > 20


def test_a_day_is_the_same_for_all(store: str):
    """A limit of the day is shared by machines an hour apart, and a clock that jumps by a day makes no new day."""
    fake_vendor = FakeVendor(store, Rate(100, DAY, fixed_window=True))
    right, wrong = fake_vendor.worker(), fake_vendor.worker(HOUR)
    for _ in range(48):
        assert (right.call(), wrong.call()) == (0, 0)
    right.call()
    right.skew = DAY
    assert right.try_call() > 0
    assert wrong.try_call() > 0
    right.skew = 0
    fake_vendor.now = NOW + DAY
    assert (right.try_call(), wrong.try_call()) == (0, 0)
    fake_vendor.close()


def test_a_clock_of_another_year_stops_no_other_worker_s_day(tmp_path: Path):
    """Its calls count for its own day."""
    fake_vendor = FakeVendor(str(tmp_path), Rate(100, DAY, fixed_window=True))
    right, wrong = fake_vendor.worker(), fake_vendor.worker(400 * DAY)
    for worker in (right, wrong) * 3:
        assert worker.call() == 0
    for day in range(2):
        fake_vendor.now = NOW + day * DAY
        assert right.call() == 0
    fake_vendor.close()


def test_a_clock_that_was_corrected_counts_after_a_day(filed: FakeVendor):
    """A machine's wall clock is read again once a day, for limits that restart at midnight."""
    fake_vendor = FakeVendor(filed.store, Rate(2, DAY, fixed_window=True))
    worker = fake_vendor.worker(-6 * HOUR)
    worker.call()
    worker.skew = 0
    fake_vendor.now = NOW + 13 * HOUR  # 01:00, by the wrong clock 19:00 of the day before
    assert worker.try_call() > 0
    fake_vendor.now += 12 * HOUR
    assert worker.call() == 0
    fake_vendor.close()


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY])
def test_a_jump_while_a_call_is_on_its_way_is_no_latency(fake_vendor: FakeVendor, jump: float):
    """The call stays counted: it is not moved into a future in which it is swept away."""
    vendor = replace(PLAIN, limits=fake_vendor.limits)
    worker = fake_vendor.worker()

    def sleep(seconds: float) -> None:
        fake_vendor.now += seconds

    limiter = RateLimiter(
        vendor,
        worker.store,
        max_wait_s=1e9,
        sleep=sleep,
        clock=worker.wall,
        raise_if_stopped=lambda: None,
        uptime=worker.uptime,
    )
    for _ in range(9):
        limiter(READ)
        fake_vendor.sent.append(fake_vendor.now)
        worker.skew = jump - worker.skew
        limiter.record_response(READ, Response(200, {}, b"{}", READ.url))
    assert fake_vendor.busiest(WINDOW_S) == 4
    assert fake_vendor.now - NOW <= 3 * LONGEST_WAIT_S


def test_this_machine():
    """All processes of this machine have the same id and uptime, and the uptime does not fall back."""
    machine = this_machine()
    assert machine.id
    assert machine is this_machine()
    times = [machine.uptime() for _ in range(100)]
    assert all(first <= second for first, second in pairwise(times))


def test_a_file_of_an_earlier_version(filed: FakeVendor):
    """It has no clocks yet; its calls count."""
    early = open_store(filed.store, NAME, filed.limits)
    for number in range(4):
        assert early.acquire(QuotaCall(f"early-{number}", (ACCOUNT_SCOPE,), filed.now)) == 0
        filed.sent.append(filed.now)
    early.close()
    with sqlite3.connect(Path(filed.store) / f"{NAME}.sqlite") as connection:
        connection.execute("drop table clocks")
    worker = filed.worker()
    assert worker.call() == pytest.approx(LONGEST_WAIT_S, abs=0.1)
