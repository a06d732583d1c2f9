"""Constant Contact: the list, as an export activity returns it."""

from __future__ import annotations

import importlib
import json

import pytest
from vendors.harness import people

from airflow_provider_segexport.errors import FatalError, RetryableError, UnexpectedResponse
from airflow_provider_segexport.model import Audience, Response
from airflow_provider_segexport.vendors import constant_contact
from airflow_provider_segexport.vendors.operations import run_operation

TARGET = Audience("http://host/v3", "all", "Shop", "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "Customers")


ACTIVITY = "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a"


class TestReadingBack:
    """The list, as an export activity returns it."""

    @pytest.mark.parametrize("headers", ["fields", "titles"])
    def test_everybody_in_the_list(self, lists, headers):
        """Whatever the column headers are called; opted-out people are returned as not active."""
        lists.set(export_headers=headers)
        lists.seed("a@example.com", {"email": "B@Example.com", "status": "temp_hold"}, audience=lists.audience)
        lists.seed({"email": "c@example.com", "status": "unsubscribed"}, audience=lists.audience)
        lists.seed("d@example.com")
        assert {"a@example.com": True, "b@example.com": True, "c@example.com": False} == members(lists)

    def test_an_empty_list(self, lists):
        """A file of heads alone."""
        assert {} == members(lists)

    def test_more_than_a_page(self, lists, monkeypatch):
        """People are returned page by page."""
        module = importlib.import_module("airflow_provider_segexport.vendors.constant_contact.members")
        monkeypatch.setattr(module, "PAGE_ROWS", 100)
        lists.seed(*people(250), audience=lists.audience)
        assert set(people(250)) == set(members(lists))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (
                b"Email,Out\r\na@example.com,\r\nb@example.com,2026-01-01\r\n",
                {"a@example.com": True, "b@example.com": False},
            ),
            (
                b"Out,Email\r\n,a@example.com\r\n2026-01-01,b@example.com\r\n",
                {"a@example.com": True, "b@example.com": False},
            ),
            (b'\xef\xbb\xbf"Email","Out"\n"A@Example.com ",""\n', {"a@example.com": True}),
            (b"Email,Out\r\n,\r\na@example.com,\r\n\r\n", {"a@example.com": True}),
            (b"", {}),
        ],
    )
    def test_ways_to_write_the_file(self, text, expected):
        """The order of the columns is not documented, and a contact may have a number and no address."""
        assert expected == exported(text)

    def test_a_file_that_is_cut_off(self):
        """Fewer people than the activity has exported: all the others would be taken for leavers."""
        with pytest.raises(RetryableError, match="contains 2 of 5 contacts"):
            exported(b"Email,Out\na@example.com,\nb@example.com,\nc@exam", count=5)

    @pytest.mark.parametrize(
        "text",
        [
            b"Email,Out,Id\na@example.com,,1\nb@example.com,,2\n",
            b"Email\na@example.com\nb@example.com\n",
            b"Email,Out\na@example.com,\nb@exam",
            b'Email,Out\na@example.com,\n"b@example.com,\nc@example.com,\n',
        ],
    )
    def test_a_file_with_other_columns_or_a_torn_row(self, text):
        """Its people would be taken for leavers, also if the activity has no count."""
        with pytest.raises(RetryableError, match="without exactly 2 columns"):
            exported(text)

    def test_a_file_somewhere_else(self):
        """The access token is not taken to another host."""
        with pytest.raises(UnexpectedResponse, match=r"link \(results\) to a server other than the API"):
            exported(b"", link="https://files.example.org/x.csv")

    @pytest.mark.parametrize("state", ["failed", "cancelled", "timed_out"])
    def test_an_export_that_fails(self, lists, state):
        """Another try may do better; nothing has been sent."""
        segment = lists.segment({"email": people(3)})
        lists.export(segment, "one")
        lists.script("processing", state)
        with pytest.raises(RetryableError, match=f"ended as '{state}'"):
            lists.export(segment, "two")
        assert 1 == len(lists.upserts())

    def test_an_export_that_does_not_end(self, lists):
        """After an hour it is given up, to be tried again."""
        lists.script(*["processing"] * 300)
        began = lists.sim.clock.now()
        with pytest.raises(RetryableError, match="has not finished the export of the list within an hour"):
            members(lists)
        assert 3_000 < lists.sim.clock.now() - began < 3_700

    def test_a_list_that_is_gone(self, lists):
        """Deleted since the plan: the error says what to look at."""
        target = Audience(lists.described["api_url"], "all", "", "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a", "Gone")
        with pytest.raises(FatalError, match="or the list was deleted"):
            lists.call(lists.vendor.list_members(target, lambda _: None))


def members(lists):
    active_by_email = {}
    target = lists.call(lists.vendor.resolve_audience(lists.endpoint, lists.audience))
    lists.call(
        lists.vendor.list_members(
            target, lambda page: active_by_email.update({member.email: member.active for member in page})
        )
    )
    return active_by_email


def exported(text, count=0, link="/v3/contact_exports/1"):
    """The people in a file, at the end of an export activity that counted so many."""
    active_by_email = {}

    def answer(request):
        if "/contact_exports/" in request.url:
            return Response(200, {}, text)
        body = {"activity_id": ACTIVITY, "state": "completed", "status": {"items_completed_count": count}}
        return Response(200, {}, json.dumps({**body, "_links": {"results": {"href": link}}}).encode())

    run_operation(
        constant_contact.VENDOR.list_members(
            TARGET, lambda page: active_by_email.update({member.email: member.active for member in page})
        ),
        answer,
    )
    return active_by_email
