"""dotdigital: what becomes of each contact of an import, and single contacts."""

from __future__ import annotations

import pytest
from simulator.dotdigital_people import codes, member

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("overwrite", {"FIRSTNAME": "New", "LASTNAME": "", "POSTCODE": "N5"}),
        ("overwriteIfNotEmpty", {"FIRSTNAME": "New", "LASTNAME": "Old", "GENDER": "F", "POSTCODE": "N5"}),
        ("overwriteIfEmpty", {"FIRSTNAME": "Old", "LASTNAME": "Old", "GENDER": "F", "POSTCODE": "N5"}),
    ],
)
def test_merge_options(sim, dd, option, expected):
    """Null clears on overwrite only, empty values overwrite on overwrite only, absent ones stay."""
    dd.load(dd.contact("ada@example.com", dataFields={"FIRSTNAME": "Old", "LASTNAME": "Old", "GENDER": "F"}))
    new = {"FIRSTNAME": "New", "LASTNAME": "", "GENDER": None, "POSTCODE": "N5"}
    dd.load(dd.contact("ada@example.com", dataFields=new), mergeOption=option)
    assert member(sim, "ada@example.com")["fields"] == expected


@pytest.mark.parametrize("status", ["unsubscribed", "suppressed", "hardBounced", "pendingOptIn"])
def test_no_status_leaves_the_status_alone_but_updates_fields(sim, dd, status):
    """Opted-out people stay so; their data fields are updated and lists added."""
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": status}])
    report = dd.load(dd.contact("gone@example.com", dataFields={"FIRSTNAME": "Ada"}))
    assert report["summary"]["updatedContacts"] == 1
    person = member(sim, "gone@example.com", str(dd.book))
    assert (person["status"], person["fields"]) == (status, {"FIRSTNAME": "Ada"})


def test_status_subscribed_resubscribes_and_is_seen(sim, dd):
    """A client that sends a status does damage, and history and log show it."""
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": "unsubscribed"}])
    dd.load(dd.contact("gone@example.com", channelProperties={"email": {"status": "subscribed"}}))
    person = member(sim, "gone@example.com")
    assert person["status"] == "subscribed"
    assert "resubscribed, was unsubscribed" in [event for _, event in person["history"]]
    assert sim.requests()[0]["facts"]["resubscribed"] == 1


def test_resubscription_with_a_challenge_sends_a_mail(sim, dd):
    """The person stays out until the mail is answered."""
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": "unsubscribed"}])
    email = {"status": "subscribed", "resubscribeOptions": {"resubscribeWithNoChallenge": False}}
    body = {"contacts": [dd.contact("gone@example.com", channelProperties={"email": email})]}
    dd("PUT", "/contacts/v3/import", body, check=False)  # the spec forbids what its prose describes
    sim.clock.advance(10)
    assert sim.members("dotdigital", "all-contacts")["mails"] == {"resubscription challenge": 1}
    assert member(sim, "gone@example.com")["status"] == "unsubscribed"


def test_status_unsubscribed_is_seen(sim, dd):
    """Unsubscribing through an import shows in the log."""
    dd.load(dd.contact("ada@example.com", channelProperties={"email": {"status": "unsubscribed"}}))
    assert member(sim, "ada@example.com")["status"] == "unsubscribed"
    assert sim.requests()[0]["facts"]["unsubscribed"] == 1


def test_double_opt_in_sends_a_confirmation(sim, dd):
    """By the contact's opt-in type or by the account's setting, new people wait and get a mail."""
    dd.load(dd.contact("ada@example.com", channelProperties={"email": {"optInType": "verifiedDouble"}}))
    sim.configure({"dotdigital": {"enforce_double_opt_in": True}})
    dd.load("bob@example.com")
    shown = sim.members("dotdigital", str(dd.book))
    assert (shown["counts"], shown["mails"]) == ({"pendingOptIn": 2}, {"confirmation": 2})


def test_lists_are_only_ever_added(sim, dd):
    """Naming one list does not remove any person from another."""
    dd.load("ada@example.com")
    dd.load(dd.contact("ada@example.com", lists=[dd.other_book]))
    dd.load({"matchIdentifier": "email", "identifiers": {"email": "ada@example.com"}})
    assert member(sim, "ada@example.com")["lists"] == (dd.book, dd.other_book)
    events = [event for _, event in member(sim, "ada@example.com")["history"]]
    assert f"added to list {dd.other_book}" in events


def test_unsubscribed_from_one_list_stays_so(sim, dd):
    """By assumption an import does not bring such a person back; it can be set to."""
    people = [{"email": "ada@example.com", "status": "unsubscribedFromList"}]
    sim.seed("dotdigital", people, str(dd.book))
    dd.load("ada@example.com")
    assert member(sim, "ada@example.com", str(dd.book))["in_list"] == "suppressed"
    sim.configure({"dotdigital": {"readd_list_unsubscribed": True}})
    dd.load("ada@example.com")
    assert member(sim, "ada@example.com", str(dd.book))["in_list"] == "subscribed"


def test_bad_values_may_be_ignored(sim, dd):
    """Also undocumented: the contact may be imported without the value."""
    sim.configure({"dotdigital": {"bad_value": "ignore"}})
    report = dd.load(dd.contact("ada@example.com", dataFields={"ORDERS": "many", "FIRSTNAME": "Ada"}))
    assert report["summary"]["newContacts"] == 1
    assert member(sim, "ada@example.com")["fields"] == {"FIRSTNAME": "Ada"}


def test_match_by_other_identifiers(sim, dd):
    """Contacts are also matched by mobile number, custom id and contact id."""
    dd.load(dd.contact("ada@example.com", identifiers={"email": "ada@example.com", "mobileNumber": "447123123123"}))
    by_mobile = {"identifiers": {"mobileNumber": "447123123123", "customerId": "C1"}}
    dd.load(dd.contact("", matchIdentifier="mobileNumber", **by_mobile))
    person = member(sim, "ada@example.com")
    assert person["identifiers"] == {"mobileNumber": "447123123123", "customerId": "C1"}
    moved = {"identifiers": {"contactId": person["id"], "email": "ada.l@example.com"}}
    dd.load(dd.contact("", matchIdentifier="contactId", **moved))
    assert member(sim, "ada.l@example.com")["id"] == person["id"]
    assert dd.load("ada@example.com")["summary"]["newContacts"] == 1


def test_identifiers_that_do_not_fit(dd):
    """Unknown kinds, missing values, foreign ids and taken addresses fail their contact."""
    dd.load("ada@example.com", "bob@example.com")
    report = dd.load(
        dd.contact("", matchIdentifier="shoe", identifiers={"email": "1", "shoe": "42"}),
        dd.contact("", matchIdentifier="customerId", identifiers={"email": "2"}),
        dd.contact("", matchIdentifier="contactId", identifiers={"email": "3", "contactId": 1}),
        dd.contact("", matchIdentifier="customerId", identifiers={"email": "ada@example.com", "customerId": "C9"}),
    )
    assert codes(report) == {
        "1": "invalidMatchIdentifier",
        "2": "noValidIdentifiers",
        "3": "invalidContactId",
        "ada@example.com": "duplicateIdentifier",
    }


def test_single_patch_creates_then_updates(sim, dd):
    """PATCH answers 201 for a new contact, 200 after, with the same merge options."""
    path = "/contacts/v3/email/ada@example.com"
    created = dd("PATCH", path, {"dataFields": {"FIRSTNAME": "Ada"}, "lists": [dd.book]})
    assert created.status_code == 201
    params = {"merge-option": "overwrite-if-empty"}
    updated = dd("PATCH", path, {"dataFields": {"FIRSTNAME": "X", "CITY": "Rome"}}, params=params)
    assert updated.status_code == 200
    assert updated.json()["dataFields"]["FIRSTNAME"] == "Ada"
    assert updated.json()["contactId"] == created.json()["contactId"]
    assert sim.requests()[1]["notes"] == ["unknown data field 'CITY'"]
    bad = dd("PATCH", path, {}, params={"merge-option": "overwriteIfEmpty"})
    assert bad.status_code == 400
    wrong = dd("PATCH", "/contacts/v3/email/nobody", {})
    assert wrong.json()["errorCode"] == "contacts:invalidId"


def test_create_refuses_a_known_address(dd):
    """POST answers 201 once and 409 after."""
    body = {"identifiers": {"email": "ada@example.com"}}
    assert dd("POST", "/contacts/v3", body).status_code == 201
    taken = dd("POST", "/contacts/v3", body)
    assert (taken.status_code, taken.json()["errorCode"]) == (409, "contacts:idAlreadyExists")
    assert dd("POST", "/contacts/v3", {"identifiers": {}}).status_code == 400


def test_replace_loses_what_is_not_sent(sim, dd):
    """PUT wipes fields and lists; the log shows it."""
    dd.load(dd.contact("ada@example.com", dataFields={"FIRSTNAME": "Ada"}))
    body = {"identifiers": {"email": "ada@example.com"}, "dataFields": {"LASTNAME": "L"}}
    shown = dd("PUT", "/contacts/v3/email/ada@example.com", body).json()
    assert (shown["dataFields"]["FIRSTNAME"], shown["lists"]) == (None, [])
    assert sim.requests()[-1]["facts"]["replaced"] == 1
    assert dd("PUT", "/contacts/v3/email/x@example.com", body).status_code == 404


def test_deletion_from_the_account_is_seen(sim, dd):
    """The dangerous call removes the person everywhere and shows in log and history."""
    contact_id = dd.load("ada@example.com")["created"][0]["contactId"]
    gone = dd("DELETE", "/contacts/v3/email/ada@example.com")
    assert (gone.status_code, gone.json()) == (200, {"contactId": contact_id})
    assert sim.requests()[-1]["facts"] == {"account_deleted": 1}
    assert sim.members("dotdigital", str(dd.book))["counts"] == {}
    (person,) = sim.members("dotdigital", "deleted")["members"]
    assert person["history"][-1][1] == "deleted from the account"
    missing = dd("GET", f"/contacts/v3/contactId/{contact_id}")
    assert (missing.status_code, missing.json()["errorCode"]) == (404, "contacts:contactNotFound")
    assert dd.load("ada@example.com")["created"][0]["contactId"] != contact_id


def test_bulk_deletion_from_the_account(sim, dd):
    """It is a job with a report of its own."""
    dd.load("ada@example.com", "bob@example.com")
    body = [{"email": "ada@example.com"}, {"email": "x@example.com"}]
    job = dd("POST", "/contacts/v3/delete", body)
    assert job.status_code == 202
    path = f"/contacts/v3/delete/{job.json()['deleteId']}"
    assert dd("GET", path).json()["status"] == "NotFinished"
    sim.clock.advance(10)
    done = dd("GET", path).json()
    assert (done["status"], done["deleted"]) == ("Finished", [{"email": "ada@example.com"}])
    assert done["summary"]["unknownContacts"] == 1
    assert sim.requests()[-3]["facts"] == {"rows": 2, "account_deleted": 1}
    assert dd("POST", "/contacts/v3/delete", []).json()["errorCode"] == "contacts:noContactsSpecified"
    assert dd("POST", "/contacts/v3/delete", ["ada"], check=False).status_code == 400
    assert dd("GET", f"/contacts/v3/delete/{UNKNOWN_ID}").status_code == 404
