"""How many calls are out at a time: by how long the next answer is waited for."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from airflow_provider_segexport.http import concurrency
from airflow_provider_segexport.http.concurrency import FAST_RESPONSES_TO_SHRINK, AdaptiveConcurrency


def answered(concurrency_limit: AdaptiveConcurrency) -> Future[str]:
    """A call that is back already."""
    call = concurrency_limit.submit(Future[str]())
    call.set_result("answer")
    return call


def test_a_lane_opens_where_an_answer_is_waited_for():
    """One more at a time, up to what the vendor bears; then the answer itself is waited for."""
    concurrency_limit = AdaptiveConcurrency()
    for number in (2, 3):
        assert [] == list(concurrency_limit.completed(3))
        assert number == concurrency_limit.limit
    call = concurrency_limit.submit(Future[str]())
    timer = threading.Timer(3 * concurrency.SLOW_RESPONSE_S, call.set_result, ["answer"])
    timer.start()
    assert [call] == list(concurrency_limit.completed(3))
    assert 3 == concurrency_limit.limit


def test_a_lane_closes_where_answers_are_always_there():
    """One only after many in a row, and the last one stays."""
    concurrency_limit = AdaptiveConcurrency(limit=2)
    for _ in range(2 * FAST_RESPONSES_TO_SHRINK - 1):
        assert [answered(concurrency_limit)] == list(concurrency_limit.completed(4))
        assert 2 == concurrency_limit.limit
    for _ in range(10 * FAST_RESPONSES_TO_SHRINK):
        assert [answered(concurrency_limit)] == list(concurrency_limit.completed(4))
        assert 1 == concurrency_limit.limit


def test_one_wait_among_quick_answers_counts_from_the_beginning():
    """With four calls out that take equally long, three of four answers are there when the first one is."""
    concurrency_limit = AdaptiveConcurrency(limit=2)
    for _ in range(4):
        for _ in range(2 * FAST_RESPONSES_TO_SHRINK - 1):
            list(concurrency_limit.completed(2) if answered(concurrency_limit) else ())
        assert 2 == concurrency_limit.limit
        timer = threading.Timer(3 * concurrency.SLOW_RESPONSE_S, answered, [concurrency_limit])
        timer.start()
        assert 1 == len(list(concurrency_limit.completed(2)))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_that_are_back_come_together_and_in_order(count):
    """The first is waited for; the others are there."""
    concurrency_limit = AdaptiveConcurrency()
    calls = [answered(concurrency_limit) for _ in range(count)]
    assert calls == list(concurrency_limit.completed(4))
