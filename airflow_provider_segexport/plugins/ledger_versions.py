"""Lists the versions of a ledger from their Parquet footers; no row is read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow.parquet as pq

from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.plugins.audiences import MaySee, RunIdentity
from airflow_provider_segexport.storage.ledger import FACTS, Ledger
from airflow_provider_segexport.storage.ledger_facts import taken_back
from airflow_provider_segexport.storage.ledger_schema import metadata_of
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import StoragePath

MEMBERS = re.compile("[0-9]{1,15}")
"""Number of members in a footer, which is a text. A text of another form counts as missing."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a ledger.

    Attributes:
        number: the version's number.
        members: people in this version; None if the user may not see the run that wrote it.
        as_of: the snapshot's time; empty if the user may not see the run, or the file has none.
        by: the run that wrote it; None if the user may not see the run, or the file does not name it.
        undone: the version that an undo reverted; 0 if the version was not written by an undo.
    """

    number: int
    members: int | None
    as_of: str
    by: RunIdentity | None
    undone: int


def versions(path: StoragePath, may_see: MaySee) -> list[Version]:
    """Return the stored versions, newest first. A version that is deleted while they are read is left out."""
    ledger = Ledger(path)
    candidates = (_version(number, ledger.file(number), may_see) for number in reversed(ledger.versions()))
    return [version for version in candidates if version is not None]


def _version(number: int, path: StoragePath, may_see: MaySee) -> Version | None:
    """Return a version from the footer of its file; None if the file cannot be read."""
    try:
        with open_file(path) as file:
            footer = pq.ParquetFile(file)
            rows, metadata = footer.metadata.num_rows, metadata_of(footer)
        facts = parse_object(metadata.get(FACTS, b"{}")) or {}
    except (OSError, ValueError):
        return None
    run = RunIdentity.read(str(facts.get("by") or facts.get("run") or ""))
    if run is not None and not may_see(run):
        return Version(number, members=None, as_of="", by=None, undone=0)
    members = int(facts["members"]) if MEMBERS.fullmatch(str(facts.get("members", ""))) else rows
    return Version(number, members, as_of=str(facts.get("as_of") or ""), by=run, undone=taken_back(facts))
