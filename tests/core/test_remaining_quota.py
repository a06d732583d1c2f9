"""A 429 or a header with the remaining quota holds back every task of the account."""

from __future__ import annotations

import pytest
from core.rate_limits import NOW, READ, TAG, answer

from airflow_provider_segexport.model import Rate, RemainingQuota, Request
from airflow_provider_segexport.vendors.registry import VENDORS


def test_a_429_holds_back_every_task_of_the_account(account):
    """Another program has used the account: no task calls again before the vendor's time."""
    fake_account = account(Rate(1000, 60))
    first, other = fake_account.task(), fake_account.task()
    first(READ)
    first.record_response(READ, answer(429, retry_after=20))
    assert fake_account.leave(other) == [20]
    assert fake_account.leave(first, calls=3) == [20, 20, 20]


def test_of_two_refusals_the_later_time_counts(account):
    """A shorter time that comes after a longer one, from a call that was on its way, does not shorten the wait."""
    fake_account = account(Rate(1000, 60))
    task = fake_account.task()
    for after in (30, 300, 20):
        task.record_response(READ, answer(429, retry_after=after))
    assert fake_account.leave(task) == [300]


def test_a_429_without_a_time_is_the_senders_to_judge(account):
    """There is nothing to keep in the book."""
    fake_account = account(Rate(1000, 60))
    task = fake_account.task()
    task.record_response(READ, answer(429))
    task.record_response(READ, answer(503, retry_after=30))
    assert fake_account.leave(task) == [0]


def test_a_429_of_a_narrow_pool_leaves_the_others_open(account):
    """Calls for tags wait; reads do not."""
    fake_account = account(Rate(1000, 60), tags=Rate(60, 60))
    task = fake_account.task()
    task.record_response(TAG, answer(429, retry_after=20))
    assert fake_account.leave(task, READ) == [0]
    assert fake_account.leave(task, TAG) == [20]


def test_what_the_vendor_says_is_left_counts_down(account):
    """No rate is published: the header is all there is, and others use the account as well."""
    fake_account = account(connections=1)
    task = fake_account.task()
    task(READ)
    task.record_response(READ, answer(x_left=3, x_until=NOW + 40))
    assert fake_account.leave(task, calls=3) == [0, 0, 0]
    task.record_response(READ, answer(x_left=5, x_until=NOW + 40))
    assert fake_account.leave(task) == [40]


def test_a_smaller_number_than_ours_is_believed(account):
    """Another system took what was left."""
    fake_account = account()
    task = fake_account.task()
    task(READ)
    task.record_response(READ, answer(x_left=50, x_until=NOW + 40))
    task(READ)
    task.record_response(READ, answer(x_left=1, x_until=NOW + 40))
    assert fake_account.leave(task, calls=2) == [0, 40]


def test_calls_on_their_way_are_not_forgotten_at_the_beginning_of_a_window(account):
    """The first answer of a window does not count what left before it arrived."""
    fake_account = account(connections=4)
    task = fake_account.task()
    fake_account.leave(task, calls=4)
    task.record_response(READ, answer(x_left=5, x_until=NOW + 40))
    for left in (4, 3, 2):
        task.record_response(READ, answer(x_left=left, x_until=NOW + 40))
    assert fake_account.leave(task, calls=3) == [0, 0, 40]


def test_the_pool_that_an_answer_names_is_learned(account):
    """Dotdigital names the tier of a call only in its response; ids in the address do not make another call of it."""
    fake_account = account()
    task = fake_account.task()
    jobs = [Request("GET", f"https://plain.test/import/{number:08x}-aaaa") for number in range(3)]
    task(jobs[0])
    task.record_response(jobs[0], answer(x_left=0, x_until=NOW + 40, x_scope="low"))
    assert fake_account.leave(task, READ) == [0]
    assert fake_account.leave(task, jobs[1]) == [40]


@pytest.mark.parametrize("name", [name for name, vendor in VENDORS.items() if vendor.remaining_quota])
def test_a_vendor_reads_what_is_left_only_where_it_is_said(name):
    """An answer without such headers, or with a word in them, says nothing."""
    assert None is VENDORS[name].remaining_quota(answer(), NOW)
    assert None is VENDORS[name].remaining_quota(answer(x_ratelimit_remaining="many", x_ratelimit_reset="soon"), NOW)


def test_dotdigital_tells_tier_and_epoch():
    """`X-RateLimit-Reset` is a time there."""
    headers = {"x_ratelimit_remaining": 34, "x_ratelimit_reset": int(NOW) + 30, "x_ratelimit_scope": "lowCallRate"}
    assert RemainingQuota(34, NOW + 30, "lowCallRate") == VENDORS["dotdigital"].remaining_quota(answer(**headers), NOW)


def test_what_is_left_of_the_day_is_known_before_the_first_call(account):
    """Calls of today count, yesterday's do not; where no window starts over, the remaining calls are unknown."""
    fake_account = account(Rate(100, 86_400, fixed_window=True))
    task = fake_account.task()
    assert 97 == task.remaining()
    fake_account.leave(task, calls=10)
    assert 87 == fake_account.task().remaining()
    fake_account.now = NOW + 86_400 + 60
    assert 97 == task.remaining()


def test_the_remaining_quota_is_the_vendor_s_figure(filed):
    """Less what went out since; no longer than it holds."""
    fake_account = filed(Rate(1000, 60))
    task = fake_account.task()
    assert None is task.remaining()
    fake_account.leave(task)
    task.record_response(READ, answer(x_left=5, x_until=NOW + 3600))
    assert 5 == task.remaining()
    fake_account.now += 7200
    assert None is task.remaining()
