"""Calls stay under an account's quotas: of one pool, of several, over processes, whatever a call's latency."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests
import requests_mock
from core.rate_limits import LONGER, NOW, READ, TAG, answer
from pyrate_limiter.utils import enforce_rate_list

from airflow_provider_segexport.errors import RateLimited, SegexportError
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.model import Rate
from airflow_provider_segexport.ratelimit.backends import account_key
from airflow_provider_segexport.ratelimit.windows import Priority, sliding_rates


def test_calls_go_out_at_once_while_there_is_room_and_then_wait_for_the_window(account):
    """No window of the vendor's length ever holds more than it takes, with three per cent to spare."""
    fake_account = account(Rate(3, 60))
    times = fake_account.leave(fake_account.task(), calls=8)
    assert times[:3] == [0, 0, 0]
    assert times[3:6] == [pytest.approx(60 * LONGER, abs=0.01)] * 3
    assert times[6:] == [pytest.approx(120 * LONGER, abs=0.01)] * 2


def test_a_window_that_takes_many_calls_is_used_in_parts(account):
    """Other programs that use the account find room at any time, and no wait is longer than a quarter of it."""
    fake_account = account(Rate(400, 60))
    times = fake_account.leave(fake_account.task(longest_s=16), calls=1200)
    for at in range(800):
        assert times[at + 400] - times[at] >= 60
    assert [0, 15] == [round(times[99]), round(times[100])]
    assert times[-1] == pytest.approx(11 * 15 * LONGER, abs=0.1)


def test_the_more_calls_a_window_takes_the_more_parts_it_has(account):
    """A part holds a few hundred calls at most; over the whole window the quota is kept, and used."""
    fake_account = account(Rate(1201, 60))
    times = fake_account.leave(fake_account.task(longest_s=9), calls=1500)
    assert all(times[at + 1201] - times[at] >= 60 for at in range(299))
    assert times[-1] - times[0] <= 1.05 * 60 * 1499 / 1201
    assert [0, 7.7] == [round(times[at], 1) for at in (149, 150)]


def test_tasks_of_an_account_share_its_quota(account):
    """Another task on the machine finds the window as the first one left it."""
    fake_account = account(Rate(4, 60))
    first, other = fake_account.task(), fake_account.task()
    assert fake_account.leave(first, calls=3) == [0, 0, 0]
    assert fake_account.leave(other, calls=2) == [0, pytest.approx(60 * LONGER, abs=0.01)]


def test_accounts_do_not_share():
    """An account is identified by vendor, base URL and credential, and its mark shows none of them."""
    marks = {
        account_key("omnisend", "https://a.test", "key"),
        account_key("omnisend", "https://b.test", "key"),
        account_key("omnisend", "https://a.test", "other"),
        account_key("dotdigital", "https://a.test", "key"),
    }
    assert len(marks) == 4
    assert not any("key" in mark for mark in marks)


def test_a_request_counts_for_its_own_pool_and_for_everybodys(account):
    """A narrow pool that is full holds back its own calls only; a call that waits for it takes nothing elsewhere."""
    fake_account = account(Rate(10, 60), tags=Rate(2, 60))
    task = fake_account.task(longest_s=1)
    assert fake_account.leave(task, TAG, calls=2) == [0, 0]
    for _ in range(5):
        with pytest.raises(RateLimited):
            task(TAG)
    assert fake_account.leave(task, calls=8) == [0] * 8
    with pytest.raises(RateLimited):
        task(READ)


def test_a_pool_that_the_vendor_does_not_publish_is_everybodys(account):
    """A request may name a pool that has no limit of its own."""
    fake_account = account(Rate(1, 60))
    task = fake_account.task(longest_s=1)
    task(TAG)
    with pytest.raises(RateLimited):
        task(replace(TAG, rate_scope="other"))


def test_the_narrower_of_two_rates_holds(account):
    """Four a second and ten an hour: after ten, the hour counts."""
    fake_account = account(Rate(4, 1), Rate(10, 3600))
    times = fake_account.leave(fake_account.task(), calls=11)
    assert times[9] == pytest.approx(2 * LONGER, abs=0.01)
    assert times[10] == pytest.approx(3600 * LONGER, abs=0.01)


def test_a_quota_that_resets_at_midnight_is_whole_again_then(account):
    """A day's quota is that of the day in UTC, whenever in it the calls were made."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    fake_account.now = NOW + 80_000
    task = fake_account.task()
    times = fake_account.leave(task, calls=98)
    assert times[96] == 80_000
    assert times[97] == 86_400


def test_a_long_wait_is_the_callers_to_decide(account):
    """It may give its place back: the error says how long the wait is, until when, and of which vendor."""
    fake_account = account(Rate(1, 3600))
    task = fake_account.task(longest_s=60)
    task(READ)
    with pytest.raises(RateLimited, match=r"Plainmail.*2026-01-01 01:01:51 UTC") as raised:
        task(READ)
    assert raised.value.retry_after_s == pytest.approx(3600 * LONGER, abs=0.01)
    assert fake_account.now == NOW


def test_a_task_that_is_to_end_stops_waiting(account):
    """The gate is asked before each look, not only before the first."""
    looks = []

    def gate():
        looks.append(fake_account.now)
        if len(looks) == 3:
            raise SegexportError("told to end")

    fake_account = account(Rate(1, 60))
    task = fake_account.task(gate=gate)
    task(READ)
    with pytest.raises(SegexportError, match="told to end"):
        task(READ)
    assert len(looks) == 3


def test_the_seconds_waited_stand_in_the_traffic(account):
    """Waiting for quota is reported like any other waiting; a retry counts against the quota like a first call."""
    fake_account = account(Rate(2, 60))
    adapter = requests_mock.Adapter()
    adapter.register_uri("GET", READ.url, [{"status_code": 503}, {"json": {}}])

    def session():
        made = requests.Session()
        made.mount("https://", adapter)
        return made

    sender = Sender(
        session,
        fake_account.vendor,
        rate_limiter=fake_account.task(),
        sleep=lambda _: None,
        clock=lambda: fake_account.now,
    )
    for _ in range(2):
        sender(READ)
    sender.close()
    assert sender.traffic.calls == 3
    assert sender.traffic.wait_s >= 60 * LONGER
    assert fake_account.now - NOW == pytest.approx(60 * LONGER, abs=0.01)


def test_a_call_that_took_long_counts_from_when_it_may_have_arrived(account):
    """A proxy that holds a call back does not make two windows' calls arrive in one."""
    fake_account = account(Rate(1, 60))
    task = fake_account.task()
    task(READ)
    fake_account.now += 0.1
    task.record_response(READ, answer())
    slow = fake_account.leave(task)[0]
    fake_account.now += 20
    task.record_response(READ, None)
    assert fake_account.leave(task) == [pytest.approx(slow + 20 - 0.1 + 60 * (LONGER + 1) / 2, abs=0.01)]


def test_calls_that_all_take_alike_long_lose_nothing(account):
    """The latency of every call shifts them alike: a short window is used to its end."""
    fake_account = account(Rate(1, 1))
    task = fake_account.task()
    for _ in range(10):
        task(READ)
        fake_account.now += 0.3
        task.record_response(READ, answer())
    assert fake_account.now - NOW == pytest.approx(9 * LONGER + 0.3, abs=0.02)


def test_a_little_more_or_less_loses_nothing(account):
    """One call of a task takes some milliseconds more than another: half of what our windows are longer is for that."""
    fake_account = account(Rate(1, 1))
    task = fake_account.task()
    for more in (0, 0.014, 0.007, 0.012, 0.001) * 2:
        task(READ)
        fake_account.now += 0.3 + more
        task.record_response(READ, answer())
    assert fake_account.now - NOW == pytest.approx(9 * LONGER + 0.3, abs=0.02)


def test_a_day_that_resets_counts_calls_by_when_they_left(account):
    """How long they took makes no difference to it."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    task = fake_account.task()
    task(READ)
    fake_account.now += 3600
    task.record_response(READ, None)
    assert fake_account.leave(task, calls=96) == [3600] * 96


@pytest.mark.parametrize("rates", [((4, 1), (10, 3600)), ((3, 1), (50, 60)), ((1, 1), (2, 60)), ((400, 60), (7, 1))])
@pytest.mark.parametrize("rank", [Priority(), Priority(backfill=True), Priority(backfill=True, yielding=True)])
def test_counts_are_in_the_order_that_the_library_wants(rates, rank):
    """A longer window takes more calls at no higher rate, also where half was rounded; none more than published."""
    published = [Rate(calls, seconds) for calls, seconds in rates]
    counts = sliding_rates(published, rank)
    enforce_rate_list(counts)
    for rate in published:
        assert any(
            rate_of_window.limit / rate_of_window.interval <= rate.calls / rate.seconds / 1000
            for rate_of_window in counts
        )
