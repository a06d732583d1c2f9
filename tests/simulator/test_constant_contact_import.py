"""Constant Contact: what an import makes of its rows, and where it cuts silently."""

from __future__ import annotations

import json

import pytest


def counters(report):
    return {name.removesuffix("_count"): number for name, number in report["status"].items()}


def test_new_people(cc):
    """New people are implicit, opted in by the account, and on the list."""
    report = cc.load("ada@example.com", "bob@example.com")
    assert report["state"] == "completed"
    assert counters(report) == {"items_total": 3, "person": 2, "error": 0, "correctable": 0, "cannot_add_to_list": 0}
    address = cc.find("ada@example.com")["email_address"]
    assert (address["permission_to_send"], address["opt_in_source"]) == ("implicit", "Account")
    assert cc("GET", f"/contact_lists/{cc.list}?include_membership_count=active").json()["membership_count"] == 2
    assert cc.audit() == {}


def test_people_who_are_there_keep_their_permission(cc):
    """An import updates only what it sends, and never the permission."""
    cc.seed({"email": "ada@example.com", "status": "explicit", "fields": {"first_name": "Ada", "city": "Paris"}})
    cc.load({"email": "Ada@Example.com", "city": "London", "last_name": ""})
    person = cc.people()["ada@example.com"]
    assert (person["status"], person["fields"]) == ("explicit", {"first_name": "Ada", "city": "London"})


def test_unsubscribed_people_are_not_added_and_only_counted(cc):
    """A person that unsubscribed from everything stays off the list, in cannot_add_to_list_count."""
    cc.seed({"email": "ada@example.com", "status": "unsubscribed"})
    report = cc.load("ada@example.com", "bob@example.com")
    assert report["status"]["cannot_add_to_list_count"] == 1
    assert report["activity_errors"] == []
    assert cc.people().keys() == {"bob@example.com"}
    assert cc.find("ada@example.com")["email_address"]["permission_to_send"] == "unsubscribed"


def test_people_who_left_only_this_list_are_added_again(cc):
    """An import brings back who left this list by choice, and that is seen."""
    cc.load("ada@example.com", lists=[cc.list, cc.other_list])
    cc.act("leave_list", email="ada@example.com", audience=cc.list)
    assert cc.people() == {}
    reply = cc.start("ada@example.com")
    cc.done(reply)
    assert cc.people()["ada@example.com"]["history"][-1][1].endswith("by import, which the person had left")
    assert cc.audit() == {"rejoined_list": 1}
    sent = next(e for e in cc.sim.requests() if e["facts"].get("rejoined"))
    assert sent["path"].endswith("contacts_json_import")


def test_deleted_people_are_revived(cc):
    """Importing a deleted person brings them back under the same id, on no other list."""
    cc.load("ada@example.com", lists=[cc.other_list])
    before = cc.find("ada@example.com")
    cc("DELETE", f"/contacts/{before['contact_id']}")
    cc.load("ada@example.com")
    after = cc.find("ada@example.com")
    assert (after["contact_id"], after["list_memberships"]) == (before["contact_id"], [cc.list])


def test_rows_that_a_human_can_correct(cc):
    """Bad addresses, birthdays and anniversaries are counted and named by line; the header is line 1."""
    report = cc.load(
        "no-address",
        {"email": "ada@example.com", "birthday_month": 13, "birthday_day": 1},
        "bob@example.com",
        {"email": "cy@example.com", "birthday_month": 2},
        {"email": "di@example.com", "anniversary": "yesterday"},
        {"first_name": "Nobody"},
        {"email": "eve@example.com", "birthday_month": 2, "birthday_day": 29, "anniversary": "3/4/2001"},
    )
    assert (report["status"]["correctable_count"], report["status"]["error_count"]) == (5, 0)
    assert report["status"]["person_count"] == 7
    assert sorted(report["activity_errors"]) == [
        "Line 2: Invalid email",
        "Line 3: Invalid birthday",
        "Line 5: Invalid birthday",
        "Line 6: Invalid anniversary",
        "Line 7: Invalid email",
    ]
    assert cc.people().keys() == {"bob@example.com", "eve@example.com"}
    assert cc.people()["eve@example.com"]["fields"]["anniversary"] == "2001-03-04"


def test_person_count_may_leave_bad_rows_out(sim, cc):
    """Whether person_count includes bad rows is a setting, as it is not documented."""
    sim.configure({"constant_contact": {"person_count": "valid"}})
    assert cc.load("no-address", "bob@example.com")["status"]["person_count"] == 1


def test_errors_that_no_client_can_correct(cc):
    """Over-long values and values of a wrong type are errors, named by line."""
    report = cc.load(
        {"email": "ada@example.com", "first_name": "x" * 51},
        {"email": "bob@example.com", "cf:Orders": "-3"},
        {"email": "cy@example.com", "cf:VIP": "perhaps"},
        {"email": "di@example.com", "cf:Gender": "y" * 256},
        {"email": "ok@example.com", "cf:Orders": 3, "cf:VIP": True, "cf:Customer_Since": "2020-01-31"},
        broken=True,
    )
    assert (report["status"]["correctable_count"], report["status"]["error_count"]) == (0, 4)
    assert cc.people().keys() == {"ok@example.com"}
    assert cc.people()["ok@example.com"]["fields"]["cf:Orders"] == "3"


def test_the_list_of_errors_may_be_capped(sim, cc):
    """error_count may exceed the number of lines named."""
    sim.configure({"constant_contact": {"max_activity_errors": 1}})
    report = cc.load("bad", "worse", "good@example.com")
    assert (report["status"]["correctable_count"], len(report["activity_errors"])) == (2, 1)


def test_the_last_of_duplicates_wins_silently(cc):
    """The last of several rows with one address, in any case, counts, and no error says so."""
    report = cc.load({"email": "ada@example.com", "city": "Paris"}, {"email": "ADA@example.com", "city": "Rome"})
    assert (report["status"]["person_count"], report["activity_errors"]) == (1, [])
    assert next(iter(cc.people().values()))["fields"] == {"city": "Rome"}


@pytest.mark.parametrize(("setting", "errors"), [("ignore", 0), ("error", 1)])
def test_unknown_custom_fields(sim, cc, setting, errors):
    """An unknown cf: name is ignored or fails its rows, as set; the request log shows it in both cases."""
    sim.configure({"constant_contact": {"unknown_custom_field": setting}})
    report = cc.load({"email": "ada@example.com", "cf:Shoe_Size": "9", "cf:Gender": "f"}, "bob@example.com")
    assert report["status"]["error_count"] == errors
    assert len(cc.people()) == 2 - errors
    assert "unknown column 'cf:Shoe_Size' in 1 row" in str(sim.requests())


def test_empty_values(sim, cc):
    """An empty value keeps what is there, or clears it, as set."""
    cc.load({"email": "ada@example.com", "city": "Paris"})
    cc.load({"email": "ada@example.com", "city": ""})
    assert cc.people()["ada@example.com"]["fields"] == {"city": "Paris"}
    sim.configure({"constant_contact": {"empty_value": "clear"}})
    cc.load({"email": "ada@example.com", "city": ""})
    assert cc.people()["ada@example.com"]["fields"] == {}


def test_csv(cc):
    """A CSV file does what a JSON import does, quoting and accents included."""
    text = 'email,first_name,street,cf:Loyalty_Tier\nzoë@example.com,Z,,\nada@example.com,"Ada, ""A""",1 Main St,Öl\n'
    report = cc.done(cc.send_csv(text))
    assert report["source_file_name"] == "people.csv"
    assert (report["status"]["items_total_count"], report["activity_errors"]) == (3, ["Line 2: Invalid email"])
    fields = {"first_name": 'Ada, "A"', "street": "1 Main St", "cf:Loyalty_Tier": "Öl"}
    assert cc.people()["ada@example.com"]["fields"] == fields


def test_a_file_that_is_no_csv_upload(cc):
    """A wrong content type, a wrong file type, no address column: 415, 415, 400."""
    assert cc.send_csv("email\nada@example.com\n", "people.txt").status_code == 415
    assert cc("POST", "/activities/contacts_file_import", data="email\n").status_code == 415
    assert cc.send_csv("mail\nada@example.com\n").status_code == 400
    assert cc.send_csv("email\nada@example.com\n", lists=["nonsense"]).status_code == 404


def test_rows_beyond_the_limit_are_dropped_silently(sim, cc):
    """If there are too many rows, the first are taken, JSON one more than CSV, and only person_count shows it."""
    sim.configure({"constant_contact": {"max_import_rows": 3}})
    emails = [f"p{number}@example.com" for number in range(5)]
    assert cc.load(*emails)["status"]["person_count"] == 3
    assert cc.done(cc.send_csv("email\n" + "\n".join(emails)))["status"]["person_count"] == 2
    assert [e["facts"]["dropped"] for e in sim.requests() if "dropped" in e["facts"]] == [2, 3]


def test_bytes_beyond_the_limit_are_dropped_silently(sim, cc):
    """If the body is too large, the complete rows in its first part are taken, whatever follows."""
    rows = [{"email": f"person{number}@example.com", "city": "Paris"} for number in range(100)]
    body = {"import_data": rows, "list_ids": [cc.list]}
    size = len(json.dumps(body))
    sim.configure({"constant_contact": {"max_import_bytes": size + 1}})
    assert cc.done(cc("POST", "/activities/contacts_json_import", body))["status"]["person_count"] == 100
    sim.configure({"constant_contact": {"max_import_bytes": size // 2}})
    taken = cc.done(cc("POST", "/activities/contacts_json_import", body))["status"]["person_count"]
    assert 45 <= taken <= 50
    text = "email,city\n" + "".join(f"person{number}@example.com,Paris\n" for number in range(100))
    sim.configure({"constant_contact": {"max_import_bytes": 1500}})
    taken = cc.done(cc.send_csv(text))["status"]["person_count"]
    assert 30 <= taken <= 55


@pytest.mark.parametrize(
    "change",
    [{"list_ids": []}, {"list_ids": ["nonsense"]}, {"import_data": []}, {"import_data": ["ada@example.com"]}],
)
def test_a_body_that_breaks_the_schema_is_refused(cc, change):
    """No list, an unknown list, no rows and rows that are no objects answer 400, and queue nothing."""
    body = {"import_data": [{"email": "ada@example.com"}], "list_ids": [cc.list], **change}
    reply = cc("POST", "/activities/contacts_json_import", body)
    assert (reply.status_code, reply.json()[0]["error_key"]) == (400, "contacts.api.validation.error")
    assert cc("GET", "/activities").json()["activities"] == []


def test_the_shape_of_a_contact_is_not_that_of_a_row(cc):
    """A nested address is no email: such rows are only counted."""
    report = cc.load({"email_address": {"address": "ada@example.com"}, "custom_fields": []})
    assert report["status"]["correctable_count"] == 1
    assert cc.people() == {}


def test_imports_may_set_off_mails(sim, cc):
    """Whether joining a list by import sets off its welcome mail is a setting; the mails are counted."""
    sim.configure({"constant_contact": {"import_sends_welcome": True}})
    cc.load("ada@example.com")
    cc.load("ada@example.com")
    assert sim.members("constant_contact", cc.list, summary=True)["mails"] == {"welcome": 1}
