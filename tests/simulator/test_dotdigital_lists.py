"""dotdigital: address books, removal, data fields, reading back, opting out."""

from __future__ import annotations

import pytest

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"


def people(number):
    return [f"p{index:02}@example.com" for index in range(number)]


def ids(report):
    return [item["contactId"] for item in report["created"]]


def test_address_books(dd):
    """Lists are shown with their count, paged by select and skip, by visibility."""
    dd.load("ada@example.com")
    assert dd("GET", f"/v2/address-books/{dd.book}").json() == {
        "id": dd.book,
        "name": "Customers",
        "visibility": "Private",
        "contacts": 1,
    }
    page = dd("GET", "/v2/address-books", params={"select": 2, "skip": 2}).json()
    assert [book["name"] for book in page] == ["Lapsed"]
    assert dd("GET", "/v2/address-books", params={"skip": 3}).json() == []
    assert dd("GET", "/v2/address-books/public").json() == []
    assert dd("GET", "/v2/address-books", params={"select": 1001}).status_code == 400


def test_unknown_address_book(dd):
    """An unknown id is 404 with the code inside the text."""
    reply = dd("GET", "/v2/address-books/1")
    assert (reply.status_code, reply.json()) == (404, {"message": "Error: ERROR_ADDRESSBOOK_NOT_FOUND"})


def test_making_changing_and_deleting_a_list(sim, dd):
    """A list can be made, renamed and deleted; its people stay in the account."""
    made = dd("POST", "/v2/address-books", {"name": "VIP", "visibility": "Public"}).json()
    assert (made["name"], made["visibility"], made["contacts"]) == ("VIP", "Public", 0)
    assert [book["id"] for book in dd("GET", "/v2/address-books/public").json()] == [made["id"]]
    path = f"/v2/address-books/{made['id']}"
    assert dd("PUT", path, {"name": "VIPs"}).json()["name"] == "VIPs"
    dd.load(dd.contact("ada@example.com", lists=[made["id"]]))
    assert dd("DELETE", path).status_code == 204
    assert dd("GET", path).status_code == 404
    assert sim.members("dotdigital", "all-contacts")["members"][0]["lists"] == ()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "Test"}, "ERROR_ADDRESSBOOK_NOTWRITABLE"),
        ({"name": "customers"}, "ERROR_ADDRESSBOOK_DUPLICATE"),
        ({"name": ""}, "ERROR_PARAMETER_INVALID"),
        ({"name": "x" * 129}, "ERROR_PARAMETER_INVALID"),
        ([], "ERROR_PARAMETER_INVALID"),
    ],
)
def test_bad_list_names(dd, body, code):
    """Reserved, taken and impossible names are refused with the vendor's codes."""
    reply = dd("POST", "/v2/address-books", body)
    assert reply.status_code == 400
    assert code in reply.json()["message"]


def test_removal_from_a_list_is_a_job(sim, dd):
    """By contact ids, in the background; account, status and other lists stay."""
    report = dd.load(*(dd.contact(email, lists=[dd.book, dd.other_book]) for email in people(3)))
    first, two, _ = ids(report)
    job = dd("POST", f"/v2/address-books/{dd.book}/contacts/delete", [first, two, 7])
    assert (job.status_code, job.json()["status"]) == (202, "Started")
    path = f"/v2/contacts/deletion/{job.json()['id']}"
    assert dd("GET", path).json()["status"] == "Started"
    assert dd("GET", f"/v2/address-books/{dd.book}").json()["contacts"] == 3
    sim.clock.advance(10)
    assert dd("GET", path).json() == {"id": job.json()["id"], "status": "Completed"}
    assert dd("GET", f"/v2/address-books/{dd.book}").json()["contacts"] == 1
    assert dd("GET", f"/v2/address-books/{dd.other_book}").json()["contacts"] == 3
    assert sim.members("dotdigital", "all-contacts")["counts"] == {"subscribed": 3}
    entry = next(item for item in sim.requests() if item["path"].endswith("/contacts/delete"))
    assert entry["facts"] == {"rows": 3, "removed": 2}
    assert entry["notes"] == ["1 id not in the list"]


@pytest.mark.parametrize("body", [{"ids": [1]}, ["1"], [], [1, 2, 3], [2**31]])
def test_removal_wants_a_bare_array_of_ids(sim, dd, body):
    """Anything else, and more ids than a configured maximum, is refused."""
    sim.configure({"dotdigital": {"max_delete_ids": 2}})
    reply = dd("POST", f"/v2/address-books/{dd.book}/contacts/delete", body, check=False)
    assert reply.status_code == 400
    empty = dd("POST", f"/v2/address-books/{dd.book}/contacts/delete")
    assert empty.status_code == 400


def test_removal_of_one_and_of_all(sim, dd):
    """One goes at once with 204, all go as a job."""
    contact_id, *_ = ids(dd.load(*people(3)))
    path = f"/v2/address-books/{dd.book}/contacts"
    assert dd("DELETE", f"{path}/{contact_id}").status_code == 204
    assert dd("DELETE", f"{path}/{contact_id}").status_code == 404
    assert sim.requests()[-2]["facts"] == {"removed": 1}
    assert dd("POST", f"{path}/delete-all").status_code == 202
    sim.clock.advance(10)
    assert sim.members("dotdigital", str(dd.book))["counts"] == {}
    assert dd("GET", f"/v2/contacts/deletion/{UNKNOWN_ID}").status_code == 404


def test_pages_by_marker(dd):
    """Contacts come in ascending order, page after page, until there is no next link."""
    dd.load(*people(5))
    params = {"~listId": dd.book, "limit": 2}
    seen = []
    while True:
        page = dd("GET", "/contacts/v3", params=params).json()
        seen.append([item["identifiers"]["email"] for item in page["_items"]])
        if "next" not in page["_links"]:
            break
        params["marker"] = page["_links"]["next"]["marker"]
    assert [len(part) for part in seen] == [2, 2, 1]
    assert [email for part in seen for email in part] == people(5)


def test_links_can_be_followed(dd):
    """A link is a whole address that gives the page it names."""
    dd.load(*people(3))
    first = dd("GET", "/contacts/v3", params={"~listId": dd.book, "limit": 2}).json()
    followed = dd.session.get(first["_links"]["next"]["link"], timeout=10).json()
    assert [item["identifiers"]["email"] for item in followed["_items"]] == ["p02@example.com"]


def test_page_with_fields_lists_and_channels(dd):
    """Data sets come on request only."""
    dd.load(dd.contact("ada@example.com", dataFields={"FIRSTNAME": "Ada"}))
    plain = dd("GET", "/contacts/v3").json()["_items"][0]
    assert plain.keys() == {"contactId", "status", "created", "updated", "identifiers"}
    params = {"data-fields": "FIRSTNAME|LASTNAME", "include": "lists|channelProperties|consentRecords"}
    full = dd("GET", "/contacts/v3", params=params).json()["_items"][0]
    assert full["dataFields"] == {"FIRSTNAME": "Ada", "LASTNAME": None}
    assert full["lists"] == [{"id": dd.book, "name": "Customers", "status": "subscribed"}]
    assert full["channelProperties"]["email"]["status"] == "subscribed"


def test_filters_by_date(sim, dd):
    """Created and modified filters look at the simulator's clock."""
    dd.load("old@example.com", "same@example.com")
    sim.clock.advance(86_400)
    since = f"gte::{dd('GET', '/v2/server-time').text[:10]}T00:00:00Z"
    dd.load("new@example.com", "old@example.com")
    created = dd("GET", "/contacts/v3", params={"~created": since}).json()["_items"]
    assert [item["identifiers"]["email"] for item in created] == ["new@example.com"]
    modified = dd("GET", "/contacts/v3", params={"~modified": since}).json()["_items"]
    assert [item["identifiers"]["email"] for item in modified] == ["old@example.com", "new@example.com"]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": 0}, "badRequest"),
        ({"limit": 5001}, "badRequest"),
        ({"~listId": 1}, "invalidFilter"),
        ({"~segmentId": 1}, "invalidFilter"),
        ({"~created": "2022-08-01T00:00:00Z"}, "invalidFilter"),
        ({"marker": "?"}, "invalidMarker"),
    ],
)
def test_bad_page_parameters(dd, params, code):
    """Each wrong parameter is 400 with a v3 error."""
    reply = dd("GET", "/contacts/v3", params=params)
    assert (reply.status_code, reply.json()["errorCode"]) == (400, f"contacts:{code}")


def test_members_by_the_old_route(dd):
    """The deprecated v2 listing still works, with data fields on request."""
    dd.load(dd.contact("ada@example.com", dataFields={"FIRSTNAME": "Ada"}), "bob@example.com")
    path = f"/v2/address-books/{dd.book}/contacts"
    assert [row["dataFields"] for row in dd("GET", path).json()] == [None, None]
    (row,) = dd("GET", path, params={"withFullData": "true", "select": 1}).json()
    assert row["dataFields"] == [{"key": "FIRSTNAME", "value": "Ada"}]
    assert row["status"] == "Subscribed"


def test_data_fields_are_listed(dd):
    """Standard fields are upper case and public."""
    fields = dd("GET", "/v2/data-fields").json()
    assert fields[0] == {"name": "FIRSTNAME", "type": "String", "visibility": "Public", "defaultValue": None}
    assert dd("GET", "/v2/data-fields/").json() == fields


def test_data_field_creation_and_deletion(sim, dd):
    """A new field takes values; deleted, it takes them along; standard fields stay."""
    made = dd("POST", "/v2/data-fields", {"name": "CITY", "type": "String"})
    assert made.status_code == 201
    assert made.json() == {"name": "CITY", "type": "String", "visibility": "Private", "defaultValue": None}
    dd.load(dd.contact("ada@example.com", dataFields={"CITY": "Rome"}))
    assert dd.show("ada@example.com")["dataFields"]["CITY"] == "Rome"
    gone = dd("DELETE", "/v2/data-fields/CITY")
    assert gone.json() == {"result": True, "dependencies": []}
    assert "CITY" not in dd.show("ada@example.com")["dataFields"]
    assert dd("DELETE", "/v2/data-fields/CITY").status_code == 404
    assert dd("DELETE", "/v2/data-fields/FIRSTNAME").json()["result"] is False
    assert sum(entry["facts"].get("fields_deleted", 0) for entry in sim.requests()) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "firstname", "type": "String"}, "ERROR_NON_UNIQUE_DATAFIELD"),
        ({"name": "x" * 21, "type": "String"}, "ERROR_DATAFIELD_INVALID"),
        ({"name": "SHOE SIZE", "type": "String"}, "ERROR_DATAFIELD_INVALID"),
        ({"name": "SHOE", "type": "Text"}, "ERROR_PARAMETER_INVALID"),
    ],
)
def test_bad_data_fields(dd, body, code):
    """Names in use, over-long or with spaces, and unknown types are refused."""
    reply = dd("POST", "/v2/data-fields", body)
    assert reply.status_code == 400
    assert code in reply.json()["message"]


def test_reading_who_opted_out(sim, dd):
    """Suppressed and unsubscribed people are listed from a day on, with the reason."""
    rows = [
        {"email": "gone@example.com", "status": "unsubscribed"},
        {"email": "dead@example.com", "status": "bounced"},
        {"email": "here@example.com", "status": "active"},
    ]
    sim.seed("dotdigital", rows, str(dd.book))
    today = dd("GET", "/v2/server-time").text[:10]
    gone = dd("GET", f"/v2/contacts/suppressed-since/{today}").json()
    assert [(item["suppressedContact"]["email"], item["reason"]) for item in gone] == [
        ("gone@example.com", "Unsubscribed"),
        ("dead@example.com", "HardBounced"),
    ]
    only = dd("GET", f"/v2/contacts/unsubscribed-since/{today}").json()
    assert [item["suppressedContact"]["email"] for item in only] == ["gone@example.com"]
    assert dd("GET", "/v2/contacts/suppressed-since/2100-01-01").json() == []
    assert dd("GET", "/v2/contacts/suppressed-since/soon").status_code == 400


def test_reading_who_left_one_list(sim, dd):
    """A list also names those who unsubscribed from it alone."""
    rows = [
        {"email": "gone@example.com", "status": "unsubscribed"},
        {"email": "list@example.com", "status": "unsubscribedFromList"},
    ]
    sim.seed("dotdigital", rows, str(dd.book))
    path = f"/v2/address-books/{dd.book}/contacts/unsubscribed-since/2020-01-01"
    left = dd("GET", path, check=False).json()
    assert len(left) == 2
    assert dd("GET", f"/v2/address-books/{dd.book}").json()["contacts"] == 1
    assert dd("GET", "/contacts/v3?include=lists").json()["_items"][1]["lists"][0]["status"] == "suppressed"


def test_unsubscribing_is_seen(sim, dd):
    """From the account or from one list: history and log show it."""
    dd.load("ada@example.com", "bob@example.com")
    reply = dd("POST", "/v2/contacts/unsubscribe", {"email": "ada@example.com"})
    assert (reply.status_code, reply.json()["reason"]) == (200, "Unsubscribed")
    path = f"/v2/address-books/{dd.book}/contacts/unsubscribe"
    assert dd("POST", path, {"email": "bob@example.com"}).status_code == 200
    assert dd("POST", path, {"email": "x@example.com"}).status_code == 404
    assert sim.members("dotdigital", str(dd.book))["counts"] == {"unsubscribed": 1, "subscribed": 1}
    assert [entry["facts"].get("unsubscribed") for entry in sim.requests()[-3:]] == [1, 1, None]


@pytest.mark.parametrize("account_wide", [True, False])
def test_resubscribing_is_seen(sim, dd, account_wide):
    """With a challenge a mail goes out, without one the person is back."""
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": "unsubscribed"}], str(dd.book))
    base = "/v2/contacts" if account_wide else f"/v2/address-books/{dd.book}/contacts"
    body = {"unsubscribedContact": {"email": "gone@example.com"}}
    assert dd("POST", f"{base}/resubscribe", body).json()["status"] == "ContactChallenged"
    assert sim.members("dotdigital", str(dd.book))["mails"] == {"resubscription challenge": 1}
    assert dd("POST", f"{base}/resubscribe-with-no-challenge", body).json()["status"] == "ContactAdded"
    assert sim.members("dotdigital", str(dd.book))["counts"] == {"subscribed": 1}
    assert [entry["facts"]["resubscribed"] for entry in sim.requests()] == [1, 1]


def test_deletion_by_the_old_route_is_seen(sim, dd):
    """The v2 contact deletion also deletes from the account."""
    (contact_id,) = ids(dd.load("ada@example.com"))
    assert dd("DELETE", f"/v2/contacts/{contact_id}").status_code == 204
    assert dd("DELETE", f"/v2/contacts/{contact_id}").status_code == 404
    assert sim.requests()[-2]["facts"] == {"account_deleted": 1}


def test_seeded_deleted_people(sim, dd):
    """With an audience: taken out of it; without one: gone from the account."""
    sim.seed("dotdigital", [{"email": "left@example.com", "status": "deleted"}], str(dd.book))
    sim.seed("dotdigital", [{"email": "gone@example.com", "status": "deleted"}])
    assert [p["email"] for p in sim.members("dotdigital", "all-contacts")["members"]] == ["left@example.com"]
    assert [p["email"] for p in sim.members("dotdigital", "deleted")["members"]] == ["gone@example.com"]
    sim.seed("dotdigital", [{"email": "gs@example.com", "status": "globallySuppressed"}])
    assert sim.members("dotdigital", "global-suppression")["counts"] == {"globallySuppressed": 1}
