"""A withdrawal of consent and a suppression work by address, whatever else a row says, at every vendor."""

from __future__ import annotations

from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

REASONS = {"consent": "no_consent", "suppression": "on_suppression_list"}
TWICE = {"emails": [*people(3), "P1@example.com "], "first": {}}
BAD_VALUE = {"emails": people(3), "first": {"p1@example.com": "x" * 9000}}


def withdrawn(account: VendorHarness, way: str, emails: list[str]) -> dict[str, object]:
    """Options of a run in which p1 has withdrawn, by one row of theirs, or is suppressed."""
    if way == "consent":
        last = max(i for i, email in enumerate(emails) if email.strip().lower() == "p1@example.com")
        return {"consent": account.consent("agreed"), "columns": {"agreed": [i != last for i in range(len(emails))]}}
    stop = account.home / "stop.parquet"
    pq.write_table(pa.table({"email": ["p1@example.com"]}), stop)
    return {"consent": account.consent(None, stop)}


@pytest.mark.parametrize("way", REASONS)
@pytest.mark.parametrize("day", [TWICE, BAD_VALUE], ids=["twice", "bad_value"])
def test_who_withdraws_is_taken_out_whatever_else_their_rows_say(account: VendorHarness, day, way):
    """In two rows, or with a value that cannot be sent: the person is taken out, and each row says why."""
    account.day(1, people(3))
    report = account.day(2, day["emails"], first=day["first"], **withdrawn(account, way, day["emails"]))
    rows = sum(email.strip().lower() == "p1@example.com" for email in day["emails"])
    assert report["reasons"] == {"withheld": {REASONS[way]: rows}}
    assert account.active() == {"p0@example.com", "p2@example.com"}
    assert account.ledger()["p1@example.com"]["state"] == "removed"


@pytest.mark.parametrize("way", REASONS)
@pytest.mark.parametrize("held_by", ["both", "the_other"])
def test_a_withdrawal_in_one_export_counts_for_all_that_share_the_audience(account: VendorHarness, way, held_by):
    """Consent is the person's: another export's claim keeps no person in that has withdrawn."""
    first_export, two = (
        {"export_name": "crm.one", "allow_shared_audience": True},
        {"export_name": "crm.two", "allow_shared_audience": True},
    )
    account.day(1, people(3) if held_by == "both" else ["p0@example.com"], name="one-1", **first_export)
    account.day(2, people(3), name="two-1", **two)
    account.day(
        3, people(3), name="one-2", **first_export, **withdrawn(account, way, people(3)[:2]) | columns_of_three(way)
    )
    assert account.active() == {"p0@example.com", "p2@example.com"}


@pytest.mark.parametrize("entry", ["p1@example.com", "sha256"])
def test_a_suppression_list_counts_for_people_of_another_exports_segment(account: VendorHarness, entry):
    """The list of one export names a person that only another export added: the person is removed."""
    first_export, two = (
        {"export_name": "crm.one", "allow_shared_audience": True},
        {"export_name": "crm.two", "allow_shared_audience": True},
    )
    stop = account.home / "stop.parquet"
    mark = sha256(b"p1@example.com").hexdigest() if entry == "sha256" else entry
    pq.write_table(pa.table({"email": [mark]}), stop)
    account.day(1, people(3)[1:], name="one-1", **first_export)
    account.day(2, people(1), name="two-1", **two, consent=account.consent(None, stop))
    assert account.active() == {"p0@example.com", "p2@example.com"}
    assert account.ledger()["p1@example.com"]["state"] == "removed"


def columns_of_three(way: str) -> dict[str, object]:
    """The consent of three people, of which the second has withdrawn."""
    return {"columns": {"agreed": [True, False, True]}} if way == "consent" else {}


@pytest.mark.parametrize("way", REASONS)
@pytest.mark.parametrize("day", [TWICE, BAD_VALUE], ids=["twice", "bad_value"])
def test_who_withdraws_before_the_first_export_is_never_put_in(account: VendorHarness, day, way):
    """Another row of the same address says nothing against it."""
    report = account.day(1, day["emails"], first=day["first"], **withdrawn(account, way, day["emails"]))
    assert set(report["reasons"]) == {"withheld"}
    assert account.active() == {"p0@example.com", "p2@example.com"}
