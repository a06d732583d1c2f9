"""The versions of a ledger, by their footers: nobody's row is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_segexport.plugins.audiences import MaySee, RunIdentity
from airflow_provider_segexport.storage.ledger import FACTS, Ledger, taken_back
from airflow_provider_segexport.storage.paths import StoragePath


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `by` is empty where the user may not see the run that wrote it."""

    number: int
    rows: int
    members: int
    as_of: str
    by: RunIdentity | None
    undone: int


def versions(path: StoragePath, may_see: MaySee) -> list[Version]:
    """The versions that are kept, the newest first; one that goes while this reads is left out."""
    ledger = Ledger(path)
    shown = (_version(number, ledger.file(number), may_see) for number in reversed(ledger.versions()))
    return [version for version in shown if version is not None]


def _version(number: int, path: StoragePath, may_see: MaySee) -> Version | None:
    try:
        with path.open("rb") as file:
            footer = pq.ParquetFile(file)
            rows, kept = footer.metadata.num_rows, footer.schema_arrow.metadata or {}
        facts: Any = json.loads(kept.get(FACTS, b"{}"))
    except (OSError, ValueError):
        return None
    who = RunIdentity.read(str(facts.get("by") or facts.get("run") or ""))
    return Version(
        number,
        rows,
        members=int(facts["members"]) if str(facts.get("members", "")).isdecimal() else rows,
        as_of=str(facts.get("as_of") or ""),
        by=who if who and may_see(who) else None,
        undone=taken_back(facts),
    )
