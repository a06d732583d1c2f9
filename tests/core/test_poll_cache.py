"""A response that a poll has read is not read again by the collecting that follows it."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.export.poll_cache import PollResponseCache
from airflow_provider_segexport.model import Request, Response


@pytest.fixture
def sent():
    return []


@pytest.fixture
def recent(sent):
    def send(request):
        sent.append(request)
        return Response(200, {}, str(len(sent)).encode())

    return PollResponseCache(send)


REPORT = Request("GET", "https://plain.test/jobs/1", {"full": "yes"})


def test_an_answer_is_given_once(recent, sent):
    """After that the vendor is asked, for it may have more to tell."""
    polled = recent.poll(REPORT)
    assert recent.collect(REPORT) == polled
    assert recent.collect(REPORT) != polled
    assert sent == [REPORT, REPORT]


@pytest.mark.parametrize(
    "other",
    [
        Request("GET", "https://plain.test/jobs/2", {"full": "yes"}),
        Request("GET", "https://plain.test/jobs/1"),
        Request("POST", "https://plain.test/jobs/1", {"full": "yes"}),
    ],
)
def test_another_request_goes_out(recent, sent, other):
    """Another job, another question of it, and whatever is no read."""
    recent.poll(REPORT)
    recent.collect(other)
    assert sent == [REPORT, other]


def test_the_next_poll_forgets(recent, sent):
    """A response that the last poll read and no collect used is old by then."""
    recent.poll(REPORT)
    recent.clear()
    recent.collect(REPORT)
    assert sent == [REPORT, REPORT]


def test_what_a_list_holds_is_not_asked_for(sent):
    """A list of jobs includes what each job's own address returns; jobs that are not in it are fetched."""
    listed = Request("GET", "https://plain.test/jobs")

    def send(request):
        sent.append(request)
        return Response(200, {}, b"")

    response = Response(200, {}, b"one")
    recent = PollResponseCache(send, lambda _: {"https://plain.test/jobs/1": response})
    recent.poll(listed)
    first, second = (Request("GET", f"https://plain.test/jobs/{number}") for number in (1, 2))
    assert recent.collect(first) is response
    recent.collect(second)
    assert sent == [listed, second]
