"""Lists the versions of a ledger from their Parquet footers; no row is read."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow.parquet as pq

from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.plugins.audiences import MaySee, RunIdentity
from airflow_provider_segexport.storage.ledger import FACTS, Ledger
from airflow_provider_segexport.storage.ledger_facts import taken_back
from airflow_provider_segexport.storage.ledger_schema import metadata_of
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import StoragePath


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    Attributes:
        by: the run that wrote it; None if the user may not see that run.
        undone: the version that it reverted; 0 if it is no undo.
    """

    number: int
    rows: int
    members: int
    as_of: str
    by: RunIdentity | None
    undone: int


def versions(path: StoragePath, may_see: MaySee) -> list[Version]:
    """Return the stored versions, newest first. A version that is deleted while they are read is left out."""
    ledger = Ledger(path)
    candidates = (_version(number, ledger.file(number), may_see) for number in reversed(ledger.versions()))
    return [version for version in candidates if version is not None]


def _version(number: int, path: StoragePath, may_see: MaySee) -> Version | None:
    try:
        with open_file(path) as file:
            footer = pq.ParquetFile(file)
            rows, metadata = footer.metadata.num_rows, metadata_of(footer)
        facts = parse_object(metadata.get(FACTS, b"{}")) or {}
    except (OSError, ValueError):
        return None
    run = RunIdentity.read(str(facts.get("by") or facts.get("run") or ""))
    return Version(
        number,
        rows,
        members=int(facts["members"]) if str(facts.get("members", "")).isdecimal() else rows,
        as_of=str(facts.get("as_of") or ""),
        by=run if run and may_see(run) else None,
        undone=taken_back(facts),
    )
