"""Who has opted out, as every vendor tells it."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.model import OPTED_OUT, Reason

DAY = 86_400


@pytest.fixture
def account(sim, vendor, tmp_path):
    """An account whose sign-in lasts as long as the test."""
    lasting = {"constant_contact": {"access_seconds": 90 * DAY}}
    sim.reset(lasting, seed=1, latency=0.0, log_body_bytes=10_000_000)
    account = VendorHarness(sim, vendor, tmp_path)
    if account.vendor.list_optouts is None:
        pytest.skip("this vendor lists no opt-outs")
    return account


def told(account, since):
    """What the vendor tells, in the order of telling."""
    found = []
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    account.call(account.vendor.list_optouts(target, since, found.extend))
    return found


def seed(account, status, *emails):
    account.sim.seed(account.name, [{"email": email, "status": status} for email in emails], account.audience)


def test_who_has_opted_out_since(account):
    """Those since the time that is asked for, once each, with a reason and a date; nobody who still gets mail."""
    seed(account, "active", *people(3))
    seed(account, account.row.opted_out, "long.ago@example.com")
    account.sim.clock.advance(10 * DAY)
    since = account.sim.clock.now()
    account.sim.clock.advance(DAY)
    seed(account, account.row.opted_out, "p1@example.com", "new@example.com")
    (new, known) = sorted(told(account, since), key=lambda one: one.email)
    assert (new.email, known.email) == ("new@example.com", "p1@example.com")
    assert {new.reason, known.reason} == {Reason.UNSUBSCRIBED}
    assert new.since.startswith("2026-01-12T00:00:00")
    assert new.reason in OPTED_OUT


def test_from_the_beginning(account):
    """A first run learns everybody, page by page."""
    emails = [f"n{number}@example.com" for number in range(2005)]
    seed(account, account.row.opted_out, *emails)
    assert sorted(one.email for one in told(account, 0)) == sorted(emails)


def test_nobody(account):
    """An account where all get mail tells nobody."""
    seed(account, "active", *people(3))
    assert told(account, 0) == []


def test_asking_changes_nothing(account):
    """It only reads."""
    seed(account, account.row.opted_out, *people(3))
    before = len(account.sim.requests(vendor=account.name))
    told(account, 0)
    assert {one["method"] for one in account.sim.requests(vendor=account.name)[before:]} == {"GET"}


def test_campaign_monitor_tells_the_bounced_and_the_client_s_suppression_list(sim, tmp_path):
    """Each person once, by the nearest reason; the list's state comes before the client's."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    seed(account, "suppressed", "early@example.com")
    sim.clock.advance(10 * DAY)
    since = sim.clock.now()
    seed(account, "bounced", "b@example.com")
    seed(account, "unsubscribed", "u@example.com")
    seed(account, "suppressed", "u@example.com", "s@example.com")
    reasons = {one.email: one.reason for one in told(account, since)}
    assert reasons == {
        "b@example.com": Reason.BOUNCED,
        "u@example.com": Reason.UNSUBSCRIBED,
        "s@example.com": Reason.SUPPRESSED,
    }


def test_campaign_monitor_without_the_client(sim, tmp_path):
    """A key of one client that may not list clients: the list's own states are told all the same."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    denied = {"Code": 60, "Message": "You do not have the required permission"}
    sim.faults([{"path": "/clients.json$", "count": 0, "status": 401, "body": denied}])
    seed(account, "suppressed", "s@example.com")
    seed(account, "unsubscribed", "u@example.com")
    assert [one.email for one in told(account, 0)] == ["u@example.com"]


def test_dotdigital_tells_who_has_left_the_address_book_alone(sim, tmp_path):
    """They still get mail through other books: a reason of its own says so."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    seed(account, "unsubscribedFromList", "left@example.com")
    seed(account, "hardBounced", "b@example.com")
    seed(account, "suppressed", "s@example.com")
    seed(account, "unsubscribed", "u@example.com")
    reasons = {one.email: one.reason for one in told(account, 0)}
    assert reasons == {
        "left@example.com": Reason.LEFT_AUDIENCE,
        "b@example.com": Reason.BOUNCED,
        "s@example.com": Reason.SUPPRESSED,
        "u@example.com": Reason.UNSUBSCRIBED,
    }
