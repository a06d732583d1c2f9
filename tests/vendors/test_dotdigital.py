"""dotdigital's own ways: regions, two kinds of 429, refusals, address books in use."""

from __future__ import annotations

import pytest
from core.factories import batch_of
from vendors.dotdigital_responses import TARGET, reply
from vendors.harness import VendorHarness, people
from vendors.removals import RemovalRunner

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    BatchRejected,
    InvalidConnection,
    JobSlotsFull,
    RateLimited,
    UnexpectedResponse,
    VendorUnavailable,
)
from airflow_provider_segexport.model import Audience, JobState, Reason, Response
from airflow_provider_segexport.vendors import dotdigital as vendor
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.operations import run_operation

NOW = 1_767_225_600.0


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "dotdigital", tmp_path)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://r1-api.dotdigital.com/",
        "https://r3-api.dotdigital.com",
        "https://api.dotmailer.com",
        "https://r2.apiconnector.com/",
    ],
)
def test_the_account_s_region_is_used_from_then_on(endpoint):
    """Any region names the right one; every other call goes there."""
    called = []

    def send(request):
        called.append(request.url)
        return reply({"id": 7, "properties": [{"name": "ApiEndpoint", "type": "String", "value": endpoint}]})

    target = run_operation(vendor.VENDOR.resolve_audience(ApiEndpoint(vendor.account.BASE_URL), None), send)
    assert (target.base_url, called) == (endpoint.rstrip("/"), [f"{vendor.account.BASE_URL}/v2/account-info"])


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.test",
        "http://r1-api.dotdigital.com",
        "https://r1-api.dotdigital.com.evil.test",
        "https://r1-api.dotdigital.com@evil.test",
        "https://api/evil.dotdigital.com",
    ],
)
def test_credentials_go_to_no_foreign_host(endpoint):
    """An endpoint outside the vendor's own names is not called, wherever it comes from."""
    info = {"id": 7, "properties": [{"name": "ApiEndpoint", "value": endpoint}]}
    with pytest.raises(InvalidConnection, match="outside dotdigital's domains"):
        run_operation(vendor.VENDOR.resolve_audience(ApiEndpoint(vendor.account.BASE_URL), None), lambda _: reply(info))


def test_an_endpoint_without_text_stops_the_check():
    """The run cannot do without it."""
    info = {"id": 7, "properties": [{"name": "ApiEndpoint", "value": ""}]}
    with pytest.raises(UnexpectedResponse, match="'ApiEndpoint'"):
        run_operation(vendor.VENDOR.resolve_audience(ApiEndpoint(vendor.account.BASE_URL), None), lambda _: reply(info))


def test_an_administrator_s_own_base_url_may_name_itself(account):
    """A simulator's endpoint is its own host, which an administrator has put into the connection."""
    assert (
        account.call(vendor.VENDOR.resolve_audience(account.endpoint, None)).base_url == account.described["base_url"]
    )
    with pytest.raises(InvalidConnection):
        account.call(vendor.VENDOR.resolve_audience(ApiEndpoint(account.endpoint.base_url, is_default_url=True), None))


def test_an_address_book_that_cannot_be_written():
    """Two names are reserved: the error says so, and is none of the credentials."""
    info = {"id": 7, "properties": [{"name": "ApiEndpoint", "value": "https://r1-api.dotdigital.com"}]}
    answers = iter([reply(info), reply({"message": "Error: ERROR_ADDRESSBOOK_NOTWRITABLE"}, 400)])
    with pytest.raises(AudienceNotFound, match="choose another address book"):
        run_operation(
            vendor.VENDOR.resolve_audience(ApiEndpoint(vendor.account.BASE_URL), "1"), lambda _: next(answers)
        )


def test_three_ways_to_say_later():
    """Two kinds of 429 and a 400 are distinguished by body and headers."""
    refusal = vendor.VENDOR.retry_hint
    slots = refusal(reply({"errorCode": "contacts:tooManyActiveImports"}, 429), NOW)
    tier = refusal(reply({"errorCode": "contacts:tooManyRequests"}, 429, **{"x-ratelimit-reset": str(NOW + 21)}), NOW)
    flat = refusal(reply({"message": "temporarily capped. ERROR_APIUSAGE_EXCEEDED"}, 400), NOW)
    assert [type(slots), type(tier), type(flat)] == [JobSlotsFull, RateLimited, RateLimited]
    assert (tier.retry_after_s, flat.retry_after_s) == (21.0, 300.0)
    assert refusal(reply({"errorCode": "contacts:badJson"}, 400), NOW) is None
    assert refusal(reply({"importId": "x"}, 202, **{"x-ratelimit-reset": str(NOW + 21)}), NOW) is None


def test_the_flat_scheme_s_cap_is_waited_out_elsewhere(account):
    """Its hour has no header: the run ends, says when to look again, and goes on then."""
    account.fault(status=400, body={"message": "Your account is temporarily capped. ERROR_APIUSAGE_EXCEEDED"})
    segment = account.segment({"email": people(3)})
    with pytest.raises(RateLimited) as caught:
        account.export(segment)
    assert caught.value.retry_after_s == 300
    assert account.export(segment)["counts"]["delivered"] == 3


def test_a_full_minute_is_waited_out_here(account):
    """The tier's window reports its end, and the export continues then without a failed task."""
    account = VendorHarness(account.sim, "dotdigital", account.home, batch_rows=1, max_concurrency=1)
    account.sim.configure({"dotdigital": {"low_per_minute": 3}})
    account.sim.clock.advance(30)
    assert account.export(account.segment({"email": people(5)}))["counts"]["delivered"] == 5
    assert set(account.slept) == {30.0}


def test_refusals_of_a_whole_call():
    """v3 says a code, v2 hides one in its words; what a proxy says in HTML is no code."""
    body = {"errorCode": "contacts:badRequest", "description": "The Identifiers field is required of x@example.com"}
    with pytest.raises(BatchRejected, match=r"error code contacts:badRequest\)\.$"):
        run_operation(vendor.VENDOR.upsert(TARGET, batch_of(1)), lambda _: reply(body, 400))
    with pytest.raises(BatchRejected, match="ERROR_PARAMETER_INVALID"):
        run_operation(
            vendor.VENDOR.upsert(TARGET, batch_of(1)),
            lambda _: reply({"message": "Error: ERROR_PARAMETER_INVALID"}, 400),
        )
    with pytest.raises(VendorUnavailable):
        run_operation(
            vendor.VENDOR.upsert(TARGET, batch_of(1)), lambda _: Response(400, {}, b"<html>", "https://dd.test")
        )


def test_what_travels_and_what_does_not(account):
    """No status, no null, data fields by their exact name and in their type."""
    columns = {"email": people(2), "first": ["Ann", None], "orders": [5, None], "vip": [True, None]}
    account.export(
        account.segment(columns),
        field_mapping={"first_name": "first"},
        custom_fields={"orders": "orders", "Vip": "vip"},
    )
    (call,) = account.upserts()
    first, two = call["body"]["contacts"]
    assert first == {
        "matchIdentifier": "email",
        "identifiers": {"email": "p0@example.com"},
        "dataFields": {"FIRSTNAME": "Ann", "ORDERS": 5, "VIP": True},
        "lists": [int(account.audience)],
    }
    assert two == {key: value for key, value in first.items() if key != "dataFields"} | {
        "identifiers": {"email": "p1@example.com"}
    }
    assert call["body"]["mergeOption"] == "overwrite"
    assert call["notes"] == []


@pytest.mark.parametrize("status", ["unsubscribed", "suppressed", "hardBounced", "pendingOptIn"])
def test_no_person_s_status_is_changed(account, status):
    """The vendor updates fields of people who opted out, and leaves their status as it was."""
    account.sim.seed("dotdigital", [{"email": "p0@example.com", "status": status}], None)
    assert account.export(account.segment({"email": people(1)}))["counts"]["delivered"] == 1
    assert account.members()["p0@example.com"]["status"] == status
    assert account.facts("resubscribed") == account.facts("mails") == 0


def test_a_data_field_that_somebody_made_meanwhile(account):
    """Creating it finds it there, which is as good."""
    target = account.call(vendor.VENDOR.resolve_audience(account.endpoint, account.audience))
    for _ in range(2):
        account.call(vendor.VENDOR.create_field(target, "FAVOURITE", "text"))
    assert account.call(vendor.VENDOR.resolve_audience(account.endpoint, None)).account == target.account


def test_the_address_book_s_page():
    """In the region's own web application."""
    made_in_r3 = Audience(base_url="https://r3-api.dotdigital.com", account="1", account_name="", audience="42")
    assert vendor.VENDOR.audience_link(made_in_r3) == "https://r3-app.dotdigital.com/contacts/addressbooks/42"


IN_USE = {"message": "Address book is in use. ERROR_ADDRESSBOOK_IN_USE"}


def test_an_address_book_in_use_is_asked_again(account):
    """Another job works on it: a little later it may be free."""
    leaving = RemovalRunner(account)
    account.sim.seed("dotdigital", [{"email": "p1@example.com"}], account.audience)
    account.sim.faults([{"method": "POST", "path": "/contacts/delete$", "count": 2, "status": 400, "body": IN_USE}])
    assert leaving.leave(["p1@example.com"]) == {"p1@example.com": None}
    assert account.slept == [5.0, 15.0]


def test_an_address_book_that_stays_in_use(account):
    """It counts as a slot that is taken: the batch waits for a job of ours to end, or for another try of the task."""
    leaving = RemovalRunner(account)
    account.sim.seed("dotdigital", [{"email": "p1@example.com"}], account.audience)
    account.sim.faults([{"method": "POST", "path": "/contacts/delete$", "count": 0, "status": 400, "body": IN_USE}])
    with pytest.raises(JobSlotsFull, match="in use"):
        leaving.leave(["p1@example.com"])
    assert account.slept == [5.0, 15.0, 30.0]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("Error: ERROR_ADDRESSBOOK_NOT_FOUND", AudienceNotFound),
        ("Error: ERROR_ADDRESSBOOK_NOTWRITABLE", AudienceNotFound),
        ("Error: ERROR_PARAMETER_INVALID", BatchRejected),
    ],
)
def test_a_removal_that_is_refused(message, error):
    """For the book it stops the run; for an id among them it is halved."""
    with pytest.raises(error):
        run_operation(vendor.VENDOR.removal.remove(TARGET, batch_of(2)), lambda _: reply({"message": message}, 400))


def test_a_removal_job_s_keys_and_states_in_any_spelling():
    """The specification writes them small, its example with capitals; one that is gone goes again."""
    poll = vendor.VENDOR.removal.poll
    assert run_operation(poll(TARGET, ["t"]), lambda _: reply({"Id": "t", "Status": "STARTED"})) == {
        "t": JobState.RUNNING
    }
    assert run_operation(poll(TARGET, ["t"]), lambda _: reply({"id": "t", "status": "completed"})) == {
        "t": JobState.ACCEPTED
    }
    assert run_operation(poll(TARGET, ["t"]), lambda _: reply({"message": "ERROR_JOB_NOT_FOUND"}, 404)) == {
        "t": JobState.FAILED
    }


@pytest.mark.parametrize(
    ("status", "has_left"),
    [
        ("subscribed", False),
        ("Subscribed", False),
        ("pending", False),
        (None, False),
        ("suppressed", True),
        ("Unsubscribed", True),
        ("Paused", True),
    ],
)
def test_who_has_left_a_book(status, has_left):
    """A contact's record and the pages of the book say the same, in any spelling; an unknown status means so."""
    contact = {"contactId": 5, "identifiers": {"email": "a@example.com"}, "lists": [{"id": 42, "status": status}]}
    pages = [reply({"_items": [contact]}), reply(contact)]
    members = []
    run_operation(vendor.members.list_without_leavers(TARGET, members.extend), lambda _: pages.pop(0))
    record = run_operation(vendor.VENDOR.verification.read_record(TARGET, "a@example.com"), lambda _: pages.pop(0))
    assert ([member.email for member in members], record.reason, record.is_member) == (
        [] if has_left else ["a@example.com"],
        Reason.LEFT_AUDIENCE if has_left else None,
        True,
    )
