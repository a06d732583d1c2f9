"""Opted-out people, as every vendor lists them."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.model import OPTED_OUT, Reason

DAY = 86_400


@pytest.fixture
def account(sim, vendor, tmp_path):
    """An account whose login lasts as long as the test."""
    lasting = {"constant_contact": {"access_seconds": 90 * DAY}}
    sim.reset(lasting, seed=1, latency=0.0, log_body_bytes=10_000_000)
    account = VendorHarness(sim, vendor, tmp_path)
    if account.vendor.list_optouts is None:
        pytest.skip("this vendor lists no opt-outs")
    return account


def listed_optouts(account, since):
    """The vendor's opt-outs, in its order."""
    optouts = []
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    account.call(account.vendor.list_optouts(target, since, optouts.extend))
    return optouts


def seed(account, status, *emails):
    account.sim.seed(account.name, [{"email": email, "status": status} for email in emails], account.audience)


def test_who_has_opted_out_since(account):
    """Opt-outs since the given time, once each, with a reason and a date; no person that still gets mail."""
    seed(account, "active", *people(3))
    seed(account, account.row.opted_out, "long.ago@example.com")
    account.sim.clock.advance(10 * DAY)
    since = account.sim.clock.now()
    account.sim.clock.advance(DAY)
    seed(account, account.row.opted_out, "p1@example.com", "new@example.com")
    (new, former_member) = sorted(listed_optouts(account, since), key=lambda optout: optout.email)
    assert (new.email, former_member.email) == ("new@example.com", "p1@example.com")
    assert {new.reason, former_member.reason} == {Reason.UNSUBSCRIBED}
    assert new.since.startswith("2026-01-12T00:00:00")
    assert new.reason in OPTED_OUT


def test_from_the_beginning(account):
    """A first run gets every opt-out, page by page. A list that is sorted by the time of a change is read twice."""
    emails = [f"n{number}@example.com" for number in range(2005)]
    seed(account, account.row.opted_out, *emails)
    assert {optout.email for optout in listed_optouts(account, 0)} == set(emails)


def test_no_optout(account):
    """An account where all people get mail lists none."""
    seed(account, "active", *people(3))
    assert listed_optouts(account, 0) == []


def test_asking_changes_nothing(account):
    """It only reads."""
    seed(account, account.row.opted_out, *people(3))
    before = len(account.sim.requests(vendor=account.name))
    listed_optouts(account, 0)
    assert {call["method"] for call in account.sim.requests(vendor=account.name)[before:]} == {"GET"}


def test_campaign_monitor_tells_the_bounced_and_the_client_s_suppression_list(sim, tmp_path):
    """Each person once, by the nearest reason; the list's state comes before the client's."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    seed(account, "suppressed", "early@example.com")
    sim.clock.advance(10 * DAY)
    since = sim.clock.now()
    seed(account, "bounced", "b@example.com")
    seed(account, "unsubscribed", "u@example.com")
    seed(account, "suppressed", "u@example.com", "s@example.com")
    reasons = {optout.email: optout.reason for optout in listed_optouts(account, since)}
    assert reasons == {
        "b@example.com": Reason.BOUNCED,
        "u@example.com": Reason.UNSUBSCRIBED,
        "s@example.com": Reason.SUPPRESSED,
    }


def test_campaign_monitor_without_the_client(sim, tmp_path):
    """A key of one client may not list clients: the list's own opt-outs are read all the same."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    denied = {"Code": 60, "Message": "You do not have the required permission"}
    sim.faults([{"path": "/clients.json$", "count": 0, "status": 401, "body": denied}])
    seed(account, "suppressed", "s@example.com")
    seed(account, "unsubscribed", "u@example.com")
    assert [optout.email for optout in listed_optouts(account, 0)] == ["u@example.com"]


def test_dotdigital_tells_who_has_left_the_address_book_alone(sim, tmp_path):
    """They still get mail through other books: a reason of its own says so."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    seed(account, "unsubscribedFromList", "left@example.com")
    seed(account, "hardBounced", "b@example.com")
    seed(account, "suppressed", "s@example.com")
    seed(account, "unsubscribed", "u@example.com")
    reasons = {optout.email: optout.reason for optout in listed_optouts(account, 0)}
    assert reasons == {
        "left@example.com": Reason.LEFT_AUDIENCE,
        "b@example.com": Reason.BOUNCED,
        "s@example.com": Reason.SUPPRESSED,
        "u@example.com": Reason.UNSUBSCRIBED,
    }
