"""Omnisend's own ways: a tag as the audience, batches of 100, results by address, a store per key."""

from __future__ import annotations

import json
from email.utils import formatdate

import jsonschema
import pyarrow as pa
import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness, people
from vendors.rows import Key
from vendors.spec_checks import Exchange

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    BatchRejected,
    FatalError,
    InvalidConnection,
    InvalidFieldMapping,
    PermissionDenied,
    RateLimited,
    UnexpectedResponse,
    VendorUnavailable,
)
from airflow_provider_segexport.model import Audience, JobState, Reason, Response
from airflow_provider_segexport.vendors import omnisend
from airflow_provider_segexport.vendors.auth import ApiEndpoint
from airflow_provider_segexport.vendors.omnisend.responses import API_VERSION
from airflow_provider_segexport.vendors.operations import run_operation

VENDOR = omnisend.VENDOR
API = "https://om.test/api"
TARGET = Audience(
    base_url=API,
    account="b1",
    account_name="Shop",
    audience="Customers",
    extra={"since": "2025-12-31", "tags_on_upsert": "merge"},
)
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z
BRAND = {"brandID": "b1", "name": "Shop"}


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "omnisend", tmp_path)


def reply(body, status=200, **headers):
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-type": "application/json", **named}, content, f"{API}/x")


def problem(status, *fields, **more):
    errors = [{"field": field, "code": "invalid", "message": "Is wrong"} for field in fields]
    return {"type": f"https://problems.omnisend.com/p{status}", "title": "No", "detail": "It is wrong.", **more} | (
        {"errors": errors} if errors else {}
    )


def sent(account):
    """The items of all batches, as the vendor got them."""
    return [item for call in account.upserts() for item in call["body"]["items"]]


def upserted(account, columns, **options):
    """Export columns; what the vendor holds of p0."""
    rows = len(next(iter(columns.values())))
    account.report = account.export(account.segment({"email": people(rows), **columns}), **options)
    assert account.report["counts"]["delivered"] == rows
    return account.members()["p0@example.com"]


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


# What travels


def test_nobodys_consent_is_touched(account):
    """No item has channels or consent, and none asks for the welcome message that is sent by default."""
    account.sim.seed("omnisend", [{"email": "p1@example.com", "status": "unsubscribed"}])
    upserted(account, {"phone": ["+37061234567", None, "+12025550100"]}, field_mapping={"phone": "phone"})
    identifiers = [identifier for item in sent(account) for identifier in item["identifiers"]]
    assert {("email", False), ("phone", False)} == {
        (identifier["type"], identifier["sendWelcomeMessage"]) for identifier in identifiers
    }
    assert {"type", "id", "sendWelcomeMessage"} == {key for identifier in identifiers for key in identifier}
    members = account.members()
    assert "unsubscribed" == members["p1@example.com"]["status"]
    assert "nonSubscribed" == members["p0@example.com"]["status"]
    assert [0, 0] == [account.facts("mails"), account.facts("consent_upgraded")]


def test_every_field_has_its_place(account):
    """Neutral fields go where the vendor has them; the tag travels in the item itself."""
    columns = {
        "first_name": ["Ann"],
        "last_name": ["O'Neill"],
        "gender": ["Female"],
        "postcode": [90001],
        "address": ["1234 Main St"],
        "city": ["Łódź"],
        "state": ["CA"],
        "country": ["us"],
        "phone": ["+1 (202) 555-0100"],
        "birthdate": ["1990-02-28"],
    }
    account.audience = "seg high_value"
    contact = upserted(account, columns, field_mapping={name: name for name in columns})
    assert ("seg high_value",) == tuple(contact["tags"])
    assert ("+12025550100",) == tuple(contact["phones"])
    assert contact["fields"] == {
        "firstName": "Ann",
        "lastName": "O'Neill",
        "gender": "f",
        "postalCode": "90001",
        "address": "1234 Main St",
        "city": "Łódź",
        "state": "CA",
        "countryCode": "US",
        "birthdate": "1990-02-28",
    }
    assert {} == account.report["warnings"]


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("gender", "m", {"gender": "m"}),
        ("gender", " MALE ", {"gender": "m"}),
        ("gender", "diverse", {}),
        ("gender", "", {}),
        ("birthdate", "1999-02-30", {}),
        ("birthdate", "28.02.1990", {}),
        ("country", "Lithuania", {"country": "Lithuania"}),
        ("country", "lt", {"countryCode": "LT"}),
        ("country", "LTU", {"country": "LTU"}),
        ("country", "UK", {"countryCode": "GB"}),
        ("country", "el", {"countryCode": "GR"}),
        ("country", "XX", {"country": "XX"}),
    ],
)
def test_what_a_field_cannot_hold_is_left_out_of_its_row(account, field, given, expected):
    """The row arrives without it, and the report counts it by field; nothing is guessed."""
    contact = upserted(account, {field: [given]}, field_mapping={field: field})
    assert expected == contact["fields"]
    left_out = {"left_out_invalid_value": 1}
    assert ({} if expected or not given else {field: left_out}) == account.report["warnings"]


@pytest.mark.parametrize("given", ["12345", "0612345678", "+37", "+0123456789", "call me", "00370612345"])
def test_a_phone_that_is_not_international_is_left_out(account, given):
    """No country is guessed; the identifier goes, not the row."""
    contact = upserted(account, {"phone": [given, "+370 612-34567"]}, field_mapping={"phone": "phone"})
    assert () == tuple(contact["phones"])
    assert ("+37061234567",) == tuple(account.members()["p1@example.com"]["phones"])
    assert {"phone": {"left_out_invalid_value": 1}} == account.report["warnings"]
    assert [1, 2] == sorted(len(item["identifiers"]) for item in sent(account))


def test_custom_properties_keep_the_type_of_their_column(account):
    """Segments at the vendor compare text, numbers and switches differently. Nothing is created beforehand."""
    columns = {
        "orders": [7],
        "spent": [12.5],
        "vip": pa.array([True]),
        "since": pa.array(["2024-05-06"]).cast(pa.date32()),
        "tier": ["gold"],
        "empty": pa.array([None], pa.string()),
    }
    contact = upserted(account, columns, custom_fields={f"my_{name}": name for name in columns})
    assert contact["fields"] == {
        "my_orders": 7,
        "my_spent": 12.5,
        "my_vip": True,
        "my_since": "2024-05-06",
        "my_tier": "gold",
    }


@pytest.mark.parametrize("name", ["favourite shop", "x" * 129, "größe", "a-b", ""])
def test_a_custom_property_that_cannot_exist(account, name):
    """Names are letters, digits and underscore."""
    with pytest.raises(InvalidFieldMapping, match=r"1 to 128 of letters, digits and _"):
        account.export(account.segment({"email": people(1), "x": ["y"]}), custom_fields={name: "x"})


def test_there_is_no_field_for_a_full_name(account):
    """It is not cut in two by guessing: the error says what the vendor takes."""
    with pytest.raises(InvalidFieldMapping, match=r"has no field for `full_name`.*first_name, last_name.*custom_field"):
        account.export(account.segment({"email": people(1), "n": ["Ann Lee"]}), field_mapping={"full_name": "n"})


def test_batches_of_a_hundred(account):
    """A job whose counters say that all went well is not asked for its items."""
    report = account.export(account.segment({"email": people(250)}))
    assert [100, 100, 50] == sorted((len(call["body"]["items"]) for call in account.upserts()), reverse=True)
    assert 250 == report["counts"]["delivered"]
    assert [] == [call for call in account.sim.requests(vendor="omnisend") if call["path"].endswith("/items")]


def test_a_row_larger_than_a_batch_may_be(account):
    """It is in the report with its reason; the others are delivered."""
    report = account.export(
        account.segment({"email": people(3), "note": ["short", "x" * 1_000_000, "short"]}), custom_fields={"n": "note"}
    )
    assert [2, 1] == [report["counts"]["delivered"], report["counts"]["rejected"]]
    assert ["row_too_large"] == [row["reason"] for row in account.rejects()]


# Jobs


def test_items_that_failed_for_the_moment_go_out_again(account):
    """429, 503 and 408 in an item mean the item, not the batch; no person arrives twice, none is lost."""
    for status, number in ((503, 1), (429, 4), (408, 7)):
        account.sim.act("omnisend", "fail_items", {"status": status, "email": f"p{number}@example.com"})
    report = account.export(account.segment({"email": people(9)}))
    assert 9 == report["counts"]["delivered"]
    assert [9, 3] == [len(call["body"]["items"]) for call in account.upserts()]


def test_an_item_that_fails_for_ever_has_a_verdict(account):
    """After some tries its row is reported as failed; the others are delivered."""
    account.sim.act("omnisend", "fail_items", {"status": 503, "email": "p1@example.com", "times": 99})
    report = account.export(account.segment({"email": people(3)}))
    assert [2, 1] == [report["counts"]["delivered"], report["counts"]["rejected"]]
    assert ["job_failed"] == [row["reason"] for row in account.rejects()]
    assert 4 == len(account.upserts())


def test_a_stopped_batch_keeps_what_it_did(account):
    """Rows before the stop are settled; the rest goes out again."""
    account.sim.act("omnisend", "stop_batches", {"after": [4]})
    report = account.export(account.segment({"email": people(10)}))
    assert 10 == report["counts"]["delivered"]
    assert [10, 6] == [len(call["body"]["items"]) for call in account.upserts()]


def test_a_batch_that_was_stopped_before_its_first_item_is_halved(account):
    """The row that stopped it is alone in a batch sooner or later."""
    account.sim.act("omnisend", "stop_batches", {"after": [0]})
    report = account.export(account.segment({"email": people(10)}))
    assert 10 == report["counts"]["delivered"]
    assert [10, 5, 5] == [len(call["body"]["items"]) for call in account.upserts()]


def test_a_batch_that_is_gone_goes_out_again(account):
    """They are kept for 7 days: a run that is resumed later finds nothing of them."""
    account.sim.act("omnisend", "script_jobs", {"scripts": [["pending"] * 50]})
    account.sim.configure({"omnisend": {"batch_days": 0}})
    target = account.call(VENDOR.resolve_audience(account.endpoint, account.audience))
    gone = "5f92cbf10cf217478ba93561"
    assert {gone: JobState.FAILED} == account.call(VENDOR.poll(target, [gone]))
    settled = account.call(VENDOR.collect(target, batch_of(3), gone))
    assert ((0, 1, 2), ()) == (settled.retry, settled.rejected)


def item_of(number, code, response=None, address=None):
    identifiers = [
        {"type": "phone", "id": "+37061234567"},
        {"type": "email", "id": address or f"P{number}@Example.com"},
    ]
    return {"itemID": "1", "request": {"identifiers": identifiers}, "response": response, "responseCode": code}


def collected(rows, *errors, responses=(), status="finished", count=None):
    batch_body = {
        "status": status,
        "totalCount": rows,
        "errorsCount": len(errors) if count is None else count,
        "errors": list(errors),
        "responses": list(responses),
    }
    return run_operation(VENDOR.collect(TARGET, batch_of(rows), "t"), lambda _: reply(batch_body))


def test_items_are_matched_by_address_and_not_by_position():
    """The vendor promises no order, and echoes addresses in any case."""
    settled = collected(
        3,
        item_of(0, 400, problem(400, "gender")),
        responses=[item_of(2, 201, {"id": "c2"}), item_of(1, 200, {"id": "c1"})],
    )
    assert [(0, Reason.INVALID_VALUE, "400", "gender: Is wrong")] == [
        (rejection.index, rejection.reason, rejection.code, rejection.message) for rejection in settled.rejected
    ]
    assert ({1: "c1", 2: "c2"}, ()) == (settled.contact_ids, settled.retry)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (problem(400, "identifiers.0.id"), Reason.INVALID_EMAIL),
        (problem(400, "identifiers[0].id"), Reason.INVALID_EMAIL),
        (problem(400, "identifiers.1.id"), Reason.INVALID_VALUE),
        (problem(400, "birthdate", "identifiers.0.id"), Reason.INVALID_EMAIL),
        (problem(409), Reason.REJECTED_BY_VENDOR),
        ("no object", Reason.REJECTED_BY_VENDOR),
        (None, Reason.REJECTED_BY_VENDOR),
    ],
)
def test_an_items_problem_becomes_a_reason(response, reason):
    """By the fields that the vendor names: the address is the first identifier that is sent."""
    assert [reason] == [rejection.reason for rejection in collected(1, item_of(0, 400, response)).rejected]


def test_a_row_that_stands_nowhere_goes_out_again_unless_the_counters_vouch_for_it():
    """A stop leaves rows out; a finished batch may leave out those that went well."""
    assert () == collected(3, item_of(0, 400)).retry
    assert (1, 2) == collected(3, item_of(0, 400), count=2).retry
    assert (1, 2) == collected(3, item_of(0, 400), status="stopped").retry
    stranger = item_of(0, 400, address="nobody@example.com")
    assert (1, 2) == collected(3, stranger, item_of(0, 400)).retry
    assert (0,) == collected(1, status="stopped", count=0).retry
    silent = {**item_of(0, 400), "request": None}
    assert (0,) == collected(1, silent).retry


def test_a_batch_stopped_with_nothing_done_is_refused_whole():
    """So that it is halved; one row alone is sent again."""
    with pytest.raises(BatchRejected, match="stopped"):
        collected(2, status="stopped")


# Polling


class Batches:
    """The vendor's list of batches, in an order of its own."""

    def __init__(self, *batches, listed=None):
        self.held = {batch_body["batchID"]: batch_body for batch_body in batches}
        self.listed = list(self.held.values()) if listed is None else listed
        self.calls = []

    def __call__(self, request):
        self.calls.append((request.url.removeprefix(f"{API}/"), dict(request.query)))
        if not request.url.endswith("/batches"):
            batch_body = self.held.get(request.url.rpartition("/")[2])
            return reply(batch_body) if batch_body else reply(problem(404), 404)
        offset = int(request.query["offset"])
        return reply({"batches": self.listed[offset : offset + 250], "paging": {"offset": offset}})

    def poll(self, *tickets, target=TARGET):
        return run_operation(VENDOR.poll(target, tickets), self)


def job(number, status="finished", total=100, finished=None, errors=0):
    return {
        "batchID": f"b{number}",
        "status": status,
        "totalCount": total,
        "finishedCount": total if finished is None else finished,
        "errorsCount": errors,
    }


@pytest.mark.parametrize(
    ("batch_body", "state"),
    [
        (job(1, "pending", finished=0), JobState.RUNNING),
        (job(1, "inProgress", finished=50), JobState.RUNNING),
        (job(1), JobState.ACCEPTED),
        (job(1, errors=1), JobState.FINISHED),
        (job(1, finished=99), JobState.FINISHED),
        (job(1, "stopped", errors=50), JobState.FAILED),
    ],
)
def test_the_states_of_a_batch(batch_body, state):
    """A batch that finished with all its items taken needs no collecting."""
    assert {"b1": state} == Batches(batch_body).poll("b1")


def test_an_unknown_state_stops():
    """It is not taken for one that is known."""
    with pytest.raises(UnexpectedResponse, match="'paused', which is not documented"):
        Batches(job(1, "paused")).poll("b1")


def test_one_call_tells_two_hundred_and_fifty():
    """Pages end as soon as all are found; they begin on the day of the check."""
    batches = Batches(*[job(number) for number in range(600)])
    assert 300 == len(batches.poll(*[f"b{number}" for number in range(300)]))
    page = {"endpoint": "contacts", "limit": "250", "dateFrom": "2025-12-31"}
    assert [("batches", {**page, "offset": "0"}), ("batches", {**page, "offset": "250"})] == batches.calls


def test_without_a_day_the_list_begins_where_the_vendor_begins_it():
    """A waiting trigger knows only the address and the tag."""
    batches = Batches(job(1), job(2))
    batches.poll("b1", "b2", target=Audience(API, "", "", "x"))
    assert "dateFrom" not in batches.calls[0][1]


def test_a_single_batch_is_asked_for_by_itself():
    """A page would cost as much, and holds the batches of every program."""
    batches = Batches(*[job(number) for number in range(600)])
    batches.poll("b599")
    assert [("batches/b599", {})] == batches.calls


def test_pages_are_read_while_they_cost_less_than_asking_singly():
    """The order of the list is not documented: where it puts ours last, polling does not eat the quota."""
    batches = Batches(*[job(number) for number in range(10_000)])
    last = [f"b{number}" for number in range(9_995, 10_000)]
    assert last == sorted(batches.poll(*last))
    assert ["batches"] * 4 == [path for path, _ in batches.calls if path == "batches"]
    assert 4 + 5 == len(batches.calls)


def test_a_batch_that_the_list_leaves_out_is_asked_for():
    """If the list changes while it is read, no person is lost."""
    batches = Batches(*[job(number) for number in range(4)], listed=[job(0), job(1)])
    states = batches.poll("b0", "b1", "b2", "b3", "gone")
    assert [JobState.ACCEPTED] * 4 + [JobState.FAILED] == [states[name] for name in ("b0", "b1", "b2", "b3", "gone")]
    assert ["batches", "batches/b2", "batches/b3", "batches/gone"] == [path for path, _ in batches.calls]


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
    last = {"contacts": [{"id": "c2", "email": ""}, person], "paging": {"hasMore": True, "cursors": {"after": "z"}}}
    run_operation(
        VENDOR.list_members(TARGET, members.extend), lambda _: reply(last)
    )  # a cursor that does not move ends it, too
    assert {"c1"} == {member.contact_id for member in members}


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
