"""Campaign Monitor: adding people, and what becomes of those who left."""

from __future__ import annotations

import pytest
from simulator.campaign_monitor_people import member, row


def failures(reply):
    assert (reply.status_code, reply.json()["Code"]) == (400, 210)
    return {item["EmailAddress"]: item["Code"] for item in reply.json()["ResultData"]["FailureDetails"]}


def test_import_answers_201_with_counts(cm):
    """A good batch answers 201 and distinguishes new from existing people."""
    assert cm.load("ada@example.com").json()["TotalNewSubscribers"] == 1
    reply = cm.load("ada@example.com", "bob@example.com")
    assert reply.status_code == 201
    assert reply.json() == {
        "FailureDetails": [],
        "TotalUniqueEmailsSubmitted": 2,
        "TotalExistingSubscribers": 1,
        "TotalNewSubscribers": 1,
        "DuplicateEmailsInSubmission": [],
    }


def test_partial_success_is_400_with_code_210(cm):
    """One bad address answers 400/210, and the others are imported."""
    assert failures(cm.load("ada@example.com", "example+1@example")) == {"example+1@example": 1}
    assert cm.emails("active") == ["ada@example.com"]


@pytest.mark.parametrize(
    "email", ["", "no-at", "two@@example.com", "a b@example.com", " a@example.com", "ä@example.com", "a@x"]
)
def test_bad_addresses_fail_with_code_1(cm, email):
    """Addresses without a plain form are refused row by row."""
    assert failures(cm.load(email)) == {email: 1}


def test_batch_size(cm):
    """1000 rows pass, 1001 answer 400/209, none 400/212."""
    people = [f"p{number}@example.com" for number in range(1001)]
    refused = cm.load(*people)
    assert (refused.status_code, refused.json()["Code"]) == (400, 209)
    empty = cm.load()
    assert (empty.status_code, empty.json()["Code"]) == (400, 212)
    assert cm.emails("active") == []
    assert cm.load(*people[:1000]).status_code == 201


@pytest.mark.parametrize(
    "bad",
    [
        {"EmailAddress": 5},
        "not a row",
        {"EmailAddress": "a@example.com", "CustomFields": {"Key": "City"}},
        {"EmailAddress": "a@example.com", "CustomFields": [{"Key": 1, "Value": "x"}]},
        {"EmailAddress": "a@example.com", "CustomFields": [{"Key": "City", "Value": ["x"]}]},
    ],
)
def test_malformed_row_refuses_the_whole_batch(cm, bad):
    """A row that cannot be deserialised answers 400/400 and no person is imported."""
    rows = [{"EmailAddress": "ada@example.com"}, bad]
    reply = cm("POST", f"/subscribers/{cm.list}/import.json", {"Subscribers": rows})
    assert (reply.status_code, reply.json()["Code"]) == (400, 400)
    assert cm.emails("active") == []


def test_body_that_is_no_json(cm):
    """A body that is no JSON, or no batch, answers 400/400."""
    for options in ({"data": "{"}, {"data": "[]"}, {"json": {"Subscribers": 1}}):
        reply = cm("POST", f"/subscribers/{cm.list}/import.json", **options)
        assert (reply.status_code, reply.json()["Code"]) == (400, 400)


@pytest.mark.parametrize(("setting", "city"), [("last", "Paris"), ("first", "London")])
def test_duplicates_are_listed_and_one_copy_wins(sim, cm, setting, city):
    """Repeated addresses, also by case, are listed as strings; which copy wins can be set."""
    sim.configure({"campaign_monitor": {"duplicates": setting}})
    reply = cm.load(row("ada@example.com", City="London"), row("Ada@Example.com", City="Paris"))
    assert reply.json()["DuplicateEmailsInSubmission"] == ["Ada@Example.com"]
    assert reply.json()["TotalUniqueEmailsSubmitted"] == 1
    (person,) = sim.members("campaign_monitor", cm.list)["members"]
    assert person["fields"] == {"City": city}


def test_same_batch_twice_changes_nothing_but_history(sim, cm):
    """Address is the key: sent again, people are existing ones."""
    cm.load("ada@example.com")
    sim.clock.advance(60)
    assert cm.load("ADA@example.com").json()["TotalExistingSubscribers"] == 1
    history = member(sim, cm, "ada@example.com")["history"]
    assert [event for _, event in history] == ["imported", "updated"]
    assert history[1][0] - history[0][0] == 60


@pytest.mark.parametrize(
    ("status", "code"),
    [("deleted", 205), ("unsubscribed", 206), ("bounced", 207), ("unconfirmed", 208), ("suppressed", 204)],
)
def test_people_who_left_are_not_added(sim, cm, status, code):
    """Without Resubscribe each kind of absence has its code, and nothing changes."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": status}], cm.list)
    assert failures(cm.load(row("gone@example.com", City="Rome"), "ada@example.com")) == {"gone@example.com": code}
    assert cm.emails("active") == ["ada@example.com"]
    if status != "suppressed":
        person = member(sim, cm, "gone@example.com")
        assert (person["status"], person["fields"]) == (status.capitalize(), {})


@pytest.mark.parametrize("status", ["active", "deleted", "unsubscribed"])
def test_suppression_list_takes_precedence_over_the_state_in_the_list(sim, cm, status):
    """A person of the list who is on the client's suppression list fails with 204, in whatever state."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": status}], cm.list)
    cm("POST", f"/clients/{cm.client}/suppress.json", {"EmailAddresses": ["gone@example.com"]})
    assert failures(cm.load(row("gone@example.com", City="Rome"))) == {"gone@example.com": 204}
    assert member(sim, cm, "gone@example.com")["fields"] == {}


def test_mobile_numbers(cm):
    """A mobile number has the form of E.164: 220, or 221 if the address is invalid too."""
    rows = [
        {"EmailAddress": email, "MobileNumber": number, "ConsentToTrack": "No"}
        for email, number in (("ada@example.com", "+15417543010"), ("bob@example.com", "1234"), ("cy@example", "1234"))
    ]
    assert failures(cm.load(*rows)) == {"bob@example.com": 220, "cy@example": 221}


@pytest.mark.parametrize("status", ["deleted", "unsubscribed", "suppressed"])
def test_resubscribe_brings_people_back_and_is_seen(sim, cm, status):
    """Resubscribe re-activates also those who opted out; history and log show the damage."""
    sim.seed("campaign_monitor", [{"email": "gone@example.com", "status": status}], cm.list)
    assert cm.load("gone@example.com", Resubscribe=True).status_code == 201
    assert cm.emails("active") == ["gone@example.com"]
    events = [event for _, event in member(sim, cm, "gone@example.com")["history"]]
    assert f"resubscribed, was {status}" in events
    assert sim.requests()[0]["facts"]["resubscribed"] == 1
    assert sim.members("campaign_monitor", "suppression-list")["counts"] == {"Suppressed": 0}


def test_autoresponders_are_off_by_default(sim, cm):
    """An import sets off no mail unless it asks to."""
    cm.load("ada@example.com")
    assert sim.members("campaign_monitor", cm.list)["mails"] == {}
    assert "mails" not in sim.requests()[0]["facts"]


@pytest.mark.parametrize(
    ("switch", "mails"),
    [("QueueSubscriptionBasedAutoResponders", 1), ("RestartSubscriptionBasedAutoresponders", 1)],
)
def test_autoresponders_that_would_go_out_are_recorded(sim, cm, switch, mails):
    """Queueing strikes new people, restarting existing ones; either spelling counts."""
    cm.load("ada@example.com")
    cm.load("ada@example.com", "bob@example.com", **{switch: True})
    assert sim.members("campaign_monitor", cm.list)["mails"] == {"autoresponder": mails}
    assert sim.requests()[1]["facts"]["mails"] == mails


def test_omitted_fields_are_kept_and_empty_ones_too(sim, cm):
    """Only Clear blanks a value."""
    cm.load(row("ada@example.com", City="London", Gender="Female") | {"Name": "Ada"})
    cm.load(row("ada@example.com", City="", Gender="Other"))
    person = member(sim, cm, "ada@example.com")
    assert (person["name"], person["fields"]) == ("Ada", {"City": "London", "Gender": "Other"})
    cm.load({"EmailAddress": "ada@example.com", "CustomFields": [{"Key": "City", "Value": "", "Clear": True}]})
    assert member(sim, cm, "ada@example.com")["fields"] == {"Gender": "Other"}


def test_unknown_keys_are_dropped_in_silence_but_noted(sim, cm):
    """The reply says nothing of an unknown custom field; the request log does."""
    reply = cm.load(row("ada@example.com", Shoe="42", City="London"))
    assert reply.status_code == 201
    assert member(sim, cm, "ada@example.com")["fields"] == {"City": "London"}
    assert sim.requests()[0]["notes"] == ["unknown custom field 'Shoe' dropped in 1 row"]


def test_keys_with_and_without_brackets(sim, cm):
    """A field is meant by its key, bare or in brackets, not by its name."""
    pairs = {"[LoyaltyTier]": "Gold", "Gender": "F", "Loyalty Tier": "Silver"}
    cm.load(row("ada@example.com", **pairs))
    assert member(sim, cm, "ada@example.com")["fields"] == {"LoyaltyTier": "Gold", "Gender": "F"}


def test_values_of_a_wrong_type_are_skipped(sim, cm):
    """The person is imported, the bad value is not, and only the log shows it."""
    values = {"Birthdate": "31/12/1980", "Orders": "many", "Interests": "Golf", "City": "x" * 300}
    assert cm.load(row("ada@example.com", **values)).status_code == 201
    assert member(sim, cm, "ada@example.com")["fields"] == {"City": "x" * 250}
    assert len(sim.requests()[0]["notes"]) == 3


def test_typed_values(sim, cm):
    """Dates come as yyyy/mm/dd within range, several options as repeated keys, numbers as they are."""
    pairs = [
        {"Key": "Interests", "Value": "Garden"},
        {"Key": "Interests", "Value": "Travel"},
        {"Key": "Birthdate", "Value": "1980/12/31"},
        {"Key": "Orders", "Value": 3},
    ]
    cm.load({"EmailAddress": "ada@example.com", "CustomFields": pairs})
    fields = member(sim, cm, "ada@example.com")["fields"]
    assert fields == {"Birthdate": "1980-12-31", "Orders": "3", "Interests": ("Garden", "Travel")}
    cm.load(row("ada@example.com", Birthdate="2077/01/01"))
    assert member(sim, cm, "ada@example.com")["fields"] == fields
    cm.load(row("ada@example.com", Birthdate="0000-00-00"))
    assert "Birthdate" not in member(sim, cm, "ada@example.com")["fields"]


def test_consent_to_track(sim, cm):
    """An invalid value fails with 215, a missing one only where it is set to matter, with 214."""
    assert failures(cm.load(row("a@example.com") | {"ConsentToTrack": "Maybe"})) == {"a@example.com": 215}
    assert cm.load(row("a@example.com") | {"ConsentToTrack": "yes"}).status_code == 201
    assert member(sim, cm, "a@example.com")["consent_to_track"] == "Yes"
    sim.configure({"campaign_monitor": {"import_requires_consent": True}})
    assert failures(cm.load("b@example.com")) == {"b@example.com": 214}


def test_import_into_a_double_opt_in_list(sim, cm):
    """By assumption an import skips the confirmation; it can be set to send it."""
    path = f"/subscribers/{cm.opt_in_list}/import.json"
    cm("POST", path, {"Subscribers": [{"EmailAddress": "a@example.com"}]})
    sim.configure({"campaign_monitor": {"import_sends_confirmation": True}})
    cm("POST", path, {"Subscribers": [{"EmailAddress": "b@example.com"}]})
    shown = sim.members("campaign_monitor", cm.opt_in_list, summary=True)
    assert shown["counts"] == {"Active": 1, "Unconfirmed": 1}
    assert shown["mails"] == {"confirmation": 1}
