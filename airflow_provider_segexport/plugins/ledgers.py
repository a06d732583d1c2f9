"""The versions of a ledger, by their footers: nobody's row is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_segexport.plugins.cards import Identity, MaySee
from airflow_provider_segexport.ports.ledger import FACTS, taken_back
from airflow_provider_segexport.ports.places import Place, names

SUFFIX = ".parquet"


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `by` is empty where the user may not see the run that wrote it."""

    number: int
    rows: int
    members: int
    as_of: str
    by: Identity | None
    undone: int


def versions(place: Place, may_see: MaySee) -> list[Version]:
    """The versions that are kept, the newest first; one that goes while this reads is left out."""
    numbers = [name.removesuffix(SUFFIX) for name in names(place) if name.endswith(SUFFIX)]
    found = (_version(place, number, may_see) for number in sorted(numbers, reverse=True) if number.isdecimal())
    return [one for one in found if one is not None]


def _version(place: Place, number: str, may_see: MaySee) -> Version | None:
    try:
        with (place / f"{number}{SUFFIX}").open("rb") as file:
            footer = pq.ParquetFile(file)
            rows, kept = footer.metadata.num_rows, footer.schema_arrow.metadata or {}
        facts: Any = json.loads(kept.get(FACTS, b"{}"))
    except (OSError, ValueError):
        return None
    who = Identity.read(str(facts.get("by") or facts.get("run") or ""))
    return Version(
        int(number),
        rows,
        members=int(facts["members"]) if str(facts.get("members", "")).isdecimal() else rows,
        as_of=str(facts.get("as_of") or ""),
        by=who if who and may_see(who) else None,
        undone=taken_back(facts),
    )
