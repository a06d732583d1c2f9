"""An audience that another hand has changed, read back and held against the ledger, at every vendor."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pyarrow.parquet as pq
import pytest
from vendors.harness import AS_OF, VendorHarness, people

from airflow_provider_segexport.errors import RateLimited
from airflow_provider_segexport.export.config import ExportConfig, ExportContext, Verify
from airflow_provider_segexport.export.verify import verify as run_verify
from airflow_provider_segexport.storage import reading
from airflow_provider_segexport.vendors.operations import run_operation

SETTLED_S = 700.0
MEMBERS, NOT_OURS, UNSUBSCRIBED, GONE = people(3), "by-hand@example.com", "p3@example.com", "p4@example.com"


def verify(account: VendorHarness, run: str = "verify", **options: Any) -> dict[str, Any]:
    """Verify the account's audience, when everything before has settled; return the report."""
    account.sim.clock.advance(SETTLED_S)
    environment = account.environment(run, **options.pop("environment", {}))
    settings = Verify(options.pop("repair", False), options.pop("sample", None), options.pop("sample_values", 1000))
    arguments = {"audience": account.audience, "field_mapping": {"email": "email", "first_name": "first"}, **options}
    segment = str(arguments.pop("segment", ""))
    config = ExportConfig(
        segment, as_of=AS_OF, run=f"dag/{run}/run/0", verify=settings, guards={"min_rows": None}, **arguments
    )
    try:
        return run_verify(ExportContext(account.vendor, account.endpoint, config, environment))
    finally:
        environment.http.close()


def kinds(report: dict[str, Any]) -> dict[str, int]:
    return {kind: count for kind, count in report["people"].items() if count}


def drift(report: dict[str, Any]) -> dict[str, str]:
    return {row["email"]: row["kind"] for row in pq.read_table(report["drift"]["path"]).to_pylist()}


def change_by_hand(account: VendorHarness) -> None:
    """A colleague adds one person, and one of ours opts out and another one is gone."""
    account.sim.seed(account.name, [{"email": NOT_OURS}], account.audience)
    account.sim.seed(account.name, [{"email": UNSUBSCRIBED, "status": "unsubscribed"}], account.audience)
    account.sim.seed(account.name, [{"email": GONE, "status": account.row.gone}], account.audience)


def test_an_untouched_audience_is_in_sync(account: VendorHarness):
    account.day(1, people(5))
    report = verify(account)
    assert kinds(report) == {"in_sync": 5}
    assert (report["match_rate"], report["match_rate_interval"], drift(report)) == (1.0, None, {})


def test_another_hand_s_changes_are_found_and_explained(account: VendorHarness):
    account.day(1, people(5))
    change_by_hand(account)
    report = verify(account)
    gone = "left" if account.vendor.import_readds_leavers else "missing"
    assert kinds(report) == {"in_sync": 3, "opted_out": 1, gone: 1, "not_ours": 1}
    assert drift(report) == {UNSUBSCRIBED: "opted_out", GONE: gone}
    assert report["match_rate"] == 0.75


def test_no_call_changes_anything_and_no_stranger_is_written(account: VendorHarness):
    """Also with repair: only the ledger changes, and other people are a number."""
    account.day(1, people(5))
    change_by_hand(account)
    before, calls = account.members(), len(account.sim.requests(vendor=account.name))
    report = verify(account, repair=True, segment=account.home / "day-1.parquet")
    assert account.members() == before
    new = account.sim.requests(vendor=account.name)[calls:]
    assert {str(call["method"]) for call in new} <= {"GET", "POST"}
    assert [call for call in new if call["method"] == "POST" and "contact_exports" not in str(call["path"])] == []
    written = [file for file in account.home.rglob("*") if file.is_file()]
    assert not any(NOT_OURS.encode() in file.read_bytes() for file in written)
    drift_file = account.home / "runs" / "verify" / "01" / "drift.parquet"
    assert str(drift_file) == report["drift"]["path"]
    assert drift_file.stat().st_mode & 0o777 == 0o600
    assert not (drift_file.parent / "known.parquet").exists()


def test_repair_sends_exactly_the_missing_people_in_the_next_run(account: VendorHarness):
    """An unchanged person is not sent, an opt-out stays, and a person who may have left is not brought back."""
    account.day(1, people(5))
    change_by_hand(account)
    report = verify(account, repair=True)
    missing = report["people"]["missing"]
    assert report["repaired"] == missing == (0 if account.vendor.import_readds_leavers else 1)
    calls = len(account.upserts())
    second = account.day(2, people(5))
    assert account.upserts()[calls:] == [] or missing
    assert second["counts"]["delivered"] + second["counts"]["rejected"] + second["counts"]["withheld"] == (
        missing or second["counts"]["withheld"]
    )
    assert second["counts"]["unchanged"] == 4
    assert UNSUBSCRIBED not in account.active()
    assert (GONE in account.active()) == account.row.gone_returns


def test_without_repair_the_ledger_only_learns_of_opt_outs(account: VendorHarness):
    """The opt-out is in the ledger and in `optouts.parquet`; nothing is sent because of it, and once is enough."""
    account.day(1, people(5))
    change_by_hand(account)
    report = verify(account)
    assert (report["optouts_learnt"], report["repaired"], report["ledger_version"]) == (1, 0, 2)
    row = account.ledger()[UNSUBSCRIBED]
    assert (row["reason"], row["state"]) == ("unsubscribed", "member")
    written = pq.read_table(report["optouts"]["path"]).to_pylist()
    assert [(row["email"], row["reason"], row["source"]) for row in written] == [(UNSUBSCRIBED, "unsubscribed", "list")]
    again = verify(account, "again")
    assert (again["optouts_learnt"], again["ledger_version"]) == (0, 2)
    second = account.day(2, people(5))
    assert second["counts"]["delivered"] == 0


def test_values_that_differ_at_the_vendor_are_counted_by_field(account: VendorHarness):
    """A sample of the people whose content the ledger has as delivered, by the vendor's own names of the fields."""
    names = [f"Ann {number}" for number in range(5)]
    segment = account.segment({"email": people(5), "first": names}, "named.parquet")
    account.day(1, people(5), first=dict(zip(people(5), names, strict=True)))
    report = verify(account, segment=segment)
    assert report["values"] == {"compared": 5, "different": 0, "by_field": {}}
    record = account.sim.members(account.name, account.audience)["members"][0]
    fields = dict(record.get("fields", {}))
    changed = {name: "Another" for name, value in fields.items() if str(value).startswith("Ann")}
    seeded = {"email": record["email"], "fields": {**fields, **changed}}
    if account.name == "campaign_monitor":
        seeded = {"email": record["email"], "name": "Another"}
    account.sim.seed(account.name, [seeded], account.audience)
    report = verify(account, "again", segment=segment)
    assert (report["values"]["compared"], report["values"]["different"]) == (5, 1)
    assert list(report["values"]["by_field"].values()) == [1]
    assert drift(report) == {record["email"]: "other_values"}


def test_people_of_the_segment_that_no_export_has_sent_are_listed(account: VendorHarness):
    account.day(1, people(3))
    segment = account.segment({"email": [*people(2), "new@example.com", "P0@Example.com"], "first": ["Same"] * 4})
    report = verify(account, segment=segment, sample_values=0)
    assert report["segment"] == {"people": 3, "exported": 2, "not_exported": 1, "not_in_segment": 1}
    assert drift(report) == {"new@example.com": "not_exported"}
    assert report["values"]["compared"] == 0


class Killed(BaseException):
    """Ways in which a worker ends at once."""


class Dying:
    """A sender that ends the worker before its n-th call."""

    def __init__(self, account: VendorHarness, calls: int, error: BaseException) -> None:
        self.inner, self.left, self.error = account.sender(), calls, error
        self.traffic = self.inner.traffic

    def __call__(self, request: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.inner(request)

    def remaining_quota(self) -> int | None:
        return self.left

    def close(self) -> None:
        self.inner.close()


def small_pages(account: VendorHarness, monkeypatch: pytest.MonkeyPatch, size: int = 10) -> None:
    """Let the audience come in pages of ten, and let each page be written."""
    members = import_module(account.vendor.list_members.__module__)
    if account.vendor.verification.page_size is not None:
        monkeypatch.setattr(members, "PAGE_SIZE", type(members.PAGE_SIZE)(size))
    monkeypatch.setattr(reading, "MAX_BUFFERED_PEOPLE", size)


@pytest.mark.parametrize("way", ["kill", "quota"])
def test_a_reading_that_is_interrupted_anywhere_continues_and_ends_alike(account: VendorHarness, monkeypatch, way):
    """Each try makes a few calls beyond its checks: the counts are as without interruption, in hardly more calls."""
    small_pages(account, monkeypatch)
    account.day(1, people(35))
    change_by_hand(account)
    undisturbed = verify(account, "undisturbed")
    checks = Dying(account, 1000, Killed())
    run_operation(account.vendor.resolve_audience(account.endpoint, account.audience), checks, account.sleep)
    reads_per_try = 5 if way == "kill" else 4
    per_try = 1000 - checks.left + reads_per_try
    if way == "kill":
        monkeypatch.setattr(reading.PartWriter, "stop", lambda _: None)
    error = RateLimited("Used up.", retry_after_s=3600.0) if way == "quota" else Killed()
    calls, report = [], None
    while report is None and len(calls) < 60:
        sender = Dying(account, per_try, error)
        try:
            report = verify(account, "broken", environment={"send": sender})
        except (Killed, RateLimited):
            calls.append(sender.traffic.calls)
    assert report is not None
    assert calls
    assert kinds(report) == kinds(undisturbed)
    assert drift(report) == drift(undisturbed)
    repeated = reads_per_try * len(calls) if way == "kill" else len(calls)
    assert sum(count - per_try + reads_per_try for count in calls) <= undisturbed["http"]["calls"] + repeated
