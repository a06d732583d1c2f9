"""Fields that the published contracts call optional may be absent or null: no row is lost, and no run crashes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness
from vendors.rows import row

from airflow_provider_segexport.errors import InvalidFieldMapping, UnexpectedResponse, VendorUnavailable
from airflow_provider_segexport.model import Audience, JobState, Reason, Response
from airflow_provider_segexport.vendors.auth import ApiEndpoint, OAuthCredentials
from airflow_provider_segexport.vendors.campaign_monitor import removals
from airflow_provider_segexport.vendors.constant_contact.imports import collect
from airflow_provider_segexport.vendors.constant_contact.removals import resolve_ids as leavers_of_constant_contact
from airflow_provider_segexport.vendors.dotdigital import VENDOR as DOTDIGITAL
from airflow_provider_segexport.vendors.dotdigital.removals import resolve_ids
from airflow_provider_segexport.vendors.omnisend.imports import batch_result, job_state
from airflow_provider_segexport.vendors.operations import run_operation
from airflow_provider_segexport.vendors.registry import VENDORS

TARGET = Audience(base_url="https://v.test", account="1", account_name="Shop", audience="7")


def reply(body, status=200):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": "text/html" if isinstance(body, bytes) else "application/json"}, content)


@pytest.mark.parametrize("subscriber", [{"State": "Paused"}, {"State": None}, {}, {"State": "Suppressed"}])
def test_campaign_monitor_leaves_an_unknown_state_alone(subscriber):
    """The person is not deleted, and the reason is named."""
    calls = []

    def send(request):
        calls.append(request.method)
        return reply(subscriber)

    (refusal,) = run_operation(removals.remove(TARGET, batch_of(1)), send).rejected
    assert calls == ["GET"]
    assert refusal.reason in {Reason.REJECTED_BY_VENDOR, Reason.SUPPRESSED}


MERGING = Audience(base_url="", account="a", account_name="A", extra={"tags_on_upsert": "merge"})


@pytest.mark.parametrize("field", ["errorsCount", "finishedCount", "totalCount"])
@pytest.mark.parametrize("lacking", ["absent", "null"])
def test_omnisend_counts_may_lack(field, lacking):
    """A batch without its counts is read item by item, and rows without a result go out again."""
    batch = {"status": "finished", "errorsCount": 0, "finishedCount": 3, "totalCount": 3, field: None}
    if lacking == "absent":
        del batch[field]
    assert job_state(MERGING, batch) is JobState.FINISHED
    assert job_state(MERGING, {"status": "finished"}) is JobState.FINISHED
    assert batch_result({"status": "finished", "errors": [{}]}, batch_of(3)).retry == (0, 1, 2)


@pytest.mark.parametrize(
    "contact", [{"contactId": 5}, {"contactId": 5, "lists": None}, {"contactId": 5, "lists": [{}]}]
)
@pytest.mark.parametrize("in_book", [True, False])
def test_dotdigital_contact_without_lists(contact, in_book):
    """If a contact's own record does not say so, the address book shows whether it is a member."""
    resolved = []
    page = {"_items": [{"contactId": 5, "identifiers": {"email": "A@example.com"}}] if in_book else []}

    def send(request):
        return reply(page if request.query.get("~listId") else contact)

    run_operation(resolve_ids(TARGET, ["a@example.com"], resolved.extend), send)
    assert [member.email for member in resolved] == (["a@example.com"] if in_book else [])


@pytest.mark.parametrize("record", [{"email_address": {"address": "a@example.com"}}, {"list_memberships": ["7"]}])
def test_constant_contact_contact_without_memberships_or_address(record):
    """If a contact's own record does not say so, the list shows whether it is a member."""
    resolved = []
    person = {"contact_id": "5", "email_address": {"address": "a@example.com"}}
    urls = []

    def send(request):
        urls.append(request.url)
        return reply({"contacts": [person if "lists=7" in request.url else {"contact_id": "5", **record}]})

    run_operation(leavers_of_constant_contact(TARGET, ["a@example.com"], resolved.extend), send)
    assert [(member.email, member.contact_id) for member in resolved] == [("a@example.com", "5")]
    assert "lists=7" in urls[-1]


@pytest.mark.parametrize("person", [{}, {"suppressedContact": None}, {"suppressedContact": {"email": "A@example.com"}}])
def test_dotdigital_opt_outs_may_lack_dates(person):
    """An opt-out without a date counts; one without a contact has no address."""
    optouts = []
    target = TARGET

    def send(request):
        return reply([person] if request.query["skip"] == "0" else [])

    run_operation(DOTDIGITAL.list_optouts(target, 0.0, optouts.extend), send)
    assert {optout.email for optout in optouts} == ({"a@example.com"} if person.get("suppressedContact") else set())


def test_dotdigital_data_fields_of_unlisted_types_are_skipped():
    """A type that this version of the API does not know, and none at all."""
    bodies = {
        "account-info": {"id": 1, "properties": [{"name": "ApiEndpoint", "value": "https://v.test"}, {"name": "Name"}]},
        "7": {"id": 7, "name": "Book"},
        "data-fields": [
            {"name": "OK", "type": "String"},
            {"name": "NEW", "type": "NotAvailableInThisVersion"},
            {"name": "NONE"},
        ],
    }
    check = DOTDIGITAL.resolve_audience(ApiEndpoint("https://v.test", is_default_url=False), "7")
    target = run_operation(check, lambda request: reply(bodies[request.url.rpartition("/")[2]]))
    assert set(target.fields) == {"ok"}
    assert target.unsupported == {"new": "NotAvailableInThisVersion", "none": ""}


PAGE = b"<!DOCTYPE html><html>Unauthorized: request blocked</html>"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 451])
@pytest.mark.parametrize("name", VENDORS)
def test_a_firewall_s_page_is_no_verdict_on_the_account(name, status):
    """It says nothing of a credential, a region, a permission, an audience or a person, at any vendor."""
    vendor = VENDORS[name]
    operations = [
        vendor.resolve_audience(ApiEndpoint("https://v.test", is_default_url=False), row(name).sample_audience),
        vendor.upsert(TARGET, batch_of(1)),
        vendor.removal.remove(TARGET, batch_of(1)),
        vendor.list_members(TARGET, lambda _: None),
    ]
    if vendor.list_optouts is not None:
        operations.append(vendor.list_optouts(TARGET, 0.0, lambda _: None))
    for operation in operations:
        with pytest.raises(VendorUnavailable, match="web page"):
            run_operation(operation, lambda _: reply(PAGE, status))


def test_a_person_is_not_absent_because_of_a_firewall_s_page():
    """A 404 in HTML does not say that dotdigital has no such contact."""
    with pytest.raises(VendorUnavailable):
        run_operation(resolve_ids(TARGET, ["a@example.com"], lambda _: None), lambda _: reply(PAGE, 404))


@pytest.mark.parametrize("token", [None, "", True, {}, ["x"]])
@pytest.mark.parametrize("name", ["campaign_monitor", "constant_contact"])
def test_an_access_token_that_is_none_is_named(name, token):
    """The word `None` never becomes a credential."""
    refresh = VENDORS[name].oauth.refresh
    access = ApiEndpoint("https://v.test", is_default_url=False)
    with pytest.raises(UnexpectedResponse, match="access_token"):
        run_operation(
            refresh(access, OAuthCredentials("id", "secret", "old"), 0.0), lambda _: reply({"access_token": token})
        )


@pytest.mark.parametrize("id_", [None, "", False, [], {}, 7, 7.5, "a/b", "a b", "x?y", "é", "x" * 101])
@pytest.mark.parametrize("name", VENDORS)
def test_a_job_without_an_id_is_named(name, id_):
    """Neither the word `None` nor what has not the form of an id becomes the id of a job: retries would ask for it."""
    member = row(name).job_id or pytest.skip("this vendor has no jobs")
    with pytest.raises(UnexpectedResponse, match=member):
        run_operation(VENDORS[name].upsert(TARGET, batch_of(1)), lambda _: reply({member: id_}, 202))


@pytest.mark.parametrize(("name", "member"), [("constant_contact", "activity_id"), ("dotdigital", "id")])
def test_a_removal_job_without_an_id_is_named(name, member):
    """As an import's."""
    batch = batch_of(1)
    for id_ in (None, 7, "pending"):
        with pytest.raises(UnexpectedResponse, match=f"id '{member}'"):
            run_operation(VENDORS[name].removal.remove(TARGET, batch), lambda _, id_=id_: reply({member: id_}, 202))


@pytest.mark.parametrize(("given", "expected"), [(12, "12"), ("12", "12"), ("1,2", ""), (1.5, ""), (0, ""), (True, "")])
def test_a_contact_id_at_dotdigital_is_a_number(given, expected):
    """Ids stand in the body of a removal as they are: another text would name other people."""
    members = []
    page = {"_items": [{"contactId": given, "identifiers": {"email": "a@example.com"}}]}
    run_operation(VENDORS["dotdigital"].list_members(TARGET, members.extend), lambda _: reply(page))
    assert [expected] == [member.contact_id for member in members]


def test_campaign_monitor_pages_without_their_number():
    """Pages are read until one is empty."""
    pages = {"1": ["a@example.com"], "2": ["b@example.com", None], "3": []}
    members = []

    def send(request):
        return reply({"Results": [{"EmailAddress": email} for email in pages[request.query["page"]]]})

    run_operation(VENDORS["campaign_monitor"].list_members(TARGET, members.extend), send)
    assert [member.email for member in members] == ["a@example.com", "b@example.com"]


def test_campaign_monitor_suppression_without_a_date_counts():
    """The day of a suppression may be absent; the suppression holds all the same."""
    optouts = []
    target = replace(TARGET, extra={"client_id": "c"})

    def send(request):
        people = [{"EmailAddress": "a@example.com"}] if "suppressionlist" in request.url else []
        return reply({"Results": people, "NumberOfPages": 1})

    run_operation(VENDORS["campaign_monitor"].list_optouts(target, 1e9, optouts.extend), send)
    assert [(person.email, person.reason) for person in optouts] == [("a@example.com", Reason.SUPPRESSED)]


def test_a_mapped_field_of_an_unlisted_type_is_refused(sim, tmp_path):
    """It exists: it is neither reported as lacking nor made again."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    check = DOTDIGITAL.resolve_audience

    def with_new_type(access, audience):
        target = yield from check(access, audience)
        return replace(target, unsupported={"shop_nr": "NotAvailableInThisVersion"})

    account.vendor = replace(account.vendor, resolve_audience=with_new_type)
    segment = account.segment({"email": ["a@example.com"], "nr": ["1"]})
    with pytest.raises(InvalidFieldMapping, match=r"'SHOP_NR' exists at dotdigital.*NotAvailableInThisVersion.*To fix"):
        account.export(segment, custom_fields={"SHOP_NR": "nr"}, create_custom_fields=True)
    assert [call["path"] for call in sim.requests(vendor="dotdigital") if call["method"] == "POST"] == []


@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {}}, {"status": {"person_count": None}}])
def test_constant_contact_activity_without_counters(status):
    """A completed activity without counters proves no delivery: the rows are looked for in the list."""
    activity = {"activity_id": "a", "state": "completed", **status}
    settled = run_operation(collect(TARGET, batch_of(3), "a"), lambda _: reply(activity))
    assert (settled.unattributed, settled.unattributed_reason, settled.rejected) == (3, Reason.NO_RESULT, ())
    activity["activity_errors"] = ["Line 3: Invalid email"]
    settled = run_operation(collect(TARGET, batch_of(3), "a"), lambda _: reply(activity))
    assert (settled.unattributed, [rejection.index for rejection in settled.rejected]) == (2, [1])


@pytest.mark.parametrize(
    ("vendor", "contact"),
    [
        ("omnisend", lambda email, member: {"email": email, "tags": ["7"] if member else []}),
        (
            "constant_contact",
            lambda email, member: {"email_address": {"address": email}, "list_memberships": ["7"] if member else []},
        ),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_record_of_an_address_with_two_spellings(vendor, contact, order):
    """At a vendor with case-sensitive addresses, the record is that of the address as exports send it."""
    contacts = [contact("Ann@example.com", member=False), contact("ann@example.com", member=True)][::order]
    read_record = VENDORS[vendor].verification.read_record
    record = run_operation(read_record(TARGET, "ann@example.com"), lambda _: reply({"contacts": contacts}))
    assert record.is_member
