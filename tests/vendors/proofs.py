"""Segments with proof of consent, for the tests of `subscribe="with_proof"`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
from vendors.harness import VendorHarness

from airflow_provider_segexport.export.config import Consent, ProofColumns

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The simulator's clock at the begin of a test."""

PARTS = {"source": "url", "ip": "ip", "user_agent": "agent"}
COMPLETE_PROOF = {
    "url": "https://example.com/sign-up",
    "ip": "203.0.113.7",
    "agent": "Mozilla/5.0 (X11; Linux x86_64)",
}
TEXT = "Yes, I would like to receive a monthly newsletter"
ANN, BOB, CID, DAN = (f"{name}@example.com" for name in ("ann", "bob", "cid", "dan"))


def before(**ago: float) -> datetime:
    """Return a moment before the begin of the test."""
    return START - timedelta(**ago)


def now(account: VendorHarness) -> datetime:
    return datetime.fromtimestamp(account.sim.clock.now(), UTC)


def consent(account: VendorHarness, **options: Any) -> Consent:
    """Return the consent of an export that sends all the proof that the vendor takes."""
    if account.name == "dotdigital":
        options = {"columns": PARTS, "text": TEXT, **options}
    return Consent(
        "agreed", proof=ProofColumns("consented_at", options.pop("columns", {}), options.pop("text", "")), **options
    )


def export(account: VendorHarness, consented_at: dict[str, Any], run: str = "run", **options: Any) -> dict[str, Any]:
    """Export people with the moments of their consent; `columns` adds columns or replaces them."""
    count = len(consented_at)
    columns: dict[str, Any] = {
        "email": list(consented_at),
        "first": ["Same"] * count,
        "agreed": [True] * count,
        "consented_at": list(consented_at.values()),
        **{name: [value] * count for name, value in COMPLETE_PROOF.items()},
        **options.pop("columns", {}),
    }
    arguments = {
        "consent": consent(account),
        "by": f"dag/task/{run}/0",
        "field_mapping": {"first_name": "first"},
        **options,
    }
    arguments |= {
        "guards": {"max_removals_share": None, "max_shrink": None, "max_growth": None},
        "mode": "upsert",
    } | arguments
    return account.export(account.segment(columns, f"{run}.parquet"), run, **arguments)


def unsubscribe(account: VendorHarness, *emails: str) -> None:
    """Let people opt out at the vendor now."""
    account.sim.seed(account.name, [{"email": email, "status": "unsubscribed"} for email in emails], account.audience)


def sent(account: VendorHarness) -> dict[str, dict[str, Any]]:
    """Return the last item that each person was sent in, by address."""
    items: dict[str, dict[str, Any]] = {}
    for call in account.upserts():
        for item in call["body"].get("items") or call["body"].get("contacts"):
            items[item["identifiers"][0]["id"] if account.name == "omnisend" else item["identifiers"]["email"]] = item
    return items


def identifier(account: VendorHarness, email: str) -> dict[str, Any]:
    """Return the identifier of an address as it was last sent to Omnisend."""
    return dict(sent(account)[email]["identifiers"][0])


def statuses(account: VendorHarness) -> dict[str, str]:
    return {email: str(member["status"]) for email, member in account.members().items()}


def warnings(account: VendorHarness, run: str = "run") -> dict[str, str]:
    """Return the reasons of the rows that the report names, by address."""
    rows = pq.read_table(account.home / "runs" / run / "01" / "proof_warnings.parquet").to_pylist()
    return {row["email"]: row["reason"] for row in rows}


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {state: count for state, count in report["consent_proof"].items() if count}
