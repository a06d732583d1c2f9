"""Constant Contact: import activities, and how their counters and line numbers become results."""

from __future__ import annotations

import json

import pytest
from vendors.constant_contact import Lists
from vendors.harness import people
from wire.samples import batch_of

from airflow_provider_segexport.errors import BatchRejected, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.model import Audience, JobState, Reason, Response
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.operations import run_operation

VENDOR = constant_contact.VENDOR
TARGET = Audience("http://host/v3", "all", "Shop", "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "Customers")


def collected(status, errors=(), rows=3, state="completed"):
    """The result of a batch of some rows for this state of its activity."""
    status = {"error_count": 0, "cannot_add_to_list_count": 0, **status} if status else status
    activity = {"activity_id": "1", "state": state, "activity_errors": list(errors), "status": status}
    batch = batch_of(tuple(people(rows)), ("{}",) * rows)
    return run_operation(VENDOR.collect(TARGET, batch, "1"), lambda _: Response(200, {}, json.dumps(activity).encode()))


def singly(lists):
    """The reads of one activity."""
    return [call for call in lists.calls("GET") if "/activities/" in call["path"]]


class TestSize:
    """The vendor drops everything over 4,000,000 bytes or 40,000 rows silently."""

    def test_our_limits_lie_under_the_vendor_s(self):
        """A CSV's header would be one of the 40,000 lines; the bytes are those of the whole body."""
        assert VENDOR.limits.batch_rows < 40_000
        assert VENDOR.limits.batch_bytes < 4_000_000

    def test_batches_are_cut_by_bytes(self, sim, tmp_path):
        """No body is larger than it may be, and none is much smaller but the last."""
        lists = Lists(sim, tmp_path, batch_bytes=3_000)
        columns = {"email": people(100), "x": ["x" * 40] * 100}
        assert 100 == lists.export(lists.segment(columns), field_mapping={"first_name": "x"})["counts"]["delivered"]
        _, *sizes = sorted(call["bytes"] for call in lists.upserts())
        assert sizes[-1] < 3_000
        assert sizes[0] > 1_800  # a thousand are reserved for the JSON around the rows
        assert 100 == len(lists.members())

    def test_a_row_larger_than_a_batch_may_be(self, sim, tmp_path):
        """It is rejected by itself, with that reason."""
        lists = Lists(sim, tmp_path, batch_bytes=1_200)
        columns = {"email": people(3), "x": ["a", "b" * 250, "c"]}
        report = lists.export(lists.segment(columns), field_mapping={"address": "x"})
        assert (2, {"rejected": {"row_too_large": 1}}) == (report["counts"]["delivered"], report["reasons"])

    def test_a_full_plan_is_under_the_limits_as_the_vendor_counts(self, sim, tmp_path):
        """Fifty thousand full rows: every import arrives whole, and the counters say so."""
        sim.reset(seed=1, log_body_bytes=0)
        lists = Lists(sim, tmp_path)
        count = 50_000
        columns = {"email": people(count), "first": ["Ada"] * count, "city": ["Springfield"] * count}
        field_mapping = {"first_name": "first", "city": "city"}
        assert count == lists.export(lists.segment(columns), field_mapping=field_mapping)["counts"]["delivered"]
        assert [10_001, 39_999] == sorted(call["facts"]["rows"] for call in lists.upserts())
        assert all(call["bytes"] < 4_000_000 for call in lists.upserts())
        assert 0 == lists.facts("dropped")

    @pytest.mark.parametrize("person_count", ["all", "valid"])
    def test_rows_that_are_dropped_are_missed(self, lists, person_count):
        """If the vendor accepts less than documented, the count of people shows it, and the batch is sent in halves."""
        lists.set(max_import_rows=5, person_count=person_count)
        report = lists.export(lists.segment({"email": people(16)}))
        assert (16, {}) == (report["counts"]["delivered"], report["reasons"])
        assert sorted(people(16)) == sorted(lists.members())
        assert [4, 4, 4, 4, 8, 8, 16] == sorted(len(rows) for rows in lists.rows_sent())

    def test_a_batch_of_one_that_is_dropped(self, lists):
        """It cannot be halved: the row has its result."""
        lists.set(max_import_rows=0)
        report = lists.export(lists.segment({"email": people(1)}))
        assert {"rejected": {"rejected_by_vendor": 1}} == report["reasons"]

    @pytest.mark.parametrize(
        ("status", "fine"),
        [
            ({"person_count": 3}, True),
            ({"person_count": 3, "correctable_count": 1}, True),
            ({"person_count": 2, "correctable_count": 1}, True),
            ({"person_count": 2, "error_count": 1, "items_total_count": 4}, True),
            ({"person_count": 2}, False),
            ({"person_count": 0}, False),
            ({"person_count": 2, "correctable_count": 2, "items_total_count": 2}, False),
            ({"person_count": None}, True),
            ({}, True),
            (None, True),
        ],
    )
    def test_whether_a_row_is_missing(self, status, fine):
        """`person_count` may include the wrong rows or not; either way a row that no counter includes is detected."""
        if fine:
            assert collected(status)
        else:
            with pytest.raises(BatchRejected, match="error code person_count"):
                collected(status)


class TestVerdicts:
    """Line numbers name rows, the first of which is line 2; what is only counted is named later."""

    def test_lines_become_rows(self):
        """A bad address by its own reason, everything else as an invalid value, in the vendor's words."""
        settled = collected(
            {"person_count": 3, "error_count": 1, "correctable_count": 1},
            ["Line 2: Invalid email", "Line 4: Invalid birthday"],
        )
        assert [(0, Reason.INVALID_EMAIL, "Invalid email"), (2, Reason.INVALID_VALUE, "Invalid birthday")] == [
            (rejection.index, rejection.reason, rejection.message) for rejection in settled.rejected
        ]
        assert 0 == settled.unattributed

    @pytest.mark.parametrize(
        "line", ["Line 1: Invalid email", "Line 5: Invalid email", "Line 0", "Something is wrong", "", "Line x: y"]
    )
    def test_messages_that_name_no_row(self, line):
        """A line outside the batch, or no line at all: the row is counted, and found by reading back."""
        settled = collected({"person_count": 3, "error_count": 1}, [line])
        assert ((), 1) == (settled.rejected, settled.unattributed)

    def test_a_row_with_two_mistakes(self):
        """It is one row."""
        settled = collected(
            {"person_count": 3, "correctable_count": 1}, ["Line 3: Invalid email", "Line 3: Invalid birthday"]
        )
        assert ([1], 0) == ([rejection.index for rejection in settled.rejected], settled.unattributed)

    def test_counters_without_lines(self):
        """The list of errors may be shorter than the counters."""
        settled = collected(
            {"person_count": 3, "correctable_count": 2, "cannot_add_to_list_count": 1}, ["Line 2: Invalid email"]
        )
        assert ([0], 2) == ([rejection.index for rejection in settled.rejected], settled.unattributed)

    def test_counters_beyond_the_batch(self):
        """No more rows are missing than there are."""
        settled = collected({"person_count": 3, "cannot_add_to_list_count": 7}, ["Line 2: Invalid email"])
        assert ([0], 2) == ([rejection.index for rejection in settled.rejected], settled.unattributed)

    def test_the_vendors_words_of_a_row(self):
        """They stay with the row, as the vendor wrote them."""
        settled = collected({"person_count": 3, "error_count": 1}, ["Line 2: ann@example.com is no email"])
        assert "ann@example.com is no email" == settled.rejected[0].message

    def test_what_we_take_and_the_vendor_does_not(self, lists, published):
        """An address longer than the vendor stores is rejected by its row, and the others are delivered."""
        longest = f"{'a' * 60}@{'b' * 20}.example.com"
        report = lists.export(lists.segment({"email": [*people(2), longest]}))
        assert (2, {"rejected": {"invalid_email": 1}}) == (report["counts"]["delivered"], report["reasons"])
        (rejected,) = lists.rejects()
        assert (2, longest, "Invalid email") == (rejected["file_row"], rejected["email"], rejected["vendor_message"])
        assert 0 == len(lists.calls("POST", "/contact_exports"))
        published.clear()  # the specification has no such address; the vendor is to say so, and not we

    def test_an_address_as_long_as_the_vendor_stores(self, lists):
        """An import's rows are specified with 50 characters and contacts with 80: we leave it to the vendor."""
        long = f"{'a' * 60}@example.com"
        assert 1 == lists.export(lists.segment({"email": [long]}))["counts"]["delivered"]

    @pytest.mark.parametrize(
        ("state", "fate"),
        [
            ("initialized", JobState.RUNNING),
            ("processing", JobState.RUNNING),
            ("completed", JobState.FINISHED),
            ("cancelled", JobState.FAILED),
            ("failed", JobState.FAILED),
            ("timed_out", JobState.FAILED),
        ],
    )
    def test_the_states_of_an_activity(self, state, fate):
        """All that the specification names."""
        assert fate is constant_contact.imports.job_state({"state": state})
        if fate is JobState.FAILED:
            assert (0, 1, 2) == collected({}, state=state).retry
        if fate is JobState.RUNNING:  # although a poll has said that it had ended
            with pytest.raises(VendorUnavailable):
                collected({}, state=state)

    def test_an_undocumented_state(self):
        """It stops loudly."""
        with pytest.raises(UnexpectedResponse, match="'paused', which is not documented"):
            collected({}, state="paused")


class TestPolling:
    """At four calls a second, one call returns the states of many activities."""

    def test_one_call_tells_many(self, sim, tmp_path):
        """Ten activities in flight are polled together, and what the list says of them is not asked for again."""
        lists = Lists(sim, tmp_path, batch_rows=1)
        assert 10 == lists.export(lists.segment({"email": people(10)}))["counts"]["delivered"]
        assert len(lists.paused) == len(lists.calls("GET", "/v3/activities"))
        assert [] == singly(lists)

    def test_an_activity_with_errors_is_read_by_itself(self, sim, tmp_path, published):
        """The documentation does not promise that a list includes all their messages."""
        lists = Lists(sim, tmp_path, batch_rows=2)
        longest = f"{'a' * 60}@{'b' * 20}.example.com"
        report = lists.export(lists.segment({"email": [longest, *people(9)]}))
        assert report["counts"]["rejected"] == len(singly(lists)) == 1
        published.clear()  # the specification has no such address; the vendor is to say so, and not we

    @pytest.mark.parametrize(
        ("status", "settled"),
        [
            ({"person_count": 2}, False),
            ({"list_count": 1, "items_completed_count": 2}, True),
            ({"person_count": 2, "error_count": 0, "correctable_count": 0, "cannot_add_to_list_count": 0}, True),
            ({"person_count": 2, "error_count": 1}, False),
            ({"person_count": 2, "correctable_count": 1}, False),
            ({"person_count": 2, "cannot_add_to_list_count": 1}, False),
            ({"items_total_count": 3}, False),
            ({}, False),
            (None, False),
        ],
    )
    def test_what_a_list_tells_for_sure(self, status, settled):
        """Counters of people or lists, and none of an error: anything else is asked for."""
        activity = {"activity_id": "a", "state": "completed", "activity_errors": [], "status": status}
        page = {"activities": [activity, {**activity, "activity_id": "b", "state": "processing"}]}
        reads = VENDOR.embedded_job_reads(Response(200, {}, json.dumps(page).encode(), "http://host/v3/activities"))
        expected = {"http://host/v3/activities/a": activity} if settled else {}
        assert expected == {url: response.json() for url, response in reads.items()}

    @pytest.mark.parametrize(
        ("status", "url"), [(500, "http://host/v3/activities"), (200, "http://host/v3/activities/a")]
    )
    def test_what_is_no_list_of_activities(self, status, url):
        """Nothing is found in it."""
        activity = {"activity_id": "a", "state": "completed", "status": {"person_count": 1}}
        page = Response(status, {}, json.dumps({"activities": [activity]}).encode(), url)
        assert {} == constant_contact.VENDOR.embedded_job_reads(page)

    def test_pages_are_followed(self, sim, tmp_path):
        """Others use the account too: ours may stand beyond the first page."""
        lists = Lists(sim, tmp_path, batch_rows=1)
        target = lists.call(lists.vendor.resolve_audience(lists.endpoint, lists.audience))
        tickets = [
            lists.call(VENDOR.upsert(target, batch_of((email,), (f'{{"email":"{email}"}}',)))).id for email in people(3)
        ]
        others = batch_of(("other@example.com",), ('{"email":"other@example.com"}',))
        for _ in range(600):
            lists.call(VENDOR.upsert(target, others))
        sim.clock.advance(60)
        before = len(lists.calls())
        assert dict.fromkeys(tickets, JobState.FINISHED) == lists.call(VENDOR.poll(target, tickets))
        assert 2 == len(lists.calls()) - before

    def test_one_activity_is_asked_for_by_itself(self, lists):
        """A page with the activities of every application costs the same call, and more bytes."""
        lists.export(lists.segment({"email": people(3)}))
        assert 0 == len(lists.calls("GET", "/v3/activities"))

    def test_what_the_pages_lack_is_asked_for(self):
        """An activity that is only being made may not be listed yet."""
        urls = []

        def answer(request):
            urls.append(request.url)
            activity = {"activity_id": "a", "state": "processing"}
            page = {"activities": [activity], "_links": None}
            return Response(200, {}, json.dumps(page if "?" in request.url else activity).encode())

        assert dict.fromkeys("abc", JobState.RUNNING) == run_operation(VENDOR.poll(TARGET, ["a", "b", "c"]), answer)
        assert ["activities?limit=500", "b", "c"] == [url.rpartition("/")[2] for url in urls]

    def test_an_activity_that_is_gone_after_ten_days(self, lists):
        """The result is unknown: its rows go out again."""
        environment = lists.environment(pause=lambda _: False)
        segment = lists.segment({"email": people(3)})
        assert isinstance(Export(lists.vendor, lists.endpoint, lists.config(segment), environment).run(), PendingJobs)
        environment.http.close()
        lists.sim.clock.advance(11 * 86_400)
        lists.described = {**lists.described, "credentials": lists.act("authorize")}
        assert 3 == lists.export(segment)["counts"]["delivered"]
        assert [404, 200] == [call["status"] for call in lists.calls("GET") if "/activities/" in call["path"]][:2]
        assert [3, 3] == [len(rows) for rows in lists.rows_sent()]


def test_a_timed_out_call_is_asked_about_by_sending_again(lists):
    """There is no idempotency key: a second import of the same rows changes nothing, by email."""
    lists.fault(drop=True, when="after")
    assert 3 == lists.export(lists.segment({"email": people(3)}))["counts"]["delivered"]
    assert 2 == len(lists.upserts())
    assert 3 == len(lists.people())
