"""A suppression list that is not understood stops an export before anything is sent; the report has its counts."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import GuardTripped, InvalidSegment
from airflow_provider_segexport.guards import Guard


def listed(account: VendorHarness, name: str, emails: object) -> object:
    pq.write_table(pa.table({"email": emails}), account.home / name)
    return account.home / name


@pytest.fixture
def lists(account: VendorHarness):
    """Two lists: of addresses as people write them, and of hashes with an entry that is none."""
    hashed = [hashlib.sha256(b"p1@example.com").hexdigest().upper(), "MD5:" + "0" * 32, None, "n/a"]
    return (
        listed(account, "written.parquet", ["mailto:P0@example.com\r", "Some One <x@example.org>"]),
        listed(account, "hashed.parquet", hashed),
    )


def test_an_entry_that_is_not_understood_stops_the_run_before_anything_is_sent(account: VendorHarness, lists):
    """The error names file, row and guard, and no value."""
    with pytest.raises(GuardTripped, match=r"hashed.parquet: 1 of 4 entries .* row 3\)\. To fix: ") as stopped:
        account.day(1, people(3), consent=account.consent(None, *lists))
    assert "n/a" not in str(stopped.value)
    assert "max_unreadable_suppression_share" in str(stopped.value)
    assert [] == account.upserts()
    assert set() == account.active()


def test_the_report_counts_every_list(account: VendorHarness, lists):
    """The share of entries that may be unclear can be raised; people of the other entries are withheld all the same."""
    report = account.day(
        1, people(3), consent=account.consent(None, *lists), guards={"max_unreadable_suppression_share": Guard(0.5)}
    )
    assert {"withheld": {"on_suppression_list": 2}} == report["reasons"]
    assert {"p2@example.com"} == account.active()
    counts = [
        {name: value for name, value in counted_list.items() if name != "name"}
        for counted_list in report["suppression"]
    ]
    assert counts == [
        {"read": 2, "blank": 0, "understood": 2, "not_understood": 0, "matched": 1},
        {"read": 4, "blank": 1, "understood": 2, "not_understood": 1, "matched": 1},
    ]
    assert [str(path) for path in lists] == [counted_list["name"] for counted_list in report["suppression"]]


def test_a_list_without_addresses_is_refused(account: VendorHarness):
    """Customer numbers suppress no person, so they must not pass for a suppression list."""
    with pytest.raises(InvalidSegment, match="which cannot hold addresses"):
        account.day(1, people(3), consent=account.consent(None, listed(account, "stop.parquet", [1, 2])))
    assert [] == account.upserts()


def test_a_list_that_may_protect_fewer_people_than_it_should_is_logged(account: VendorHarness, caplog):
    """Hexadecimal customer numbers look like hashes; a column may hold hashes under a name that no list has."""
    pq.write_table(pa.table({"email": people(1), "crm_hash": ["x"]}), account.home / "columns.parquet")
    ids = listed(account, "ids.parquet", ["0" * 32, "1" * 32])
    with caplog.at_level("WARNING"):
        account.day(1, people(3), consent=account.consent(None, account.home / "columns.parquet", ids))
    warnings = [record.getMessage() for record in caplog.records if "suppression list" in record.getMessage()]
    assert 2 == len(warnings)
    assert "columns.parquet columns='crm_hash'" in warnings[0]
    assert "ids.parquet hashes=2" in warnings[1]
    assert {"p1@example.com", "p2@example.com"} == account.active()


def test_a_consent_that_is_neither_yes_nor_no_is_withheld_and_counted(account: VendorHarness):
    """The words are trimmed; the report and its warnings count what they say."""
    columns = {"agreed": ["yes\r", "TRUE\n", "perhaps", None, "no"]}
    report = account.day(1, people(5), consent=account.consent("agreed"), columns=columns)
    assert {"yes": 2, "no": 1, "empty": 1, "unclear": 1} == report["consent"]
    assert {"consent_neither_yes_nor_no": 1} == report["warnings"]["agreed"]
    assert {"withheld": {"no_consent": 3}} == report["reasons"]
    assert {"p0@example.com", "p1@example.com"} == account.active()
