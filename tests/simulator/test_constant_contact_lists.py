"""Constant Contact: lists, custom fields, memberships, reading back, and the dangerous calls."""

from __future__ import annotations

import csv
import io

import pytest

from airflow_provider_segexport.simulator.clock import iso


def ids(cc, *emails):
    return [cc.find(email)["contact_id"] for email in emails]


def pages(cc, path):
    """All contacts of a listing, and how many pages it had."""
    emails, count = [], 0
    while path:
        page = cc("GET", path).json()
        emails += [row["email_address"]["address"] for row in page["contacts"]]
        path = page.get("_links", {}).get("next", {}).get("href", "").removeprefix("/v3")
        count += 1
    return emails, count


def test_lists(cc):
    """Lists are named, counted on request, and paged by a relative link."""
    cc.load("ada@example.com", "bob@example.com")
    cc.act("unsubscribe", email="bob@example.com")
    shown = cc("GET", "/contact_lists?include_membership_count=active&include_count=true").json()
    assert {held["name"]: held["membership_count"] for held in shown["lists"]} == {
        "Customers": 1,
        "Newsletter": 0,
        "Lapsed": 0,
    }
    assert shown["lists_count"] == 3
    first = cc("GET", "/contact_lists?limit=2&include_membership_count=all").json()
    assert first["lists"][0]["membership_count"] == 2
    following = first["_links"]["next"]["href"]
    assert following.startswith("/v3/contact_lists?cursor=")
    last = cc("GET", following.removeprefix("/v3")).json()
    assert [held["name"] for held in last["lists"]] == ["Lapsed"]
    assert "_links" not in last
    assert cc("GET", "/contact_lists?name=Newsletter").json()["lists"][0]["list_id"] == cc.other_list


@pytest.mark.parametrize("list_id", ["nonsense", "00000000-0000-4000-8000-000000000000"])
def test_an_unknown_list_is_404(cc, list_id):
    """An id that no list has answers 404 with an array."""
    reply = cc("GET", f"/contact_lists/{list_id}")
    assert (reply.status_code, reply.json()[0]["error_key"]) == (404, "contacts.api.not_found")


def test_creating_a_list(cc):
    """A list is created once; its name is refused the second time."""
    made = cc("POST", "/contact_lists", {"name": "VIP", "description": "the best"})
    assert made.status_code == 201
    assert cc("GET", f"/contact_lists/{made.json()['list_id']}").json()["description"] == "the best"
    assert cc("POST", "/contact_lists", {"name": "vip"}).status_code == 409


def test_custom_fields(cc):
    """Custom fields are paged, created with a name made from the label, and never twice."""
    made = cc("POST", "/contact_custom_fields", {"label": "Shoe Size", "type": "number"}).json()
    assert (made["name"], made["type"]) == ("Shoe_Size", "number")
    assert cc("POST", "/contact_custom_fields", {"label": "shoe size", "type": "string"}).status_code == 409
    assert cc("POST", "/contact_custom_fields", {"label": "x" * 51, "type": "string"}, broken=True).status_code == 400
    assert cc("POST", "/contact_custom_fields", {"label": "x", "type": "colour"}).status_code == 400
    first = cc("GET", "/contact_custom_fields?limit=4").json()
    last = cc("GET", first["_links"]["next"]["href"].removeprefix("/v3")).json()
    names = [field["name"] for field in first["custom_fields"] + last["custom_fields"]]
    assert names == ["Gender", "Loyalty_Tier", "Orders", "Customer_Since", "VIP", "Shoe_Size"]


def test_removal_touches_membership_only(cc):
    """People taken off a list keep permission and other lists; unknown ids are passed over."""
    cc.load("ada@example.com", "bob@example.com", lists=[cc.list, cc.other_list])
    source = {"contact_ids": [*ids(cc, "ada@example.com"), "00000000-0000-4000-8000-000000000000"]}
    reply = cc("POST", "/activities/remove_list_memberships", {"source": source, "list_ids": [cc.list]})
    report = cc.done(reply)
    assert report["status"] == {"items_total_count": 1, "items_completed_count": 1, "list_count": 1}
    assert cc.people().keys() == {"bob@example.com"}
    ada = cc.find("ada@example.com")
    assert (ada["list_memberships"], ada["email_address"]["permission_to_send"]) == ([cc.other_list], "implicit")
    assert cc.audit() == {}


def test_removal_by_a_list_of_leavers(cc):
    """One call takes all members of one list off another, but those excluded."""
    cc.load("ada@example.com", "bob@example.com", "cy@example.com")
    cc.load("ada@example.com", "bob@example.com", lists=[cc.other_list])
    body = {
        "source": {"list_ids": [cc.other_list]},
        "exclude": {"contact_ids": ids(cc, "bob@example.com")},
        "list_ids": [cc.list],
    }
    cc.done(cc("POST", "/activities/remove_list_memberships", body))
    assert cc.people().keys() == {"bob@example.com", "cy@example.com"}


def test_adding_memberships(cc):
    """People are added to a list by id, the unsubscribed are not."""
    cc.load("ada@example.com", "bob@example.com", lists=[cc.other_list])
    cc.act("unsubscribe", email="bob@example.com")
    source = {"contact_ids": ids(cc, "ada@example.com", "bob@example.com")}
    cc.done(cc("POST", "/activities/add_list_memberships", {"source": source, "list_ids": [cc.list]}))
    assert cc.people().keys() == {"ada@example.com"}


@pytest.mark.parametrize(
    "source",
    [{}, {"contact_ids": ["x"] * 501}, {"contact_ids": ["x"], "all_active_contacts": True}, {"tag_ids": ["x"]}],
)
def test_a_source_that_is_none(cc, source):
    """No source, two sources, too many ids and sources that are not simulated answer 400."""
    body = {"source": source, "list_ids": [cc.list]}
    assert cc("POST", "/activities/remove_list_memberships", body, broken=True).status_code == 400


def test_an_export_is_read_by_its_link(cc):
    """An export activity ends with a link to a CSV of the list, in the columns asked for."""
    cc.load({"email": "ada@example.com", "first_name": "Ada", "cf:Loyalty_Tier": "gold"}, "bob@example.com")
    cc.seed("cy@example.com", audience=cc.other_list)
    fields = ["email_address", "first_name", "Loyalty_Tier", "email_permission_status"]
    reply = cc("POST", "/activities/contact_exports", {"list_ids": [cc.list], "fields": fields})
    assert "results" not in reply.json()["_links"]
    report = cc.done(reply)
    link = report["_links"]["results"]["href"]
    assert link == f"/v3/contact_exports/{report['activity_id']}"
    file = cc("GET", link.removeprefix("/v3"))
    assert file.headers["content-type"] == "text/csv"
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [list(row.values()) for row in rows] == [
        ["ada@example.com", "Ada", "gold", "implicit"],
        ["bob@example.com", "", "", "implicit"],
    ]
    assert cc("GET", "/contact_exports/00000000-0000-4000-8000-000000000000").status_code == 404


def test_what_an_export_may_hold(sim, cc):
    """Unknown fields are refused; the contact id and titles in the first row are settings."""
    assert cc("POST", "/activities/contact_exports", {"fields": ["contact_id"]}).status_code == 400
    assert cc("POST", "/activities/contact_exports", {"fields": ["email_optin_date"]}).status_code == 400
    sim.configure({"constant_contact": {"export_contact_id": True, "export_headers": "titles"}})
    cc.load("ada@example.com")
    cc.act("unsubscribe", email="ada@example.com")
    body = {"fields": ["contact_id", "email_address"], "status": "unsubscribed"}
    report = cc.done(cc("POST", "/activities/contact_exports", body))
    text = cc("GET", report["_links"]["results"]["href"].removeprefix("/v3")).text
    assert text == f"contact_id,Email address\r\n{ids(cc, 'ada@example.com')[0]},ada@example.com\r\n"


def test_reading_a_list_in_pages(cc):
    """A list is read through pages that follow each other; the last has no link."""
    cc.load(*(f"p{number}@example.com" for number in range(5)))
    cc.seed("other@example.com", audience=cc.other_list)
    emails, count = pages(cc, f"/contacts?lists={cc.list}&limit=2&status=all&include_count=true")
    assert (emails, count) == ([f"p{number}@example.com" for number in range(5)], 3)
    assert pages(cc, f"/contacts?lists={cc.list}&limit=5") == (emails, 1)
    assert (
        cc("GET", f"/contacts?lists={cc.list},{cc.other_list}&limit=1&include_count=true").json()["contacts_count"] == 6
    )
    assert pages(cc, "/contacts?lists=" + cc.described["audiences"][2]["id"]) == ([], 1)


def test_reading_goes_on_after_a_change(cc):
    """People who leave or join between two pages neither hide nor repeat others."""
    cc.load(*(f"p{number}@example.com" for number in range(4)))
    first = cc("GET", f"/contacts?lists={cc.list}&limit=2").json()
    cc.act("leave_list", email="p1@example.com", audience=cc.list)
    cc.act("leave_list", email="p2@example.com", audience=cc.list)
    cc.load("p4@example.com")
    rest, _ = pages(cc, first["_links"]["next"]["href"].removeprefix("/v3"))
    assert rest == ["p3@example.com", "p4@example.com"]


@pytest.mark.parametrize(
    "query", ["limit=501", "limit=0", "status=none", "status=implicit", "lists=x", "cursor=x", "include=x", "tags=x"]
)
def test_a_wrong_query_is_400(cc, query):
    """Values out of range, unknown filters and a broken cursor are refused."""
    assert cc("GET", f"/contacts?{query}").status_code == 400


def test_filters(sim, cc):
    """Contacts are found by status, and by the time of change and of opting out."""
    cc.seed(
        {"email": "ada@example.com"},
        {"email": "bob@example.com", "status": "unsubscribed"},
        {"email": "cy@example.com", "status": "deleted"},
        {"email": "di@example.com", "status": "explicit"},
    )
    sim.clock.advance(3600)
    assert pages(cc, "/contacts?status=active")[0] == ["ada@example.com", "di@example.com"]
    assert pages(cc, "/contacts?status=deleted")[0] == ["cy@example.com"]
    assert pages(cc, "/contacts")[0] == ["ada@example.com", "bob@example.com", "di@example.com"]
    assert len(pages(cc, "/contacts?status=all")[0]) == 4
    since = iso(sim.clock.now() - 1800)
    assert pages(cc, f"/contacts?status=all&optout_after={since}") == ([], 1)
    cc.act("unsubscribe", email="di@example.com")
    assert pages(cc, f"/contacts?status=all&optout_after={since}")[0] == ["di@example.com"]
    assert pages(cc, f"/contacts?updated_after={since}")[0] == ["di@example.com"]
    assert cc("GET", "/contacts?updated_after=yesterday").status_code == 400


def test_one_contact(cc):
    """A contact shows its sub-resources when they are asked for."""
    cc.load(
        {
            "email": "ada@example.com",
            "first_name": "Ada",
            "street": "1 Main St",
            "street2": "Apt 2",
            "zip": "02451",
            "mobile_phone": "555-1212",
            "cf:Loyalty_Tier": "gold",
            "birthday_month": 12,
            "birthday_day": 10,
        }
    )
    contact_id = ids(cc, "ada@example.com")[0]
    plain = cc("GET", f"/contacts/{contact_id}").json()
    assert (plain["first_name"], plain["birthday_month"]) == ("Ada", 12)
    assert "street_addresses" not in plain
    parts = "custom_fields,list_memberships,phone_numbers,street_addresses,taggings,notes"
    shown = cc("GET", f"/contacts/{contact_id}?include={parts}").json()
    assert shown["street_addresses"] == [{"kind": "home", "street": "1 Main St Apt 2", "postal_code": "02451"}]
    assert shown["phone_numbers"] == [{"phone_number": "555-1212", "kind": "mobile"}]
    assert shown["custom_fields"][0]["value"] == "gold"
    assert cc("GET", "/contacts/00000000-0000-4000-8000-000000000000").status_code == 404


def test_put_empties_what_is_not_sent(cc):
    """A PUT loses core fields that it omits, keeps sub-resources, and lifts permission: seen as damage."""
    cc.load({"email": "ada@example.com", "first_name": "Ada", "last_name": "L", "city": "Paris"})
    cc.act("unsubscribe", email="ada@example.com")
    contact_id = ids(cc, "ada@example.com")[0]
    body = {
        "email_address": {"address": "ada@example.com", "permission_to_send": "implicit"},
        "last_name": "Lovelace",
        "update_source": "Account",
    }
    assert cc("PUT", f"/contacts/{contact_id}", body).status_code == 200
    assert cc.people()["ada@example.com"]["fields"] == {"city": "Paris", "last_name": "Lovelace"}
    assert cc.audit() == {"consent_upgraded": 1}


def test_the_sign_up_form_does_damage(cc):
    """sign_up_form makes people explicit, brings back the unsubscribed and sends a welcome mail: all seen."""
    cc.seed({"email": "ada@example.com", "status": "unsubscribed"}, audience=cc.other_list)
    body = {"email_address": "ada@example.com", "list_memberships": [cc.list]}
    assert cc("POST", "/contacts/sign_up_form", body).json()["action"] == "updated"
    made = cc("POST", "/contacts/sign_up_form", {"email_address": "new@example.com", "list_memberships": [cc.list]})
    assert (made.status_code, made.json()["action"]) == (201, "created")
    assert {person["status"] for person in cc.people().values()} == {"explicit"}
    assert cc.audit() == {"sign_up_form": 2, "consent_upgraded": 1, "mail": 1}
    assert cc.sim.members("constant_contact", cc.list)["mails"] == {"welcome": 1}


def test_deleting_does_damage(cc):
    """Bulk deletion, single deletion and deleting a list are carried out, and seen."""
    cc.load("ada@example.com", "bob@example.com", "cy@example.com")
    ada, bob = ids(cc, "ada@example.com", "bob@example.com")
    cc.done(cc("POST", "/activities/contact_delete", {"contact_ids": [ada]}))
    assert cc("DELETE", f"/contacts/{bob}").status_code == 204
    assert cc.people().keys() == {"cy@example.com"}
    reply = cc("DELETE", f"/contact_lists/{cc.list}")
    assert reply.status_code == 202
    assert cc.done(reply)["state"] == "completed"
    assert cc("GET", f"/contact_lists/{cc.list}").status_code == 404
    assert cc.audit() == {"contact_deleted": 2, "list_deleted": 1}
    assert len(cc.sim.members("constant_contact", "deleted")["members"]) == 2


def test_asking_to_resubscribe_sends_a_mail(cc):
    """The resubscribe call changes nothing but sends the person a mail, which is counted."""
    cc.seed({"email": "ada@example.com", "status": "unsubscribed"})
    contact_id = ids(cc, "ada@example.com")[0]
    assert cc("PUT", f"/contacts/resubscribe/{contact_id}", {"list_ids": [cc.list]}).status_code == 200
    assert cc.audit() == {"mail": 1}
    assert cc.find("ada@example.com")["email_address"]["permission_to_send"] == "unsubscribed"
