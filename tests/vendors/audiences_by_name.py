"""Exports to audiences by name, and the audiences that the vendor has or was asked to create."""

from __future__ import annotations

import re
from dataclasses import replace

from vendors.audience_rows import audience_row
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.vendors.directory import AudienceEntry, matches
from airflow_provider_segexport.vendors.registry import VENDORS

WITH_DIRECTORY = [name for name, vendor in VENDORS.items() if vendor.directory is not None]
NAME = "Spring & Söhne <2026>"


def by_name(account: VendorHarness, name: str = NAME, **options):
    """Export to an audience by its name; return the report."""
    emails = options.pop("emails", people(4))
    run = options.pop("run", "run")
    columns = {"email": emails, **options.pop("columns", {})}
    options.setdefault("by", f"dag/task/{run}/0")
    segment = account.segment(columns, f"{run}.parquet")
    config = replace(account.config(segment, **options), audience=f"name:{name}")
    account.config = lambda *_, **__: config  # type: ignore[method-assign]
    try:
        return account.export(segment, run)
    finally:
        del account.config


def entries(account: VendorHarness, *, with_counts: bool = False) -> list[AudienceEntry]:
    vendor = account.vendor
    resolved = account.call(vendor.resolve_audience(account.endpoint, None))
    return account.call(vendor.directory.list_audiences(resolved, with_counts))


def named(account: VendorHarness, name: str = NAME) -> list[str]:
    return [entry.id for entry in matches(entries(account), name)]


def add(account: VendorHarness, name: str) -> str:
    """Create an audience as another user would; return its id."""
    resolved = account.call(account.vendor.resolve_audience(account.endpoint, None))
    return account.call(account.vendor.directory.create(resolved, name))


def rename(account: VendorHarness, audience: str, name: str) -> None:
    """Rename an audience in the simulator, past the vendor's own check that names are unique."""
    audience_row(account.name).renames(account.sim._vendors[account.name], audience, name)


def fill(account: VendorHarness) -> int:
    """Add audiences `List 0`, `List 1` and so on; return how many."""
    count, opens = audience_row(account.name).count, audience_row(account.name).opens
    for number in range(count):
        opens(account.sim._vendors[account.name], f"List {number}")
    return count


def creations(account: VendorHarness) -> int:
    method, path = audience_row(account.name).create
    calls = account.sim.requests(vendor=account.name)
    return sum(call["method"] == method and bool(re.search(path, str(call["path"]))) for call in calls)


def writes(account: VendorHarness) -> list[str]:
    calls = account.sim.requests(vendor=account.name)
    return [
        f"{call['method']} {call['path']}"
        for call in calls
        if call["method"] != "GET" and "export" not in str(call["path"])
    ]


def fail_creation(account: VendorHarness, **fault) -> None:
    method, path = audience_row(account.name).create
    account.sim.faults([{"vendor": account.name, "method": method, "path": path, **fault}])
