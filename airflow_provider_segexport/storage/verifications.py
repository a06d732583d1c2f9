"""Records an audience's verifications beside its ledger, for display: counts, and neither a row nor an address.

<root>/ledgers/<vendor>/<account>/<audience>/verifications.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.json_values import array
from airflow_provider_segexport.storage.json_file import read_object
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, write

FILE = "verifications.json"

MAX_VERIFICATIONS = 200
"""Verifications that are stored; nearly four years of weekly ones."""

FIELDS = (
    "ended_at",
    "run",
    "run_folder",
    "match_rate",
    "match_rate_interval",
    "sampled",
    "people",
    "values",
    "segment",
    "repaired",
    "optouts_learnt",
    "ledger_version",
    "seconds",
)
"""Keys of a report that are recorded."""


def record(path: StoragePath, report: Mapping[str, Any]) -> None:
    """Record a verification. One that is recorded again replaces its earlier record.

    Args:
        path: the audience's ledger.
        report: the verification's report.
    """
    entry = {name: report.get(name) for name in FIELDS}
    others = [old for old in recorded(path) if old.get("run_folder") != entry["run_folder"]]
    content = {"verifications": [*others, entry][-MAX_VERIFICATIONS:]}
    write(ensure_folder(path) / FILE, json.dumps(content).encode())


def recorded(path: StoragePath) -> list[dict[str, Any]]:
    """Return the recorded verifications of an audience, oldest first; none if the file cannot be read."""
    content = read_object(path / FILE) or {}
    return [entry for entry in array(content.get("verifications")) if isinstance(entry, dict)]
