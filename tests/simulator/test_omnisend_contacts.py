"""Omnisend: single contacts, consent, tags."""

from __future__ import annotations

import pytest
from simulator.omnisend_client import person


def with_status(email, status, at=None, **more):
    channel = {"status": status, **({"statusChangedAt": at} if at else {})}
    return {"identifiers": [{"type": "email", "id": email, "channels": {"email": channel}, **more}]}


def codes(reply):
    return {error["field"]: error["code"] for error in reply.json()["errors"]}


def test_creating_and_updating(om):
    """POST creates (201) or updates by email (200); only what is sent changes."""
    first = om(
        "POST",
        "/contacts",
        person("ada@example.com", firstName="Ada", tags=["seg a"], customProperties={"loyalty": "gold", "orders": 3}),
    )
    again = om("POST", "/contacts", person("ADA@example.com", lastName="L", tags=["seg b"], birthdate="1815-12-10"))
    assert (first.status_code, again.status_code) == (201, 200)
    shown = again.json()
    assert shown["id"] == first.json()["id"]
    assert (shown["firstName"], shown["lastName"], shown["tags"]) == ("Ada", "L", ["seg a", "seg b"])
    assert shown["customProperties"] == {"loyalty": "gold", "orders": 3}
    assert om("GET", f"/contacts/{shown['id']}").json() == shown
    assert om("GET", "/contacts/000000000000000000000000").status_code == 404


def test_all_problems_are_listed_at_once(om):
    """A contact with many faults is refused with one entry for each of them."""
    reply = om(
        "POST",
        "/contacts",
        {
            "identifiers": [{"type": "email", "id": "ada"}, {"type": "phone", "id": "555-1212"}, {"type": "fax"}],
            "gender": "female",
            "birthdate": "10.12.1815",
            "countryCode": "GBR",
            "firstName": 3,
            "tags": ["x" * 129],
            "customProperties": {"nested": {"a": 1}},
        },
    )
    assert reply.status_code == 400
    assert codes(reply).keys() == {
        "identifiers.0.id",
        "identifiers.1.id",
        "identifiers.2.type",
        "gender",
        "birthdate",
        "countryCode",
        "firstName",
        "tags.0",
        "customProperties.nested",
    }
    assert codes(om("POST", "/contacts", {"firstName": "Ada"})) == {"identifiers": "required"}


def test_no_channels_leave_the_status_alone(om):
    """A contact without channels keeps its status; a new one is nonSubscribed."""
    om.sim.seed("omnisend", [{"email": "ada@example.com", "status": "unsubscribed"}])
    assert om("POST", "/contacts", person("ada@example.com")).json()["status"] == "unsubscribed"
    assert om("POST", "/contacts", person("bob@example.com")).json()["status"] == "nonSubscribed"
    assert om.audit() == {}


def test_the_latest_status_wins(sim, om):
    """A status with an earlier date is ignored; a later one, or none, subscribes again and is seen."""
    sim.seed("omnisend", [{"email": "ada@example.com", "status": "unsubscribed"}])
    sim.clock.advance(3600)
    older = om("POST", "/contacts", with_status("ada@example.com", "subscribed", "2020-01-01T00:00:00Z"))
    assert older.json()["status"] == "unsubscribed"
    later = om("POST", "/contacts", with_status("ada@example.com", "subscribed", sendWelcomeMessage=False))
    assert later.json()["status"] == "subscribed"
    assert om.audit() == {"consent_upgraded": 1}
    assert om.people()["ada@example.com"]["history"][-1][1] == "subscribed through the API, was unsubscribed"
    assert sim.requests()[-1]["facts"]["consent_upgraded"] == 1


def test_subscribing_strangers_is_seen(om):
    """Making a new contact subscribed, or losing an opt-out, is noted too."""
    om("POST", "/contacts", with_status("ada@example.com", "subscribed", sendWelcomeMessage=False))
    om.act("unsubscribe", email="ada@example.com")
    om.sim.clock.advance(1)
    om("POST", "/contacts", with_status("ada@example.com", "nonSubscribed", sendWelcomeMessage=False))
    assert om.audit() == {"set_subscribed": 1, "consent_upgraded": 1}


def test_a_welcome_message_is_sent_unless_it_is_declined(sim, om):
    """The switch sendWelcomeMessage is true when it is not sent: a new contact sets off a mail, which is counted."""
    om("POST", "/contacts", person("ada@example.com"))
    assert om.audit() == {}
    om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "bob@example.com"}]})
    om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "bob@example.com"}]})
    assert sim.members("omnisend", "all-contacts")["mails"] == {"welcome": 1}
    sim.configure({"omnisend": {"welcome_workflow": False}})
    om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "cy@example.com"}]})
    assert om.audit() == {"mail": 1}


def test_patching(om):
    """PATCH changes by email or id, does not create, and refuses another contact's identifier."""
    om.load("ada@example.com", "bob@example.com")
    ada = om("PATCH", "/contacts", {"firstName": "Ada"}, params={"email": "ada@example.com"}).json()
    assert om("PATCH", f"/contacts/{ada['id']}", {"city": "London"}).json()["firstName"] == "Ada"
    assert om("PATCH", "/contacts", {"city": "x"}, params={"email": "no@example.com"}).status_code == 404
    taken = om("PATCH", f"/contacts/{ada['id']}", person("bob@example.com"))
    assert taken.status_code == 409
    moved = om("PATCH", f"/contacts/{ada['id']}", person("countess@example.com")).json()
    assert (moved["id"], moved["email"]) == (ada["id"], "countess@example.com")


def test_tags_merge_or_replace(sim, om):
    """Whether tags in an upsert are added to those there, or replace them, is a setting."""
    om("POST", "/contacts", person("ada@example.com", tags=["a"]))
    assert om("POST", "/contacts", person("ada@example.com", tags=["b"])).json()["tags"] == ["a", "b"]
    sim.configure({"omnisend": {"update_tags": "replace"}})
    assert om("POST", "/contacts", person("ada@example.com", tags=["c"])).json()["tags"] == ["c"]
    assert om("POST", "/contacts", person("ada@example.com")).json()["tags"] == ["c"]


def test_a_phone_of_somebody_else_is_ignored(om):
    """A number that another contact has stays there, and nothing fails."""
    phone = {"type": "phone", "id": "+12025550142"}
    om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "ada@example.com"}, phone]})
    reply = om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "bob@example.com"}, phone]})
    assert (reply.status_code, reply.json()["phone"]) == (201, [])
    assert om("GET", "/contacts", params={"phone": "+12025550142"}).json()["contacts"][0]["email"] == "ada@example.com"


def test_addresses_may_differ_by_case(sim, om):
    """Whether case matters in addresses is a setting, as one page of the vendor says so."""
    sim.configure({"omnisend": {"email_case": "keep"}})
    om.load("Ada@example.com", "ada@example.com")
    assert len(om.people()) == 2


def test_tags_are_applied_later(sim, om):
    """Tagging answers 202 and shows only some seconds later: an early read-back undercounts."""
    om.load("ada@example.com", "bob@example.com")
    reply = om("POST", "/contacts/tags", {"emails": ["ada@example.com"], "tags": ["vip"]})
    assert (reply.status_code, reply.content) == (202, b"")
    assert om("GET", "/contacts?tag=vip").json()["contacts"] == []
    sim.clock.advance(5)
    assert om("GET", "/contacts?tag=vip").json()["contacts"][0]["email"] == "ada@example.com"


def test_removing_tags(sim, om):
    """Tags go from the union of all selectors; unknown people are passed over; the status stays."""
    om.load(*(person(f"p{number}@example.com", tags=["a", "b"]) for number in range(4)))
    sim.act("omnisend", "subscribe", {"email": "p0@example.com"})
    contact_id = om.find("p1@example.com")["id"]
    body = {"emails": ["p0@example.com", "nobody@example.com"], "contactIDs": [contact_id], "tags": ["a", "c"]}
    assert om("DELETE", "/contacts/tags", body).status_code == 202
    sim.clock.advance(5)
    assert om.people("a").keys() == {"p2@example.com", "p3@example.com"}
    assert om.people("b").keys() == {f"p{number}@example.com" for number in range(4)}
    assert om.find("p0@example.com")["status"] == "subscribed"
    entry = next(e for e in sim.requests() if e["method"] == "DELETE")
    assert entry["facts"]["untagged"] == 2
    assert "1 selectors match no contact" in entry["notes"][0]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"tags": ["a"]}, {"emails"}),
        ({"emails": ["a@example.com"]}, {"tags"}),
        ({"emails": ["a@example.com"] * 251, "tags": []}, {"emails", "tags"}),
        ({"segmentID": "nonsense", "tags": ["a"]}, {"segmentID"}),
        ({"emails": "a@example.com", "tags": ["a"]}, {"emails"}),
    ],
)
def test_wrong_tag_requests(om, body, fields):
    """No selector, no tags, too many and unknown ones answer 400."""
    reply = om("POST", "/contacts/tags", body)
    assert (reply.status_code, codes(reply).keys()) == (400, fields)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"sendWelcomeMessage": "no"}, "identifiers.0.sendWelcomeMessage"),
        ({"channels": "email"}, "identifiers.0.channels"),
        ({"channels": {"email": {"status": "glad"}}}, "identifiers.0.channels.email.status"),
        (
            {"channels": {"email": {"status": "subscribed", "statusChangedAt": "now"}}},
            "identifiers.0.channels.email.statusChangedAt",
        ),
    ],
)
def test_wrong_channels(om, change, field):
    """Statuses and dates of channels are checked."""
    reply = om("POST", "/contacts", {"identifiers": [{"type": "email", "id": "ada@example.com", **change}]})
    assert codes(reply).keys() == {field}


def test_wrong_bodies(om):
    """A body that is no object, properties that are none and a PATCH without an address answer 400."""
    json_type = {"Content-Type": "application/json"}
    assert om("POST", "/contacts", data="{", headers=json_type).status_code == 400
    assert om("POST", "/contacts", data="{}").status_code == 415
    assert codes(om("POST", "/contacts", person("a@example.com", customProperties=[]))) == {
        "customProperties": "invalid_type"
    }
    assert codes(om("POST", "/contacts", person("a@example.com", createdAt=7))) == {"createdAt": "invalid_format"}
    assert codes(om("PATCH", "/contacts", {"city": "x"})) == {"email": "required"}


def test_phones_consent_and_creation_date(sim, om):
    """A phone has its own channel, consent is kept, createdAt becomes a property, null empties one."""
    phone = {
        "type": "phone",
        "id": "+12025550142",
        "channels": {"sms": {"status": "subscribed"}},
        "consent": {"source": "form", "createdAt": "2026-01-01T00:00:00Z"},
    }
    shown = om(
        "POST",
        "/contacts",
        {
            **person("ada@example.com", createdAt="2020-01-01T00:00:00Z", customProperties={"a": 1, "b": ["x"]}),
            "identifiers": [person("ada@example.com")["identifiers"][0], phone],
        },
    ).json()
    assert shown["customProperties"] == {"externalCreated": "2020-01-01T00:00:00Z", "a": 1, "b": ["x"]}
    assert shown["consents"] == [{"channel": "sms", "createdAt": "2026-01-01T00:00:00Z", "source": "form"}]
    assert {row["channel"]: row["status"] for row in shown["statuses"]} == {
        "email": "nonSubscribed",
        "sms": "subscribed",
    }
    om("POST", "/contacts", person("ada@example.com", customProperties={"a": None}))
    assert "a" not in om.find("ada@example.com")["customProperties"]
    om("POST", "/contacts/tags", {"phones": ["+12025550142"], "tags": ["vip"]})
    sim.clock.advance(5)
    assert om.people("vip").keys() == {"ada@example.com"}
    alone = om("POST", "/contacts", {"identifiers": [{"type": "phone", "id": "+12025550143"}]})
    assert (alone.status_code, alone.json()["email"]) == (201, "")
