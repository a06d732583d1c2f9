"""Campaign Monitor: one person is added, changed, taken out, unsubscribed or suppressed."""

from __future__ import annotations

from simulator.campaign_monitor_people import member, row


def test_single_add(sim, cm):
    """A single add answers the address, needs consent, and sets off autoresponders."""
    path = f"/subscribers/{cm.list}.json"
    added = cm("POST", path, row("ada@example.com", City="London"))
    assert (added.status_code, added.json()) == (201, "ada@example.com")
    assert sim.members("campaign_monitor", cm.list)["mails"] == {"autoresponder": 1}
    without = cm("POST", path, {"EmailAddress": "bob@example.com"})
    assert (without.status_code, without.json()["Code"]) == (400, 214)


def test_single_add_to_a_double_opt_in_list_sends_a_confirmation(sim, cm):
    """The person stays unconfirmed and a mail goes out."""
    cm("POST", f"/subscribers/{cm.opt_in_list}.json", row("ada@example.com"))
    shown = sim.members("campaign_monitor", cm.opt_in_list)
    assert (shown["counts"], shown["mails"]) == ({"Unconfirmed": 1}, {"confirmation": 1})


def test_single_add_of_someone_who_left(sim, cm):
    """The codes of an import come as the answer itself."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": "unsubscribed"}], cm.list)
    reply = cm("POST", f"/subscribers/{cm.list}.json", row("gone@example.com"))
    assert (reply.status_code, reply.json()["Code"]) == (400, 206)


def test_update_of_one_person(sim, cm):
    """PUT changes fields and address; an address in use and a stranger are refused."""
    cm.load("ada@example.com", "bob@example.com")
    path = f"/subscribers/{cm.list}.json"
    changed = row("ada.l@example.com", City="Rome")
    assert cm("PUT", path, changed, params={"email": "ada@example.com"}).status_code == 200
    assert member(sim, cm, "ada.l@example.com")["fields"] == {"City": "Rome"}
    taken = cm("PUT", path, row("bob@example.com"), params={"email": "ada.l@example.com"})
    assert taken.json()["Code"] == 201
    bad = cm("PUT", path, row("nobody"), params={"email": "ada.l@example.com"})
    assert bad.json()["Code"] == 211
    assert cm("PUT", path, row("x@example.com"), params={"email": "x@example.com"}).json()["Code"] == 203
    assert cm("PUT", path, row("x@example.com"), params={"email": "x@example"}).json()["Code"] == 1


def test_delete_takes_a_person_out_of_this_list_only(sim, cm):
    """Active becomes Deleted; other lists and the suppression list stay as they were."""
    cm.load("ada+1@example.com")
    cm("POST", f"/subscribers/{cm.other_list}/import.json", {"Subscribers": [row("ada+1@example.com")]})
    gone = cm("DELETE", f"/subscribers/{cm.list}.json", params={"email": "ada+1@example.com"})
    assert (gone.status_code, gone.content) == (200, b"")
    assert cm.emails("deleted") == ["ada+1@example.com"]
    assert sim.members("campaign_monitor", cm.other_list)["counts"] == {"Active": 1}
    again = cm("DELETE", f"/subscribers/{cm.list}.json", params={"email": "ada+1@example.com"})
    assert (again.status_code, again.json()["Code"]) == (400, 203)


def test_delete_of_an_unsubscribed_person_loses_the_opt_out(sim, cm):
    """The state becomes Deleted, and the log warns of it."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": "unsubscribed"}], cm.list)
    assert cm("DELETE", f"/subscribers/{cm.list}.json?email=gone@example.com").status_code == 200
    assert sim.requests()[0]["notes"] == ["deleted a person who was Unsubscribed: that state is lost"]
    assert cm.emails("deleted") == ["gone@example.com"]


def test_unsubscribe_reaches_all_lists_of_the_client(sim, cm):
    """The dangerous call does what it does: all lists, and the suppression list."""
    cm.load("ada@example.com")
    cm("POST", f"/subscribers/{cm.other_list}/import.json", {"Subscribers": [row("ada@example.com")]})
    reply = cm("POST", f"/subscribers/{cm.list}/unsubscribe.json", {"EmailAddress": "ada@example.com"})
    assert reply.status_code == 200
    for audience in (cm.list, cm.other_list):
        assert sim.members("campaign_monitor", audience)["counts"] == {"Unsubscribed": 1}
    held = sim.members("campaign_monitor", "suppression-list")["members"]
    assert [(person["email"], person["reason"]) for person in held] == [("ada@example.com", "Unsubscribed")]
    assert sim.requests()[-1]["facts"] == {"unsubscribed": 1}


def test_suppress_and_unsuppress(sim, cm):
    """Suppression is per client and can be undone once."""
    client = f"/clients/{cm.client}"
    cm("POST", f"{client}/suppress.json", {"EmailAddresses": ["a@example.com", "b@example.com"]})
    page = cm("GET", f"{client}/suppressionlist.json").json()
    assert [entry["EmailAddress"] for entry in page["Results"]] == ["a@example.com", "b@example.com"]
    assert page["Results"][0]["State"] == "Suppressed"
    assert cm("PUT", f"{client}/unsuppress.json", params={"email": "a@example.com"}).status_code == 200
    assert cm("PUT", f"{client}/unsuppress.json", params={"email": "a@example.com"}).json()["Code"] == 176
    assert sim.requests()[0]["facts"] == {"suppressed": 2}
