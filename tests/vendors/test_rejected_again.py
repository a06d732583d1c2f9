"""Rows that a vendor has rejected: tried again when something has changed, and otherwise three times in 14 days."""

from __future__ import annotations

from dataclasses import replace

import pytest
from requests.auth import HTTPBasicAuth
from vendors.harness import VendorHarness, people
from vendors.takeovers import ledger_of

from airflow_provider_segexport.fencing import Unfenced
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.ledger import numbers_of

DAY = 86_400


@pytest.fixture
def account(sim, tmp_path):
    """An account with a person that the vendor rejects, whatever is sent."""
    harness = VendorHarness(sim, "campaign_monitor", tmp_path)
    harness.row = replace(
        harness.row, auth=lambda described: HTTPBasicAuth(described["credentials"]["api_key"], "x")
    )  # never ends
    harness.sim.seed(harness.name, [{"email": "p1@example.com", "status": "bounced"}], harness.audience)
    return harness


def attempts(account):
    return sum("p1@example.com" in str(call["body"]) for call in account.upserts())


def days(account, numbers, **options):
    """One export a day; what was said of the one row each day."""
    outcomes = []
    for number in numbers:
        report = account.day(number, people(3), mode="upsert", **options)
        account.sim.clock.advance(DAY)
        outcomes.append((report["reasons"], report["held_after_rejection"]))
    return outcomes


def test_three_times_and_then_it_waits(account):
    """The fourth day and later the row is withheld, is counted as waiting, and no call carries it."""
    rejected, waits = {"rejected": {"bounced": 1}}, {"withheld": {"rejected_recently": 1}}
    assert [(rejected, 0)] * 3 + [(waits, 1)] * 2 == days(account, range(1, 6))
    assert 3 == attempts(account)
    row = account.ledger()["p1@example.com"]
    assert ("not_added", 3, "bounced") == (row["state"], row["attempts"], row["reason"])


def test_after_a_fortnight_it_is_tried_again(account):
    """Three tries in 14 days, not for ever."""
    days(account, range(1, 5))
    account.sim.clock.advance(14 * DAY)
    assert [({"rejected": {"bounced": 1}}, 0)] == days(account, [20])
    assert 1 == account.ledger()["p1@example.com"]["attempts"]


def test_a_clock_that_was_ahead_holds_no_row(account):
    """The runs that tried three times believed that it was a year later."""
    account.sim.clock.advance(365 * DAY)
    days(account, range(1, 4))
    account.sim.clock.advance(-365 * DAY)
    rejected, waits = {"rejected": {"bounced": 1}}, {"withheld": {"rejected_recently": 1}}
    assert [(rejected, 0)] * 3 + [(waits, 1)] == days(account, range(4, 8))


def test_another_content_is_tried_at_once(account):
    """The row has changed: the result of the old one does not apply to it."""
    days(account, range(1, 5))
    assert [({"rejected": {"bounced": 1}}, 0)] == days(account, [5], first={"p1@example.com": "Changed"})


def test_another_data_matching_is_tried_at_once(account):
    """A field that was matched otherwise may be what the vendor did not like."""
    days(account, range(1, 5))
    assert [({"rejected": {"bounced": 1}}, 0)] == days(account, [5], field_mapping={"full_name": "first"})


def test_full_sends_everybody(account):
    """A run that requests everything gets everything."""
    days(account, range(1, 5))
    assert {"rejected": {"bounced": 1}} == account.day(6, people(3), mode="full")["reasons"]


def test_who_is_taken_at_last_waits_no_more(account):
    """The rejection is forgotten with the delivery."""
    days(account, range(1, 3))
    account.sim.seed(account.name, [{"email": "p1@example.com", "status": "active"}], account.audience)
    days(account, [3])
    row = account.ledger()["p1@example.com"]
    assert ("member", None, None) == (row["state"], row["attempts"], row["reason"])


def test_more_rejections_than_the_ledger_counts_stop_no_run(account):
    """An hourly export in mode `full` sends a rejected row 336 times in 14 days, and the count is one byte."""
    account.day(1, people(3), mode="full")
    ledger = ledger_of(account)
    _, token = numbers_of(ledger.file(1).name) or (0, 0)
    with engine() as sql:
        counted = "if(attempts is null, null, 255)::utinyint as attempts"
        rows = sql.stream(f"select * replace ({counted}) from {sql.scan([ledger.file(1)])}")
        replace(ledger, fence=Unfenced(token)).commit(rows, 1, ledger.facts(1))
    for _ in range(2):
        account.sim.clock.advance(3600)
        assert {"rejected": {"bounced": 1}} == account.day(1, people(3), mode="full")["reasons"]
    assert 255 == account.ledger()["p1@example.com"]["attempts"]
