"""How long a worker waits between two looks at the vendor's jobs."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.hooks.runner import JobPollPolicy
from airflow_provider_segexport.ratelimit.limiter import next_poll_s


@pytest.fixture
def slept():
    return []


def test_first_looks_come_soon_and_later_ones_at_the_interval(slept):
    """A small job is done within seconds; a large one is not polled more often than configured."""
    poll_policy = JobPollPolicy(interval_s=10, sleep=slept.append)
    assert [True] * 12 == [poll_policy(1) for _ in range(12)]
    assert [0.5, 0.75, 1.125] == slept[:3]
    assert [10] * 3 == slept[-3:]


def test_a_look_that_had_to_wait_for_quota_is_not_repeated_soon(slept):
    """Five times as long is left to those who have something to send, a minute at most."""
    waited = [0.0]
    poll_policy = JobPollPolicy(interval_s=5, sleep=slept.append, vendor_wait_s=lambda: waited[0])
    poll_policy(1)
    for seconds in (4.0, 0.0, 40.0):
        waited[0] += seconds
        poll_policy(1)
    assert [0.5, 20.0, 1.125, 60.0] == slept


@pytest.mark.parametrize(
    ("interval", "waited", "expected"), [(10, 0, 10), (10, 1, 10), (10, 3, 15), (10, 30, 60), (90, 30, 90)]
)
def test_the_next_look(interval, waited, expected):
    """Never sooner than the interval."""
    assert expected == next_poll_s(interval, waited)


def test_when_jobs_have_ended_the_next_look_comes_soon_again():
    """A look is a call a job at most; more calls than that mean that others have taken their place."""
    slept, calls = [], iter([20, 40, 60, 100, 120])
    poll_policy = JobPollPolicy(interval_s=30, sleep=slept.append, calls_made=lambda: next(calls))
    for _ in range(5):
        poll_policy(20)
    assert [0.5, 0.75, 1.125, 0.5, 0.75] == slept


def test_what_batches_have_waited_for_the_quota_does_not_put_off_a_look():
    """Only looks that wait for quota come further apart."""
    slept, calls, waited = [], iter([40, 100]), iter([90.0, 90.0, 180.0, 180.0])
    poll_policy = JobPollPolicy(
        interval_s=30, sleep=slept.append, calls_made=lambda: next(calls), vendor_wait_s=lambda: next(waited)
    )
    for _ in range(2):
        poll_policy(20)
    assert [0.5, 0.5] == slept
