"""A backfill leaves quota to the scheduled runs of its account."""

from __future__ import annotations

import pytest
from core.rate_limits import NOW, READ, answer

from airflow_provider_segexport.errors import RateLimited
from airflow_provider_segexport.model import Rate


def test_a_backfill_gives_way_while_a_scheduled_run_is_at_work(account):
    """It goes on as long as less than half of the window is used, and has all of it when the other is silent again."""
    fake_account = account(Rate(10, 60))
    scheduled, backfill = fake_account.task(), fake_account.task(backfill=True, longest_s=5)
    assert [0] == fake_account.leave(scheduled)
    assert [0] * 4 == fake_account.leave(backfill, calls=4)
    with pytest.raises(RateLimited):
        backfill(READ)
    assert [0] * 5 == fake_account.leave(scheduled, calls=5)
    fake_account.now += 130
    assert [130] * 10 == fake_account.leave(backfill, calls=10)


def test_a_scheduled_run_that_waits_is_at_work(account):
    """A backfill that came first does not fill the next window before it."""
    fake_account = account(Rate(10, 60))
    scheduled, backfill = fake_account.task(longest_s=1), fake_account.task(backfill=True)
    assert [0] * 10 == fake_account.leave(backfill, calls=10)
    for _ in range(2):
        fake_account.now += 25
        with pytest.raises(RateLimited):
            scheduled(READ)
    fake_account.now += 12
    assert [62] * 5 == fake_account.leave(backfill, calls=5)
    assert [62] * 5 == fake_account.leave(scheduled, calls=5)


def test_a_backfill_leaves_a_part_of_the_day_to_the_others(account):
    """A run that comes later in the day finds calls left."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    scheduled, backfill = fake_account.task(longest_s=1), fake_account.task(longest_s=1, backfill=True)
    assert [0] * 77 == fake_account.leave(backfill, calls=77)
    with pytest.raises(RateLimited, match="A backfill leaves a part of it to scheduled runs"):
        backfill(READ)
    assert [0] * 20 == fake_account.leave(scheduled, calls=20)
    with pytest.raises(RateLimited):
        scheduled(READ)


def test_a_backfill_leaves_a_part_of_what_the_vendor_says_is_left(account):
    """No rate is published: half of the vendor's first remaining quota is for the scheduled run."""
    fake_account = account()
    scheduled, backfill = fake_account.task(), fake_account.task(backfill=True)
    scheduled(READ)
    scheduled.record_response(READ, answer(x_left=10, x_until=NOW + 40))
    assert [0] * 5 == fake_account.leave(backfill, calls=5)
    assert [0] * 5 == fake_account.leave(scheduled, calls=5)
    assert [40] == fake_account.leave(backfill)
