"""The one place where a call is tried again: how often, after which wait, and under which budget."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import formatdate
from unittest.mock import Mock, call

import pytest
from core.factories import PLAIN
from core.sender_harness import NOW, OK, PERSON, URL, SenderHarness
from requests import exceptions as foreign

from airflow_provider_segexport.errors import JobSlotsFull, RateLimited, VendorUnavailable
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import Request
from airflow_provider_segexport.vendors.registry import VENDORS


def test_a_call_that_fails_is_tried_again():
    """Down, timed out, cut off: waits grow, with jitter, and the traffic is counted."""
    harness = SenderHarness(
        [{"status_code": 503}, {"exc": foreign.ReadTimeout}, {"exc": foreign.ChunkedEncodingError}, OK]
    )
    assert harness.send(Request("POST", URL, body=b"12345")).json() == {"fine": True}
    assert len(harness.slept) == 3
    assert all(0 <= waited <= 2**number for number, waited in enumerate(harness.slept))
    traffic = harness.send.traffic
    assert (traffic.calls, traffic.bytes_sent, traffic.retries, traffic.wait_s) == (4, 20, 3, sum(harness.slept))


class BreaksOff(io.BytesIO):
    """A body whose connection is reset in its midst."""

    def read(self, *_):
        raise ConnectionResetError


def test_an_answer_that_breaks_off_in_its_body():
    """The head had come: the call is tried again all the same."""
    harness = SenderHarness([{"body": BreaksOff()}, OK])
    assert harness.send(PERSON).json() == {"fine": True}
    assert len(harness.calls) == 2


def test_a_vendor_that_stays_down():
    """After the last try its error is raised."""
    harness = SenderHarness([{"status_code": 502}], retry_limits=RetryLimits(attempts=3))
    with pytest.raises(VendorUnavailable, match="answered 502"):
        harness.send(PERSON)
    assert (len(harness.calls), len(harness.slept)) == (3, 2)


def test_a_vendor_that_is_down_is_left_alone_soon():
    """All calls of a task have one budget of tries again: after twenty in a row, none is tried twice."""
    harness = SenderHarness([{"status_code": 503}])
    for _ in range(4):
        with pytest.raises(VendorUnavailable, match=r"answered 503\.$"):
            harness.send(PERSON)
    assert 24 == len(harness.calls)
    with pytest.raises(VendorUnavailable, match=r"answered 503\. The retry budget of this task is exhausted"):
        harness.send(PERSON)
    assert 25 == len(harness.calls)


def test_threads_share_the_budget_of_tries():
    """Eight threads at a vendor that is down make twenty tries again together, not forty."""
    harness = SenderHarness([{"status_code": 503}])

    def work(_):
        with pytest.raises(VendorUnavailable):
            harness.send(PERSON)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert 8 + 20 == len(harness.calls)


def test_a_vendor_that_stumbles_is_borne_with():
    """A try that brought an answer is given back, and calls that succeed at once pay for others."""
    harness = SenderHarness([answer for _ in range(50) for answer in ({"status_code": 503}, OK)])
    for _ in range(50):
        harness.send(PERSON)
    harness = SenderHarness([*[{"status_code": 503}] * 24, *[OK] * 20, {"status_code": 503}])
    for _ in range(4):
        with pytest.raises(VendorUnavailable):
            harness.send(PERSON)
    for _ in range(20):
        harness.send(PERSON)
    with pytest.raises(VendorUnavailable, match="retry budget"):
        harness.send(PERSON)
    assert 24 + 20 + 1 + 4 == len(harness.calls)


def test_a_wait_that_the_vendor_asks_for_costs_nothing():
    """It is not down: it says when to come again, and is obeyed."""
    harness = SenderHarness(
        [answer for _ in range(30) for answer in (*[{"status_code": 429, "headers": {"Retry-After": "1"}}] * 2, OK)]
    )
    for _ in range(30):
        harness.send(PERSON)
    assert 90 == len(harness.calls)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 501])
def test_answers_that_the_vendor_reads_itself(status):
    """They come back as they are, at once."""
    harness = SenderHarness([{"status_code": status, "json": {"Code": 1}}])
    assert harness.send(PERSON).status == status
    assert len(harness.calls) == 1


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("2", 2.0),
        ("0", 0.0),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status, header, waited):
    """In seconds or as a date, to the second and without jitter."""
    harness = SenderHarness([{"status_code": status, "headers": {"Retry-After": header}}, OK])
    harness.send(PERSON)
    assert harness.slept == [waited]


@pytest.mark.parametrize("header", ["soon", "-1", "nan", "inf", "", "Thu, 99 Foo 2026"])
def test_a_header_that_makes_no_sense_is_as_none(header):
    """The wait is jitter then."""
    harness = SenderHarness([{"status_code": 429, "headers": {"Retry-After": header, "X-RateLimit-Reset": header}}, OK])
    harness.send(PERSON)
    (waited,) = harness.slept
    assert 0 <= waited <= 1


@pytest.mark.parametrize(("vendor", "header"), [("campaign_monitor", "25"), ("dotdigital", str(int(NOW) + 25))])
def test_both_readings_of_the_reset_header(vendor, header):
    """One name, two meanings: seconds to wait at Campaign Monitor, an epoch time at dotdigital."""
    answers = [{"status_code": 429, "headers": {"X-RateLimit-Reset": header}, "json": {}}, OK]
    harness = SenderHarness(answers, VENDORS[vendor])
    harness.send(PERSON)
    assert harness.slept == [25.0]


def test_a_reset_that_is_past_waits_a_moment():
    """A clock a little ahead of the vendor's makes no hot loop."""
    answers = [{"status_code": 429, "headers": {"X-RateLimit-Reset": str(int(NOW) - 5)}, "json": {}}, OK]
    harness = SenderHarness(answers, VENDORS["dotdigital"])
    harness.send(PERSON)
    assert harness.slept == [1.0]


def test_a_long_wait_is_the_caller_s_to_decide():
    """The worker does not sit through an hour: the error says how long."""
    harness = SenderHarness([{"status_code": 429, "headers": {"Retry-After": "3600"}}])
    with pytest.raises(RateLimited) as caught:
        harness.send(PERSON)
    assert (caught.value.retry_after_s, harness.slept, len(harness.calls)) == (3600.0, [], 1)


def test_full_job_slots_are_not_waited_for_here(caplog):
    """Only a job that ends makes room, and the loop above knows of those. A header about calls is not meant."""
    vendor = replace(PLAIN, retry_hint=lambda *_: JobSlotsFull("25 run already"))
    harness = SenderHarness([{"status_code": 429, "headers": {"X-RateLimit-Reset": "60"}}], vendor)
    with pytest.raises(JobSlotsFull):
        harness.send(PERSON)
    assert (harness.slept, caplog.messages) == ([], [])


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "<!DOCTYPE html><h1>Maintenance</h1>", "headers": {"Content-Type": "text/html"}},
        {"text": '{"FailureDetails":[{"Email', "headers": {"Content-Type": "application/json; charset=utf-8"}},
    ],
)
def test_a_success_that_no_vendor_wrote_is_tried_again(answer):
    """A maintenance page with 200, or JSON cut in two: the same call may do better."""
    assert SenderHarness([answer, OK]).send(PERSON).json() == {"fine": True}
    with pytest.raises(VendorUnavailable, match="not a complete response") as caught:
        SenderHarness([answer], retry_limits=RetryLimits(attempts=2)).send(PERSON)
    assert "Email" not in str(caught.value)


def test_every_try_is_paced():
    """A try again counts against the quota like a first one."""
    pace = Mock(return_value=0.5)
    harness = SenderHarness([{"status_code": 503}, OK], rate_limiter=pace)
    harness.send(PERSON)
    harness.send.close()
    assert [call(PERSON), call(PERSON)] == pace.call_args_list
    assert [503, 200] == [call.args[1].status for call in pace.record_response.call_args_list]
    assert 1.0 <= harness.send.traffic.wait_s
    pace.close.assert_called_once()
