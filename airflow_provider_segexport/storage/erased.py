"""Marks of people whom an erasure took out of an audience, beside its ledger: SHA-256 of the address, no address.

    <root>/ledgers/<vendor>/<account>/<audience>/erased/<sha256>

A vendor may refuse a deleted person without saying who deleted them. The mark says that it was an erasure, so that the
person can be put in again if they lawfully return.
"""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.ledger import MAYBE_MEMBER
from airflow_provider_segexport.storage.paths import StoragePath, folder, list_names, write

FOLDER = "erased"


def note(path: StoragePath, mark: str) -> None:
    """Keep the mark of a person. `path` is the ledger's."""
    write(folder(path / FOLDER) / mark, b"")


def marks(path: StoragePath) -> list[str]:
    """The marks that are kept."""
    return list_names(path / FOLDER)


def forget(engine: Engine, path: StoragePath, file: StoragePath) -> None:
    """Remove the marks of people who are in the audience again: a later deletion is not ours.

    Args:
        engine: gets the table `erased`.
        path: the ledger's.
        file: a version of the ledger.
    """
    kept = marks(path)
    if not kept:
        return
    engine.table("erased", pa.table({"mark": pa.array(kept, pa.string())}))
    there = f"""select sha256(email) as mark from {engine.scan([file])}
        where state in {MAYBE_MEMBER} and added_at is not null"""
    for (mark,) in engine.rows(f"select e.mark from erased e semi join ({there}) l on l.mark = e.mark"):
        (path / FOLDER / mark).unlink(missing_ok=True)
