"""A verification in odd circumstances: nothing exported, sharers, a sample, a run that has not ended, an undo."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from vendors.harness import VendorHarness, people
from vendors.test_verify import drift, kinds, verify

from airflow_provider_segexport.errors import AudienceNotFound, RetryableError
from airflow_provider_segexport.export import verify_reading
from airflow_provider_segexport.export.config import ExportConfig, Verify
from airflow_provider_segexport.vendors.member_record import differing_keys

GONE = "p4@example.com"
DAY = 86_400


def take_out(account: VendorHarness, *emails: str) -> None:
    account.sim.seed(account.name, [{"email": email, "status": account.row.gone} for email in emails], account.audience)


def test_an_audience_that_no_export_has_filled(dotdigital: VendorHarness):
    """No person in it is ours; no ledger is created, and repair has nothing to repair."""
    report = verify(dotdigital, repair=True)
    assert (kinds(report), report["match_rate"], report["ledger_version"]) == ({}, None, 0)
    dotdigital.sim.seed("dotdigital", [{"email": "by-hand@example.com"}], dotdigital.audience)
    assert kinds(verify(dotdigital, "again")) == {"not_ours": 1}
    assert not (dotdigital.home / "ledgers").exists()


def test_an_audience_that_is_gone(dotdigital: VendorHarness):
    dotdigital.day(1, people(2))
    with pytest.raises(AudienceNotFound):
        verify(dotdigital, audience="999999")


def test_a_sample_has_an_interval_and_reads_only_its_people(omnisend: VendorHarness):
    """Where a page holds few people; the same people in every try."""
    omnisend.day(1, people(40))
    take_out(omnisend, *people(40)[:20])
    reads = replace(omnisend.vendor.verification, page_size=1)
    omnisend.vendor = replace(omnisend.vendor, verification=reads)
    report = verify(omnisend, sample=10)
    low, high = report["match_rate_interval"]
    assert 0 < low < report["match_rate"] < high < 1
    assert (report["sampled"], report["people"]["not_read"], report["people"]["not_ours"]) == (10, 30, None)
    assert report["people"]["in_sync"] + report["people"]["missing"] == 10
    assert kinds(verify(omnisend, sample=10)) == kinds(report)


def test_people_of_each_sharer_are_ours_and_every_sharer_sends_a_missing_one(dotdigital: VendorHarness):
    shared: dict[str, Any] = {"allow_shared_audience": True}
    dotdigital.day(1, people(3), export_name="a", **shared)
    dotdigital.day(2, people(5)[2:], export_name="b", name="b-2", **shared)
    take_out(dotdigital, "p2@example.com")
    report = verify(dotdigital, repair=True)
    assert kinds(report) == {"in_sync": 4, "missing": 1}
    assert dotdigital.day(3, people(3), export_name="a", **shared)["counts"]["delivered"] == 1
    assert dotdigital.day(3, people(5)[2:], export_name="b", name="b-3", **shared)["counts"]["delivered"] == 0


def test_a_person_who_was_just_added_is_no_drift(dotdigital: VendorHarness):
    """Lists lag; ten minutes later an absence counts."""
    dotdigital.day(1, people(5))
    take_out(dotdigital, GONE)
    dotdigital.sim.clock.advance(-650)
    assert kinds(verify(dotdigital)) == {"in_sync": 4, "unsettled": 1}
    assert kinds(verify(dotdigital, "later")) == {"in_sync": 4, "missing": 1}


def test_a_clock_that_was_ahead_hides_no_missing_person(dotdigital: VendorHarness):
    """The export that added the people believed that it was a month later."""
    dotdigital.sim.clock.advance(30 * DAY)
    dotdigital.day(1, people(5))
    dotdigital.sim.clock.advance(-29 * DAY)
    take_out(dotdigital, GONE)
    assert kinds(verify(dotdigital)) == {"in_sync": 4, "missing": 1}


def test_beside_a_run_that_has_not_ended_nothing_is_written(dotdigital: VendorHarness):
    """Its people are unsettled, and its next try carries the plan out; the next verification catches up."""
    dotdigital.day(1, people(5))
    take_out(dotdigital, "p0@example.com", GONE)
    dotdigital.fault(status=503, count=20)
    with pytest.raises(RetryableError):
        dotdigital.day(2, [*people(4), "n1@example.com"], first={"p0@example.com": "New"}, mode="upsert")
    report = verify(dotdigital, repair=True)
    assert report["open_run"] == "dag/task/day-2/0"
    assert kinds(report) == {"in_sync": 3, "unsettled": 2, "missing": 1}
    assert report["repaired"] == 0
    dotdigital.sim.clear_faults()
    second = dotdigital.day(2, [*people(4), "n1@example.com"], first={"p0@example.com": "New"}, mode="upsert")
    assert second["counts"]["delivered"] == 2


def test_an_earlier_run_can_be_undone_after_a_repair(dotdigital: VendorHarness):
    dotdigital.day(1, people(2))
    dotdigital.day(2, people(5))
    take_out(dotdigital, GONE)
    assert verify(dotdigital, repair=True)["repaired"] == 1
    dotdigital.undo()
    assert dotdigital.active() == set(people(2))


def test_an_address_in_another_case_at_the_vendor_is_the_same_person(omnisend: VendorHarness):
    omnisend.sim.seed("omnisend", [{"email": "P0@Example.COM"}], omnisend.audience)
    omnisend.day(1, people(2))
    report = verify(omnisend)
    assert kinds(report) == {"in_sync": 2}
    assert drift(report) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"segment": "other.parquet"},
        {"field_mapping": {"email": "mail"}},
        {"custom_fields": {"Tier": "tier"}},
        {"default_region": "DE"},
        {"date_formats": {"born": "%d.%m.%Y"}},
        {"partition_columns": True},
        {"verify": Verify(sample=5)},
    ],
)
def test_a_verification_with_other_arguments_reads_again(change):
    """An interrupted one is resumed only if it would read and compare the same."""
    config = ExportConfig(
        "segment.parquet", "", {"email": "email"}, "2026-01-01T00:00:00Z", "dag/task/run/0", verify=Verify()
    )
    target = SimpleNamespace(audience=SimpleNamespace(account="1", audience="2"))

    def key(config):
        return verify_reading._key(SimpleNamespace(config=config, vendor=SimpleNamespace(name="omnisend")), target)

    assert key(config) == key(replace(config, run="dag/task/other/0", verify=Verify(repair=True)))
    assert key(config) != key(replace(config, **change))


@pytest.mark.parametrize(
    ("sent", "stored", "same"),
    [
        ("12345678901234567", "12345678901234568", False),
        ("12345678901234567", "12345678901234567.0", True),
        ("100000", "1e5", True),
        ("0.5", ".50", True),
        ("-3", "-3.00", True),
        ("00712", "712", False),
        ("712", "0712", False),
        ("+4930123", "4930123", True),
        ("1_000", "1000", False),
        ("nan", "NaN", False),
    ],
)
def test_numbers_are_compared_exactly(sent, stored, same):
    """A vendor that stores numbers as floats changes a long card number, and one that drops zeros a postcode."""
    assert differing_keys({"a": sent}, {"a": stored}) == ([] if same else ["a"])
