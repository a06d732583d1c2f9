"""How many calls are out at a time: by how long the next answer is waited for."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from airflow_provider_segexport.http import concurrency
from airflow_provider_segexport.http.concurrency import FAST_RESPONSES_TO_SHRINK, AdaptiveConcurrency


def answered(found: AdaptiveConcurrency) -> Future[str]:
    """A call that is back already."""
    call = found.submit(Future[str]())
    call.set_result("answer")
    return call


def test_a_lane_opens_where_an_answer_is_waited_for():
    """One more at a time, up to what the vendor bears; then the answer itself is waited for."""
    found = AdaptiveConcurrency()
    for number in (2, 3):
        assert [] == list(found.completed(3))
        assert number == found.limit
    call = found.submit(Future[str]())
    timer = threading.Timer(3 * concurrency.SLOW_RESPONSE_S, call.set_result, ["answer"])
    timer.start()
    assert [call] == list(found.completed(3))
    assert 3 == found.limit


def test_a_lane_closes_where_answers_are_always_there():
    """One only after many in a row, and the last one stays."""
    found = AdaptiveConcurrency(limit=2)
    for _ in range(2 * FAST_RESPONSES_TO_SHRINK - 1):
        assert [answered(found)] == list(found.completed(4))
        assert 2 == found.limit
    for _ in range(10 * FAST_RESPONSES_TO_SHRINK):
        assert [answered(found)] == list(found.completed(4))
        assert 1 == found.limit


def test_one_wait_among_quick_answers_counts_from_the_beginning():
    """With four calls out that take equally long, three of four answers are there when the first one is."""
    found = AdaptiveConcurrency(limit=2)
    for _ in range(4):
        for _ in range(2 * FAST_RESPONSES_TO_SHRINK - 1):
            list(found.completed(2) if answered(found) else ())
        assert 2 == found.limit
        timer = threading.Timer(3 * concurrency.SLOW_RESPONSE_S, answered, [found])
        timer.start()
        assert 1 == len(list(found.completed(2)))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_that_are_back_come_together_and_in_order(count):
    """The first is waited for; the others are there."""
    found = AdaptiveConcurrency()
    calls = [answered(found) for _ in range(count)]
    assert calls == list(found.completed(4))
