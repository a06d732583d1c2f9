"""Marks of erased people: empty files in a folder `erased`, named by the SHA-256 of the address.

    <root>/ledgers/<vendor>/<account>/<audience>/erased/<sha256>
    <run folder>/erased/<sha256>

Beside a ledger, a mark says that an erasure has deleted the person. A vendor may reject a deleted person without
reporting who deleted them. With the mark, the person can be added again if they lawfully return.

In the folder of a run that has not finished, a mark says that the run's result for the person does not count, because
the run may have sent the person before or after the erasure.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_provider_segexport.storage.ledger_schema import MAYBE_MEMBER
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, list_names, write

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.duckdb_engine import Engine

FOLDER = "erased"


def note(path: StoragePath, mark: str) -> None:
    """Write the mark of a person into a ledger's folder or a run folder (`path`)."""
    write(ensure_folder(path / FOLDER) / mark, b"")


def withdraw(path: StoragePath, mark: str) -> None:
    """Delete the mark of a person."""
    (path / FOLDER / mark).unlink(missing_ok=True)


def marks(path: StoragePath, names: Collection[str] | None = None) -> list[str]:
    """Return all marks.

    Args:
        path: the ledger's folder, or a run folder.
        names: the names in that folder, if it was listed already; None to look for the marks' folder.
    """
    return list_names(path / FOLDER) if names is None or FOLDER in names else []


def forget(engine: Engine, path: StoragePath, file: StoragePath, names: Collection[str] | None = None) -> None:
    """Remove the marks of people who are members again, because a later deletion is not an erasure's.

    Args:
        engine: gets the table `erasure_marks`.
        path: the ledger's folder.
        file: a version of the ledger.
        names: the names in the ledger's folder, if it was listed already.
    """
    erasures = marks(path, names)
    if not erasures:
        return
    engine.table("erasure_marks", pa.table({"mark": pa.array(erasures, pa.string())}))
    members = f"""select sha256(email) as mark from {engine.scan([file])}
        where state in {MAYBE_MEMBER} and added_at is not null"""
    for (mark,) in engine.rows(f"select e.mark from erasure_marks e semi join ({members}) m on m.mark = e.mark"):
        withdraw(path, mark)
