"""Reads a run's report or plan for its page: `JSON -> the entries that the page shows, each with its type`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.guards import is_near_limit
from airflow_provider_segexport.json_values import array, integer, mapping, number, text
from airflow_provider_segexport.model import ProofState

CONSENT_LABELS = {"yes": "Yes", "no": "No", "empty": "Empty", "unclear": "Neither yes nor no"}
"""Label by value of the consent column; every value but yes withholds the profile."""

PREVIEW_ITEMS = 3
"""Items of a dry run that the page shows."""

MAX_ITEM_CHARS = 4000
"""Characters of an item that the page shows: a row may have hundreds of custom fields."""

ESTIMATES = ("calls", "upserts", "removals", "estimated_minutes")
"""Figures of a plan that the page of a dry run shows."""

PROOF_LABELS = {
    ProofState.WITH_PROOF: "With proof of consent",
    ProofState.NO_MOMENT: "No moment of consent",
    ProofState.UNREADABLE: "The moment cannot be read",
    ProofState.IN_FUTURE: "The moment is in the future",
    ProofState.TOO_OLD: "The moment is before 1995",
    ProofState.INCOMPLETE: "A part is missing that the vendor requires",
    ProofState.OPTED_OUT_LATER: "Opted out after the consent",
}
"""Label by state of a row's proof of consent. A row without proof is sent too, but does not subscribe the person."""


def facts_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that the page shows, each with its type. A missing entry, or one of a wrong type, is empty."""
    texts = ("vendor", "audience", "audience_name", "account", "mode", "as_of", "error", "error_code", "conn_id")
    estimate = mapping(report.get("estimate"))
    numbers = ("seconds", "started_at", "ended_at")
    http = mapping(report.get("http"))
    consent = {name: integer(mapping(report.get("consent")).get(name)) for name in CONSENT_LABELS}
    proof = {state: integer(mapping(report.get("consent_proof")).get(state)) for state in PROOF_LABELS}
    return {
        **{name: text(report.get(name)) for name in texts},
        **{name: number(report.get(name)) for name in numbers},
        "finished": bool(report.get("finished")),
        "dry_run": bool(report.get("dry_run")),
        "ledger_version": integer(report.get("ledger_version")),
        "held_after_rejection": integer(report.get("held_after_rejection")),
        "http": {name: number(http.get(name)) for name in ("calls", "retries", "wait_s", "bytes_sent")},
        "consent": consent if any(consent.values()) else {},
        "consent_proof": {state: count for state, count in proof.items() if count},
        "account_facts": mapping(report.get("account_facts")),
        "suppression": [_suppression_list(item) for item in array(report.get("suppression")) if mapping(item)],
        "preview": _preview(array(report.get("preview"))),
        "estimate": {name: number(estimate.get(name)) for name in ESTIMATES},
        "guards": sorted(
            (_guard(item) for item in array(report.get("guards")) if mapping(item)),
            key=lambda guard: (not guard["tripped"], not guard["near"]),
        ),
    }


def _preview(items: list[Any]) -> list[str]:
    """Return the masked items of a dry run as JSON text."""
    return [json.dumps(item, ensure_ascii=False, indent=2)[:MAX_ITEM_CHARS] for item in items[:PREVIEW_ITEMS]]


def _suppression_list(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a suppression list's name and counts."""
    counts = {name: integer(item.get(name)) for name in ("read", "blank", "understood", "not_understood", "matched")}
    return {"name": str(item.get("name") or ""), **counts}


def _guard(item: Mapping[str, Any]) -> dict[str, Any]:
    texts = {name: str(item.get(name) or "") for name in ("name", "action", "message")}
    tripped = bool(item.get("tripped"))
    measured = item.get("measured")
    values = {"measured": None if measured is None else number(measured), "limit": number(item.get("limit"))}
    return {**texts, "tripped": tripped, "near": is_near_limit({**texts, **values, "tripped": tripped})}
