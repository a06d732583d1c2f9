"""Constant Contact: what is refused, and the corners that an export seldom touches."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.simulator import ControlError

BULK = "/activities/"


def test_a_contact_is_created_once(cc):
    """POST /contacts creates an explicit contact on its lists; the address is refused the second time."""
    field = cc("GET", "/contact_custom_fields").json()["custom_fields"][0]["custom_field_id"]
    body = {
        "email_address": {"address": "ada@example.com"},
        "first_name": "Ada",
        "create_source": "Account",
        "list_memberships": [cc.list],
        "custom_fields": [{"custom_field_id": field, "value": "f"}],
        "phone_numbers": [{"phone_number": "555-1212", "kind": "home"}],
        "street_addresses": [{"kind": "work", "street": "1 Main St", "postal_code": "02451"}],
    }
    made = cc("POST", "/contacts", body)
    assert (made.status_code, made.json()["email_address"]["permission_to_send"]) == (201, "explicit")
    assert made.json()["street_addresses"] == [{"kind": "work", "street": "1 Main St", "postal_code": "02451"}]
    assert cc.people()["ada@example.com"]["fields"]["home_phone"] == "555-1212"
    assert cc("POST", "/contacts", body).status_code == 409
    assert cc("GET", "/contacts/counts").json()["explicit"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"create_source": "Robot"},
        {"email_address": {"address": "nonsense"}},
        {"email_address": {"address": "ada@example.com", "permission_to_send": "gladly"}},
        {"custom_fields": [{"custom_field_id": "x", "value": "1"}]},
    ],
)
def test_a_wrong_contact_is_refused(cc, change):
    """A contact with a wrong source, address, permission or field is refused, and none is made."""
    body = {"email_address": {"address": "ada@example.com"}, "create_source": "Account", **change}
    assert cc("POST", "/contacts", body).status_code == 400
    assert cc.people("all-contacts") == {}


def test_put_moves_a_contact(cc):
    """A PUT changes address and lists, revives, keeps what it does not name, and respects others' addresses."""
    cc.load("ada@example.com", "bob@example.com")
    ada = cc.find("ada@example.com")["contact_id"]
    taken = {"email_address": {"address": "bob@example.com"}, "update_source": "Account"}
    assert cc("PUT", f"/contacts/{ada}", taken).status_code == 409
    assert cc("PUT", f"/contacts/{ada}", {"update_source": "Robot"}).status_code == 400
    assert cc("PUT", f"/contacts/{ada}", {"update_source": "Account", "list_memberships": ["x"]}).status_code == 404
    cc("DELETE", f"/contacts/{ada}")
    moved = {
        "email_address": {"address": "countess@example.com"},
        "list_memberships": [cc.other_list],
        "update_source": "Account",
    }
    assert cc("PUT", f"/contacts/{ada}", moved).json()["list_memberships"] == [cc.other_list]
    assert cc.people(cc.other_list).keys() == {"countess@example.com"}
    assert cc("PUT", f"/contacts/{ada}", {"update_source": "Account"}).status_code == 200


def test_confirmed_opt_in_sends_a_mail(sim, cc):
    """With confirmed opt-in a signed-up person is pending, and is sent a confirmation mail."""
    sim.configure({"constant_contact": {"confirmed_opt_in": True}})
    body = {
        "email_address": "ada@example.com",
        "list_memberships": [cc.list],
        "phone_number": "555-1212",
        "street_address": {"kind": "home", "city": "Paris"},
    }
    cc("POST", "/contacts/sign_up_form", body)
    assert cc.people()["ada@example.com"]["status"] == "pending_confirmation"
    assert sim.members("constant_contact", cc.list)["mails"] == {"confirmation": 1}
    ada = cc.find("ada@example.com")["contact_id"]
    cc("DELETE", f"/contacts/{ada}")
    assert cc("POST", "/contacts/sign_up_form", body).json() == {"contact_id": ada, "action": "updated"}
    assert cc("POST", "/contacts/sign_up_form", body | {"email_address": "x"}).status_code == 400
    assert cc("POST", "/contacts/sign_up_form", {"email_address": "a@example.com"}).status_code == 400
    assert cc("PUT", f"/contacts/resubscribe/{ada}", {"list_ids": [cc.list]}).status_code == 409


def test_unsubscribing_may_end_memberships(sim, cc):
    """Whether who unsubscribes stays on their lists is a setting."""
    cc.load("ada@example.com", "bob@example.com")
    cc.act("unsubscribe", email="ada@example.com")
    sim.configure({"constant_contact": {"unsubscribed_keep_lists": False}})
    cc.act("unsubscribe", email="bob@example.com")
    assert cc.people().keys() == {"ada@example.com"}


def test_changing_and_deleting_lists(cc):
    """A list is renamed; several are deleted by one activity, and then are listed as deleted."""
    renamed = cc("PUT", f"/contact_lists/{cc.list}", {"name": "Clients", "favorite": True}).json()
    assert (renamed["name"], renamed["favorite"]) == ("Clients", True)
    assert cc("PUT", f"/contact_lists/{cc.list}", {"name": "Lapsed"}).status_code == 400
    assert cc("PUT", f"/contact_lists/{cc.list}", {"name": ""}).status_code == 400
    cc.done(cc("POST", "/activities/list_delete", {"list_ids": [cc.list, cc.other_list]}))
    deleted = cc("GET", "/contact_lists?status=deleted").json()["lists"]
    assert {held["name"] for held in deleted} == {"Clients", "Newsletter"}
    assert all("deleted_at" in held for held in deleted)
    assert cc("POST", "/activities/list_delete", {"list_ids": []}).status_code == 400
    assert cc("GET", "/contact_lists?include_membership_count=some").status_code == 400


def test_a_list_that_is_deleted_while_an_import_waits(cc):
    """An import into a list that went away in the meantime adds its people to no list."""
    reply = cc.start("ada@example.com", wait=0)
    cc.act("script_jobs", scripts=[["completed"]])
    gone = cc("DELETE", f"/contact_lists/{cc.list}", wait=0).json()["activity_id"]
    assert cc("GET", f"/activities/{gone}", wait=0).json()["state"] == "completed"
    assert cc.done(reply)["status"]["person_count"] == 1
    assert cc.people("all-contacts")["ada@example.com"]["lists"] == ()


def test_select_fields(cc):
    """A select field needs choices, and takes only these."""
    choices = [{"choice_label": label, "display_order": number} for number, label in enumerate(("S", "M"))]
    assert cc("POST", "/contact_custom_fields", {"label": "Size", "type": "single_select"}).status_code == 400
    made = cc("POST", "/contact_custom_fields", {"label": "Size", "type": "single_select", "choices": choices})
    assert [choice["choice_label"] for choice in made.json()["choices"]] == ["S", "M"]
    cc("POST", "/contact_custom_fields", {"label": "Colours", "type": "multi_select", "choices": choices})
    cc("POST", "/contact_custom_fields", {"label": "Seen", "type": "datetime"})
    report = cc.load(
        {"email": "a@example.com", "cf:Size": "S", "cf:Colours": "S, M", "cf:Seen": "2026-01-01T10:00:00Z"},
        {"email": "b@example.com", "cf:Size": "XXL"},
        {"email": "c@example.com", "cf:Colours": "S, blue"},
        {"email": "d@example.com", "cf:Seen": "now"},
        {"email": "e@example.com", "cf:Customer_Since": "2020-13-01"},
    )
    assert (report["status"]["error_count"], cc.people().keys()) == (4, {"a@example.com"})


def test_decimal_places(cc):
    """A field for decimals needs their number, and takes no more of them."""
    body = {"label": "Rate", "type": "number", "metadata": {"integer": False}}
    assert cc("POST", "/contact_custom_fields", body).status_code == 400
    metadata = {"integer": False, "decimal_places": 2}
    assert cc("POST", "/contact_custom_fields", {**body, "metadata": metadata}).status_code == 201
    report = cc.load({"email": "a@example.com", "cf:Rate": "1.25"}, {"email": "b@example.com", "cf:Rate": "1.255"})
    assert (report["status"]["error_count"], cc.people().keys()) == (1, {"a@example.com"})


def test_dates_of_the_first_version_are_texts(cc):
    """A date field of version 1 keeps any text."""
    cc("POST", "/contact_custom_fields", {"label": "Old", "type": "date", "version": 1})
    assert cc.load({"email": "a@example.com", "cf:Old": "in May"})["status"]["error_count"] == 0


def test_bad_values_may_be_passed_over(sim, cc):
    """Whether a value of a wrong type fails its row is a setting."""
    sim.configure({"constant_contact": {"bad_value": "ignore"}})
    assert cc.load({"email": "a@example.com", "cf:Orders": "many", "city": "Rome"})["status"]["error_count"] == 0
    assert cc.people()["a@example.com"]["fields"] == {"city": "Rome"}


def test_too_much_in_a_row(cc):
    """More than 25 custom fields, a 51st list and too many values in a line are errors of the row."""
    many = {f"cf:F{number}": "1" for number in range(26)}
    assert cc.load({"email": "a@example.com", **many})["status"]["error_count"] == 1
    lists = [cc("POST", "/contact_lists", {"name": f"L{number}"}).json()["list_id"] for number in range(50)]
    cc.load("b@example.com", lists=lists)
    assert cc.load("b@example.com")["activity_errors"] == ["Line 2: Contact is on 50 lists"]
    report = cc.done(cc.send_csv("email,city\nc@example.com,Rome,Italy\n"))
    assert report["activity_errors"] == ["Line 2: 3 values for 2 columns"]
    assert (
        cc.load({"email": "d@example.com", "birthday_month": 1, "birthday_day": 40})["status"]["correctable_count"] == 1
    )
    assert (
        cc.load({"email": "d@example.com", "birthday_month": 4, "birthday_day": 31})["status"]["correctable_count"] == 1
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("contact_exports", {"status": "sleepy"}, 400),
        ("contact_exports", {"contact_ids": ["x"], "list_ids": ["y"]}, 400),
        ("contact_exports", {"tag_ids": ["x"]}, 400),
        ("contact_exports", {"contact_ids": ["x"] * 501}, 400),
        ("contact_exports", {"list_ids": []}, 400),
        ("contact_exports", {"list_ids": ["x"]}, 404),
        ("contact_exports", {"fields": []}, 400),
        ("remove_list_memberships", {"list_ids": ["x"]}, 400),
        ("remove_list_memberships", {"source": {"list_ids": ["x"]}, "list_ids": ["x"]}, 404),
        ("remove_list_memberships", {"source": {"contact_ids": ["x"]}, "exclude": {"contact_ids": ["x"]}}, 400),
    ],
)
def test_wrong_activities_are_refused(cc, path, body, status):
    """Activities with unknown lists, forbidden combinations or wrong values are not queued."""
    assert cc("POST", BULK + path, body).status_code == status
    assert cc("GET", "/activities").json()["activities"] == []


def test_an_export_of_everything(cc):
    """Without a source all contacts, and without fields all columns, are exported."""
    cc.load({"email": "ada@example.com", "birthday_month": 12, "birthday_day": 10}, "bob@example.com")
    report = cc.done(cc("POST", "/activities/contact_exports", {}))
    text = cc("GET", report["_links"]["results"]["href"].removeprefix("/v3")).text
    assert len(text.splitlines()) == 3
    assert {"email_address", "cf:Gender", "email_optout_date"} <= set(text.splitlines()[0].split(","))
    assert "12/10" in text
    ids = [cc.find("ada@example.com")["contact_id"]]
    body = {"contact_ids": ids, "fields": ["email_address"]}
    report = cc.done(cc("POST", "/activities/contact_exports", body))
    text = cc("GET", report["_links"]["results"]["href"].removeprefix("/v3")).text
    assert text == "email_address\r\nada@example.com\r\n"


def test_everybody_who_is_active(cc):
    """The source all_active_contacts takes the active, and not those excluded."""
    cc.load("ada@example.com", "bob@example.com", "cy@example.com", lists=[cc.other_list])
    cc.act("unsubscribe", email="cy@example.com")
    excluded = [cc.find("bob@example.com")["contact_id"]]
    body = {"source": {"all_active_contacts": True}, "exclude": {"contact_ids": excluded}, "list_ids": [cc.list]}
    cc.done(cc("POST", "/activities/add_list_memberships", body))
    assert cc.people().keys() == {"ada@example.com"}


def test_bodies_that_are_none(cc):
    """A body that is no JSON, a form without boundary or without a file answer 400, another media type 415."""
    for path in ("/contacts", "/contact_custom_fields"):
        assert cc("POST", path, data="{}").status_code == 415
    cc.session.headers["Content-Type"] = "application/json"
    for path in ("/activities/contacts_json_import", "/activities/contact_exports"):
        assert cc("POST", path, data="{").status_code == 400
    cc.session.headers["Content-Type"] = "multipart/form-data"
    assert cc("POST", "/activities/contacts_file_import", data="x").status_code == 400
    del cc.session.headers["Content-Type"]
    files = {"list_ids": (None, cc.list)}
    assert cc("POST", "/activities/contacts_file_import", files=files).status_code == 400


def test_an_unknown_path_is_404(cc):
    """A path that does not exist answers 404, and the log names what is near."""
    cc.check = None
    assert cc("GET", "/activities/list_memberships/x").status_code == 404
    assert "nearest" in cc.sim.requests()[-1]["notes"][0]


def test_refused_whole(sim, cc):
    """A scripted refusal has the vendor's own shape, also at the token endpoint."""
    sim.faults([{"vendor": "constant_contact", "count": 2, "refuse": True}])
    assert cc.start("ada@example.com").json()[0]["error_key"] == "contacts.api.validation.error"
    assert cc.refresh().json()["error"] == "invalid_request"


def test_wrong_control_calls(cc):
    """Control calls that cannot be done say what would be right."""
    for action, details, message in (
        ("script_jobs", {"scripts": "x"}, "scripts"),
        ("leave_list", {"email": "x"}, "No contact"),
        ("authorize", {"scopes": "x"}, "list of strings"),
        ("approve_device", {"user_code": "x"}, "no device"),
    ):
        with pytest.raises(ControlError, match=message):
            cc.act(action, **details)
    cc.seed("ada@example.com")
    with pytest.raises(ControlError, match="audience"):
        cc.act("leave_list", email="ada@example.com", audience="x")
    for row, message in (
        ({"email": "x"}, "not an address"),
        ({"email": "a@example.com", "status": "left_list"}, "need an audience"),
        ({"email": "a@example.com", "fields": {"cf:X": "1"}}, "no custom field X"),
    ):
        with pytest.raises(ControlError, match=message):
            cc.seed(row)
