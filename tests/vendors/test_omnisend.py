"""Omnisend's own ways: a tag as the audience, a store per key, reading back, segments, waits."""

from __future__ import annotations

from email.utils import formatdate

import jsonschema
import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness, people
from vendors.omnisend_responses import BRAND, NOW, TARGET, problem, reply
from vendors.rows import Key
from vendors.spec_checks import Exchange

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    BatchRejected,
    FatalError,
    InvalidConnection,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
    RetryableError,
    UnexpectedResponse,
    VendorUnavailable,
)
from airflow_provider_segexport.vendors import omnisend
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.omnisend.responses import API_VERSION
from airflow_provider_segexport.vendors.operations import run_operation

VENDOR = omnisend.VENDOR


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "omnisend", tmp_path)


# Login, store and tag


def test_every_call_names_the_version(account):
    """A call without it would be refused, or be read by another version's rules."""
    account.export(account.segment({"email": people(3)}))
    calls = account.sim.requests(vendor="omnisend")
    assert {API_VERSION} == {call["headers"]["omnisend-version"] for call in calls}
    assert len(calls) > 3


@pytest.mark.parametrize("tag", ["x", "seg high_value", "source: shopify", "A-b_9", "x" * 128])
def test_a_tag_that_the_vendor_takes(account, tag):
    """Letters, digits, blank, hyphen, underscore, and the colon of the vendor's own example."""
    resolved = account.call(VENDOR.resolve_audience(account.endpoint, tag))
    assert (tag, tag, None) == (resolved.audience, resolved.audience_name, resolved.member_count)


@pytest.mark.parametrize("tag", ["", "x" * 129, "gold/vip", "größte", "a,b", " x", "x ", " ", "a\tb", 'a"b', "x\n"])
def test_a_tag_that_the_vendor_does_not_take(account, tag):
    """The error says what a tag may hold, and contacts are not even read."""
    with pytest.raises(AudienceNotFound, match=r"1 to 128 of a-z, A-Z, 0-9, blank, - _ and colon"):
        account.call(VENDOR.resolve_audience(account.endpoint, tag))
    assert ["/api/brands/current"] == [call["path"] for call in account.sim.requests(vendor="omnisend")]


@pytest.mark.parametrize("brand_id", [7, "", "a/b", None, ["x"]])
def test_a_brand_id_of_another_form_stops_the_run(account, brand_id):
    """The ledger's folder is named after the id, so an export with another one would not know its own people."""
    account.sim.faults(
        [{"vendor": "omnisend", "path": "brands/current$", "status": 200, "body": {"brandID": brand_id}}]
    )
    with pytest.raises(UnexpectedResponse, match="brandID"):
        account.call(VENDOR.resolve_audience(account.endpoint, "Customers"))


def test_a_key_of_another_store_stops_before_anything_is_sent(account):
    """The connection is pinned to a brand id: the error names both stores, and nothing of the segment left."""
    pinned = ApiEndpoint(account.endpoint.base_url, options={"brand_id": account.described["brand"]["id"]})
    other = Key(account.described["keys"]["other_store"])
    with pytest.raises(InvalidConnection, match=r"'Other Shop' .*pinned to brand id .*nothing is sent"):
        account.call(VENDOR.resolve_audience(pinned, "Customers"), other)
    assert 1 == len(account.sim.requests(vendor="omnisend"))
    assert "Example Shop" == account.call(VENDOR.resolve_audience(pinned, "Customers")).account_name


def test_a_key_without_the_right_to_write(account):
    """No read shows it: the first batch does, and no row is reported as delivered."""
    send = account.sender(Key(account.described["keys"]["read_only"]))
    with pytest.raises(PermissionDenied, match=r"contacts \(read and write\) and brands \(read\)"):
        account.export(account.segment({"email": people(3)}), environment=account.environment(send=send))
    assert {} == account.members()


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, AuthenticationFailed, r"To fix: check the API key .*app\.omnisend\.com/integrations/api-keys"),
        (403, PermissionDenied, r"lacks a permission .*To fix: grant it .*wait a few minutes"),
        (410, FatalError, r"retired the API version 2026-03-15.*To fix: install a newer airflow-provider-segexport"),
        (418, UnexpectedResponse, r"answered 418 \(error code p418\), to https://om\.test/api/x"),
    ],
)
def test_refusals_say_what_to_do(status, kind, message):
    """Bad credentials, a missing right, a retired version and unknown errors are distinguished."""
    with pytest.raises(kind, match=message):
        run_operation(
            VENDOR.resolve_audience(ApiEndpoint("https://om.test"), None), lambda _: reply(problem(status, "a"), status)
        )


def test_the_vendors_words_are_no_part_of_the_error():
    """A problem's detail may quote what was sent: it goes to `rejects.parquet` alone."""
    body = problem(400) | {"detail": "Contact jane.secret@example.com is known."}
    with pytest.raises(BatchRejected) as caught:
        run_operation(VENDOR.upsert(TARGET, batch_of(1)), lambda _: reply(body, 400))
    assert "The vendor rejected the whole batch (error code p400)." == str(caught.value)
    assert "Contact jane.secret@example.com is known." == caught.value.message


@pytest.mark.parametrize(
    ("headers", "facts"),
    [
        ({"date": formatdate(NOW)}, {"since": "2025-12-31", "checked_at": str(int(NOW))}),
        ({}, {}),
        ({"date": "x"}, {}),
    ],
)
def test_the_time_of_the_check_is_kept(headers, facts):
    """Batches are listed from the day before, for the store's own day may be another; none of ours is older than it."""
    answers = iter([reply(BRAND, **headers), reply({"contacts": []})])
    target = run_operation(VENDOR.resolve_audience(ApiEndpoint("https://om.test"), "x"), lambda _: next(answers))
    assert facts == target.extra


# Reading back, segments, and "later"


def test_members_are_read_to_the_last_page(account):
    """Every contact with the tag, by address in lower case; an unsubscribed one gets no mail."""
    account.sim.seed("omnisend", [{"email": f"Anna+{n}@example.com"} for n in range(600)], "Customers")
    account.sim.seed("omnisend", [{"email": "p1@example.com", "status": "unsubscribed"}], "Customers")
    account.sim.seed("omnisend", [{"email": "other@example.com"}], "Lapsed")
    target = account.call(VENDOR.resolve_audience(account.endpoint, "Customers"))
    members = []
    account.call(VENDOR.list_members(target, members.extend))
    assert 601 == len({member.email for member in members}) == len({member.contact_id for member in members})
    assert {f"anna+{n}@example.com" for n in range(600)} == {member.email for member in members if member.active}


def test_an_empty_page_and_a_contact_without_an_address():
    """A tag without contacts is an empty audience; a contact known by phone alone is none of ours."""
    pages = iter([reply({"contacts": [], "paging": {"hasMore": False, "cursors": {"after": None}}})])
    members = []
    run_operation(VENDOR.list_members(TARGET, members.extend), lambda _: next(pages))
    assert [] == members
    person = {"id": "c1", "email": "a@example.com", "status": "nonSubscribed"}
    last = {"contacts": [{"id": "c2", "email": ""}, person], "paging": {"cursors": {"after": "z"}}}
    run_operation(
        VENDOR.list_members(TARGET, members.extend), lambda _: reply(last)
    )  # a cursor that does not move ends it, too
    assert {"c1"} == {member.contact_id for member in members}


@pytest.mark.parametrize("cursors", [{"after": "z"}, {"after": None}, None])
def test_a_list_of_contacts_that_does_not_go_on(cursors):
    """There are more contacts, and no new cursor leads to them: those behind it do not count as absent."""
    page = {"contacts": [{"id": "c1", "email": "a@example.com"}], "paging": {"hasMore": True, "cursors": cursors}}
    wanted = [f"p{number}@example.com" for number in range(5)]
    for operation in (
        VENDOR.list_members(TARGET, lambda _: None),
        VENDOR.removal.find_members(TARGET, wanted, lambda _: None),
    ):
        with pytest.raises(RetryableError, match="ends before its last page"):
            run_operation(operation, lambda _: reply(page))


def test_a_segment_on_the_tag_is_made_once(account):
    """Another call finds it, behind whatever segments there are; one that asks for more is not it."""
    account.sim.configure({"omnisend": {"segment_writes_per_minute": None, "segment_reads_per_minute": None}})
    target = account.call(VENDOR.resolve_audience(account.endpoint, "Customers"))
    made = account.call(omnisend.account.create_segment(target))
    for number in range(60):
        tag = account.call(VENDOR.resolve_audience(account.endpoint, f"tag {number}"))
        assert made != account.call(omnisend.account.create_segment(tag))
    assert made == account.call(omnisend.account.create_segment(target))
    posted = [call for call in account.sim.requests(vendor="omnisend") if call["method"] == "POST"]
    assert 61 == len(posted)
    assert posted[0]["body"] == {
        "name": "Customers",
        "conditionGroups": [
            {
                "conditions": [
                    {
                        "entity": "contact",
                        "junction": "and",
                        "filters": [{"operator": "anyOf", "property": "tags", "value": ["Customers"]}],
                    }
                ]
            }
        ],
    }


def test_a_segment_whose_creation_has_no_response_is_not_made_twice(account):
    """The call is not repeated by itself; the next one finds the segment."""
    target = account.call(VENDOR.resolve_audience(account.endpoint, "Customers"))
    account.sim.faults([{"method": "POST", "path": "/segments$", "drop": True, "when": "after"}])
    with pytest.raises(OutcomeUnknown):
        account.call(omnisend.account.create_segment(target))
    assert account.call(omnisend.account.create_segment(target))
    assert [call["method"] for call in account.sim.requests(vendor="omnisend")].count("POST") == 1


def test_an_archived_segment_is_not_taken():
    """It fills no more."""
    conditions = [{"conditions": [{"filters": [{"operator": "anyOf", "property": "tags", "value": ["Customers"]}]}]}]
    old = {"segmentID": "s1", "status": "archived", "conditionGroups": conditions}
    answers = iter([reply({"segments": [old], "paging": {}}), reply({"segmentID": "s2"}, 201)])
    assert "s2" == run_operation(omnisend.account.create_segment(TARGET), lambda _: next(answers))


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind", "after"),
    [
        (429, problem(429, retryAfter=60), {}, RateLimited, 60),
        (429, problem(429), {}, RateLimited, 12),
        (429, problem(429, retryAfter="soon"), {}, RateLimited, 12),
        (429, [], {}, RateLimited, 12),
        (429, "<html>slow down</html>", {}, RateLimited, 12),
        (429, problem(429), {"retry_after": "7"}, RateLimited, 7),
        (429, problem(429), {"x_rate_limit_reset": "31"}, RateLimited, 31),
        (503, problem(503), {"retry_after": "7"}, VendorUnavailable, 7),
        (408, problem(408), {}, VendorUnavailable, None),
    ],
)
def test_the_ways_to_say_later(status, body, headers, kind, after):
    """Seconds in the body, in a header, or not at all."""
    later = VENDOR.retry_hint(reply(body, status, **headers), NOW)
    assert (kind, after) == (type(later), later.retry_after_s)


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 410, 501])
def test_what_is_no_later(status):
    """Everything else is an answer."""
    assert None is VENDOR.retry_hint(reply({}, status), NOW)


def test_an_upsert_is_read_by_its_status():
    """A ticket, a batch that cannot be taken, or a reason to stop."""
    batch = batch_of(2)
    assert (
        "x" == run_operation(VENDOR.upsert(TARGET, batch), lambda _: reply({"batchID": "x", "totalCount": 2}, 201)).id
    )
    for status in (400, 413):
        with pytest.raises(BatchRejected, match=rf"error code p{status}\)"):
            run_operation(
                VENDOR.upsert(TARGET, batch), lambda _, status=status: reply(problem(status, "items"), status)
            )
    with pytest.raises(PermissionDenied):
        run_operation(VENDOR.upsert(TARGET, batch), lambda _: reply(problem(403), 403))


def test_a_custom_property_is_not_made_beforehand():
    """There is no call for it."""
    assert None is run_operation(VENDOR.create_field(TARGET, "x", "text"), pytest.fail)


def test_the_link_leads_to_the_vendor():
    """Not further: which address filters by a tag is not published."""
    assert "https://app.omnisend.com" == VENDOR.audience_link(TARGET)


def test_a_breach_of_the_published_contract_is_caught(account, published):
    """A channel's status, a welcome message that is not off, an empty item, another verb: none passes unseen."""
    account.export(account.segment({"email": people(1)}))
    assert ["GET", "GET", "GET", "GET", "POST", "GET"] == [exchange.entry.method for exchange in published]
    (call,) = [exchange for exchange in published if exchange.entry.method == "POST"]
    original = call.entry.body
    for old, new in (
        (b'"sendWelcomeMessage":false', b'"sendWelcomeMessage":true'),
        (b'"type":"email"', b'"type":"email","channels":{"email":{"status":"subscribed"}}'),
        (b'"items":[', b'"items":[{},'),
        (b'"method":"POST"', b'"method":"PUT"'),
    ):
        call.entry.body = original.replace(old, new)
        assert call.entry.body != original
        with pytest.raises(jsonschema.ValidationError):
            Exchange(call.entry, call.answer).check()
    call.entry.body = original
