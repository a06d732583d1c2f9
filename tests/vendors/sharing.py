"""Two exports that share an audience, and what a test reads of their claims."""

from __future__ import annotations

from vendors.harness import VendorHarness

FIRST_EXPORT, SECOND_EXPORT = (
    {"export_name": "crm.one", "allow_shared_audience": True},
    {"export_name": "crm.two", "allow_shared_audience": True},
)
NEW = ["new@example.com"]


def removals(report):
    return {name: count for name, count in report["removals"].items() if count}


def holders(account: VendorHarness) -> dict[str, int]:
    return {email: row["sharers_mask"] for email, row in account.ledger().items()}
