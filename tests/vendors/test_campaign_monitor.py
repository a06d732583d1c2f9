"""Campaign Monitor's own ways: codes in replies, 401 for anything, keys of fields, and what is never sent."""

from __future__ import annotations

import json

import pytest
from core.factories import batch_of
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    BatchRejected,
    InvalidConnection,
    PermissionDenied,
    UnexpectedResponse,
)
from airflow_provider_segexport.model import Audience, Reason, Response
from airflow_provider_segexport.vendors import campaign_monitor as vendor
from airflow_provider_segexport.vendors.campaign_monitor.responses import raise_for
from airflow_provider_segexport.vendors.operations import run_operation

TARGET = Audience(base_url="https://cm.test/api/v3.3", account="all", account_name="Shop", audience="a" * 32)


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "campaign_monitor", tmp_path)


def answer(code, message="Words", status=400, **more):
    body = {"Code": code, "Message": message, **more}
    return Response(status, {"content-type": "application/json"}, json.dumps(body).encode(), "https://cm.test/x")


def upsert(reply, rows=3):
    return run_operation(vendor.VENDOR.upsert(TARGET, batch_of(rows)), lambda _: reply)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (60, PermissionDenied),
        (100, AuthenticationFailed),
        (101, AudienceNotFound),
        (102, InvalidConnection),
        (120, AuthenticationFailed),
        (121, AuthenticationFailed),
        (122, AuthenticationFailed),
        (999, AuthenticationFailed),
    ],
)
def test_a_401_is_classified_by_its_code(code, kind):
    """It also answers for an id that is not this account's, and for a scope that is missing."""
    with pytest.raises(kind, match=rf"401 \(error code {code}\)\. "):
        raise_for(answer(code, status=401))


def test_an_agency_only_resource():
    """403 with code 403 is a missing right, any other 403 a refused key."""
    with pytest.raises(PermissionDenied):
        raise_for(answer(403, status=403))
    with pytest.raises(AuthenticationFailed):
        raise_for(answer(1, status=403))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, Reason.INVALID_EMAIL),
        (204, Reason.SUPPRESSED),
        (205, Reason.DELETED),
        (206, Reason.UNSUBSCRIBED),
        (207, Reason.BOUNCED),
        (208, Reason.PENDING_CONFIRMATION),
        (220, Reason.INVALID_VALUE),
        (4711, Reason.REJECTED_BY_VENDOR),
    ],
)
def test_why_a_person_was_not_added(code, reason):
    """Each code is one reason of the shared list; one that is new keeps its number and words."""
    failures = [{"EmailAddress": "P1@example.com", "Code": code, "Message": "Words"}]
    settled = upsert(answer(210, ResultData={"FailureDetails": failures}))
    (refusal,) = settled.rejected
    assert (refusal.index, refusal.reason, refusal.code, refusal.message) == (1, reason, str(code), "Words")


def test_partial_success_is_a_success():
    """400 with code 210 is the normal answer to a good batch with one bad address: the others are in."""
    details = [{"EmailAddress": f"p{n}@example.com", "Code": 1, "Message": ""} for n in (0, 2, 2)]
    assert [rejection.index for rejection in upsert(answer(210, ResultData={"FailureDetails": details})).rejected] == [
        0,
        2,
    ]


@pytest.mark.parametrize("operation", [vendor.removals.remove, vendor.resubscribe.resubscribe_removed])
@pytest.mark.parametrize(("code", "kind"), [(101, AudienceNotFound), (102, InvalidConnection), (5, BatchRejected)])
def test_a_call_about_one_person_that_concerns_all(operation, code, kind):
    """A list that is gone is no fault of its people, also if the vendor answers 400."""
    with pytest.raises(kind):
        run_operation(operation(TARGET, batch_of(1)), lambda _: answer(code))
    with pytest.raises(kind):
        run_operation(vendor.removals.delete(TARGET, "a@example.com"), lambda _: answer(code))


def test_a_custom_field_whose_key_is_the_name_of_another():
    """A user means the field with the name, in whatever order the vendor lists the two."""
    entries = [
        {"FieldName": "My Field", "Key": "[MyField]", "DataType": "Number"},
        {"FieldName": "MyField", "Key": "[MyField1]", "DataType": "Text"},
    ]
    for order in (entries, entries[::-1]):
        fields = vendor.account.custom_fields(order)
        assert {name: field.key for name, field in fields.items()} == {
            "my field": "MyField",
            "myfield": "MyField1",
            "myfield1": "MyField1",
        }


def test_a_custom_field_whose_creation_had_no_response(account):
    """The repeated call says that the field exists, which is what was wanted."""
    target = account.call(vendor.VENDOR.resolve_audience(account.endpoint, account.audience))
    account.sim.faults([{"method": "POST", "path": "customfields.json$", "drop": True, "when": "after"}])
    account.call(vendor.VENDOR.create_field(target, "Favourite Shop", "text"))
    target = account.call(vendor.VENDOR.resolve_audience(account.endpoint, account.audience))
    assert "favourite shop" in target.fields


def test_a_person_who_is_not_in_the_batch():
    """A result that matches no row is an error."""
    details = [{"EmailAddress": "else@example.com", "Code": 1, "Message": ""}]
    with pytest.raises(UnexpectedResponse, match="not in the batch"):
        upsert(answer(210, ResultData={"FailureDetails": details}))


@pytest.mark.parametrize("reply", [answer(210), answer(210, ResultData={}), Response(201, {}, b"{}")])
def test_a_reply_without_verdicts_is_not_a_success(reply):
    """The rows are found by reading the list back."""
    settled = upsert(reply)
    assert (settled.unattributed, settled.unattributed_reason) == (3, Reason.NO_RESULT)


def test_a_reply_without_failures_whose_counters_add_up():
    """The counters say that all rows were taken."""
    assert upsert(Response(201, {}, b'{"TotalNewSubscribers":1,"TotalExistingSubscribers":2}')).unattributed == 0


@pytest.mark.parametrize(("new", "existing", "rejected", "open_rows"), [(2, 3, 1, 0), (0, 0, 2, 4), (1, 1, 1, 3)])
def test_rows_that_the_counters_leave_out_are_found_by_reading_the_list_back(new, existing, rejected, open_rows):
    """A vendor that drops a person silently would otherwise have the person reported as delivered."""
    failures = [{"EmailAddress": f"p{n}@example.com", "Code": 206, "Message": ""} for n in range(rejected)]
    counters = {"TotalNewSubscribers": new, "TotalExistingSubscribers": existing, "FailureDetails": failures}
    settled = upsert(answer(210, ResultData=counters), rows=6)
    assert (len(settled.rejected), settled.unattributed) == (rejected, open_rows)


def test_a_failure_without_an_address_is_counted():
    """It is found by reading the list back, also where the failure is null."""
    assert upsert(answer(210, ResultData={"FailureDetails": [{"Code": 206}, None]})).unattributed == 2


def test_a_reply_of_another_shape_is_refused():
    """A list says nothing of an import."""
    with pytest.raises(UnexpectedResponse):
        upsert(Response(200, {}, b"[]"))


@pytest.mark.parametrize("code", [209, 212, 400])
def test_codes_that_refuse_the_whole_batch(code):
    """One malformed item fails all of them: the batch is halved."""
    with pytest.raises(BatchRejected, match=str(code)):
        upsert(answer(code))


def test_no_person_is_resubscribed_and_no_mail_is_triggered(account):
    """The switches are said in every call, and people of every state stay in it."""
    states = ("unsubscribed", "bounced", "deleted", "unconfirmed", "suppressed")
    seeded = [{"email": f"p{n}@example.com", "status": state} for n, state in enumerate(states)]
    account.sim.seed(account.name, seeded, account.audience)
    report = account.export(account.segment({"email": people(6)}))
    assert report["reasons"] == {
        "rejected": dict.fromkeys(("bounced", "pending_confirmation", "suppressed", "unsubscribed"), 1),
        "withheld": {"deleted": 1},
    }
    (call,) = account.upserts()
    switches = {key: value for key, value in call["body"].items() if key != "Subscribers"}
    assert switches == {
        "Resubscribe": False,
        "QueueSubscriptionBasedAutoresponders": False,
        "RestartSubscriptionBasedAutoresponders": False,
    }
    assert {person["ConsentToTrack"] for person in call["body"]["Subscribers"]} == {"Unchanged"}
    before = {f"p{n}@example.com": state.capitalize() for n, state in enumerate(states[:4])}
    assert {email: member["status"] for email, member in account.members().items()} == before | {
        "p5@example.com": "Active"
    }


def test_names_are_joined(account):
    """There is one name field: first and last name become it, as far as they are there."""
    columns = {"email": people(4), "first": ["Ann", None, "Cid", None], "last": ["Lee", "Ray", None, None]}
    account.export(account.segment(columns), field_mapping={"first_name": "first", "last_name": "last"})
    names = [account.members()[email]["name"] for email in people(4)]
    assert names == ["Ann Lee", "Ray", "Cid", ""]


def test_a_custom_field_goes_by_its_bare_key(account):
    """The vendor would drop an unknown key silently: names are looked up, with blanks or without."""
    segment = account.segment({"email": people(1), "tier": ["gold"]})
    for name in ("Loyalty Tier", "loyaltytier"):
        account.export(segment, name, custom_fields={name: "tier"})
        (*_, call) = account.upserts()
        assert call["body"]["Subscribers"][0]["CustomFields"] == [{"Key": "LoyaltyTier", "Value": "gold"}]
        assert call["notes"] == []


def test_dates_are_written_the_vendor_s_way(account):
    """A birthdate made into a date field of the list, year first: dd/mm would be read either way round."""
    import datetime as dt  # noqa: PLC0415

    segment = account.segment({"email": people(1), "born": [dt.date(1990, 2, 1)]})
    account.export(segment, field_mapping={"birthdate": "born"})
    (call,) = account.upserts()
    assert call["body"]["Subscribers"][0]["CustomFields"] == [{"Key": "Birthdate", "Value": "1990/02/01"}]
    assert account.members()["p0@example.com"]["fields"] == {"Birthdate": "1990-02-01"}


def test_a_value_too_long_is_rejected_by_row(account):
    """250 characters fit; the vendor would cut the rest, and the person would read half a sentence."""
    segment = account.segment({"email": people(2), "tier": ["x" * 250, "x" * 251]})
    report = account.export(segment, custom_fields={"Loyalty Tier": "tier"})
    assert report["reasons"] == {"rejected": {"value_too_long": 1}}
    assert [(row["file_row"], row["field"]) for row in account.rejects()] == [(1, "Loyalty Tier")]


def test_a_client_s_key_is_enough(account):
    """A key of one client may not list the clients: what it may do, the list proves."""
    account.sim.faults(
        [{"vendor": account.name, "path": "clients.json", "status": 401, "body": {"Code": 60, "Message": ""}}]
    )
    target = account.call(vendor.VENDOR.resolve_audience(account.endpoint, account.audience))
    assert (target.account_name, target.audience) == ("one client", account.audience)


def test_a_list_that_asks_to_confirm_is_noted(account):
    """Whether imports wait for it is not documented: the note is in the plan's target."""
    audience = account.described["audiences"][3]["id"]
    assert account.call(vendor.VENDOR.resolve_audience(account.endpoint, audience)).warnings == (
        "The list asks new subscribers to confirm.",
    )
