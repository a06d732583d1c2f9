"""Constant Contact: three kinds of 429."""

from __future__ import annotations

import json

import pytest
from vendors.constant_contact import Lists
from vendors.harness import people

from airflow_provider_segexport.errors import JobSlotsFull, RateLimited, VendorUnavailable
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import Response
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.operations import run_operation

REFUSAL = constant_contact.VENDOR.retry_hint


NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def busy(body, **headers):
    return REFUSAL(Response(429, headers, json.dumps(body).encode(), "https://api.cc.email/v3/contacts"), NOON)


class TestThreeKindsOfBusy:
    """One status: too fast, the day is used up, too many activities are queued."""

    def test_too_fast(self):
        """Four calls a second: a second later they are accepted, and no header says so."""
        error = busy({"error_key": "throttled", "error_message": "Too Many Requests"})
        assert (RateLimited, 1.0) == (type(error), error.retry_after_s)

    @pytest.mark.parametrize(("header", "wait_s"), [("30", 30.0), ("0", 1.0), ("soon", 1.0)])
    def test_too_fast_with_a_header_that_is_not_documented(self, header, wait_s):
        """A gateway may say how long to wait."""
        assert busy({"error_key": "throttled"}, **{"retry-after": header}).retry_after_s == wait_s

    @pytest.mark.parametrize(
        "body",
        [
            {"error_key": "quota_exceeded", "error_message": "Limit Exceeded"},
            {"error_key": "quota_exceeded"},
            {"error_key": "", "error_message": "Limit Exceeded"},
            [{"error_key": "quota_exceeded", "error_message": "Limit Exceeded"}],
        ],
    )
    def test_the_day_is_used_up(self, body):
        """Until midnight UTC, whatever the machine's own zone, and it is said in words."""
        error = busy(body)
        assert (RateLimited, 12 * 3600 + 1) == (type(error), error.retry_after_s)
        assert "has used its 10,000 daily calls at Constant Contact; the quota resets at midnight UTC" in str(error)

    @pytest.mark.parametrize(("now", "left"), [(NOON - 12 * 3600, 86_401), (NOON + 12 * 3600 - 1, 2)])
    def test_the_first_and_the_last_second_of_a_day(self, now, left):
        """A second past midnight, so that no clock is behind the vendor's."""
        assert left == constant_contact.responses.seconds_to_midnight(now)

    def test_the_queue_is_full(self):
        """A thousand activities of the account: a slot, not a time, is waited for."""
        message = "You exceeded 1,000 queued activities for this user account."
        error = busy([{"error_key": "contacts.api.queued", "error_message": message}])
        assert JobSlotsFull is type(error)
        assert error.retry_after_s is None

    @pytest.mark.parametrize("status", [500, 502, 503, 408])
    def test_the_vendor_is_down(self, status):
        """The same call may do better."""
        assert isinstance(REFUSAL(Response(status, {}, b"[]", "u"), NOON), VendorUnavailable)

    def test_what_is_no_later(self):
        """A refusal for what was sent is none of these."""
        assert None is REFUSAL(Response(400, {}, b"[]", "u"), NOON)

    def test_calls_that_come_too_fast_all_arrive(self, lists):
        """The simulator counts four a second, and only our waiting moves its clock."""
        lists.set(calls_per_second=4)
        lists = Lists(lists.sim, lists.home, batch_rows=2)
        lists.set(calls_per_second=4)
        assert 20 == lists.export(lists.segment({"email": people(20)}))["counts"]["delivered"]
        assert 429 in [call["status"] for call in lists.calls()]

    def test_a_queue_that_others_have_filled(self, lists):
        """Imports wait for our own activities to end, and none is lost."""
        lists = Lists(lists.sim, lists.home, batch_rows=2, max_jobs=10)
        lists.set(max_queued_activities=2)
        assert 12 == lists.export(lists.segment({"email": people(12)}))["counts"]["delivered"]
        assert 429 in [call["status"] for call in lists.upserts()]

    def test_the_day_ends_before_anything_is_planned(self, lists):
        """Even the check costs calls: the next try begins at the beginning."""
        segment = lists.segment({"email": people(3)})
        lists.act("spend", calls=10_000)
        with pytest.raises(RateLimited) as caught:
            lists.export(segment)
        assert 86_400 == caught.value.retry_after_s  # a wait is bounded to a day
        assert not list(lists.home.glob("runs/*/*/plan.json"))
        lists.sim.clock.advance(caught.value.retry_after_s)
        lists.described = {**lists.described, "credentials": lists.act("authorize")}
        assert 3 == lists.export(segment)["counts"]["delivered"]

    def test_the_day_ends_between_two_batches(self, lists):
        """Settled rows stay so; the rest goes out after midnight."""
        lists = Lists(lists.sim, lists.home, batch_rows=2, max_concurrency=1)
        segment = lists.segment({"email": people(6)})
        lists.act("spend", calls=10_000 - 6)
        with pytest.raises(RateLimited):
            lists.export(segment)
        sent = [call["status"] for call in lists.upserts()]
        lists.sim.clock.advance(86_401)
        lists.described = {**lists.described, "credentials": lists.act("authorize")}
        assert 6 == lists.export(segment)["counts"]["delivered"]
        assert 3 == [call["status"] for call in lists.upserts()].count(201)
        assert 0 < sent.count(201) < 3

    def test_it_is_not_sat_out(self, lists):
        """The worker leaves at once: it does not sleep until midnight, nor ask in vain."""
        lists.act("spend", calls=10_000)
        with pytest.raises(RateLimited):
            lists.export(lists.segment({"email": people(3)}))
        assert [] == lists.slept
        assert 1 == len(lists.calls())


def test_patience_ends(lists):
    """A vendor that never lets a call through is given up after some tries."""
    lists.sim.faults([{"vendor": lists.name, "status": 429, "body": {"error_key": "throttled"}, "count": 0}])
    sender = lists.sender(patience=RetryLimits(attempts=3))
    with pytest.raises(RateLimited, match="more than 4 calls a second"):
        run_operation(lists.vendor.resolve_audience(lists.endpoint, None), sender)
    assert 3 == len(lists.calls())
