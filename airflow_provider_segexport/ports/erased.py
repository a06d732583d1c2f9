"""Marks of people whom an erasure took out of an audience, beside its ledger: SHA-256 of the address, no address.

    <root>/ledgers/<vendor>/<account>/<audience>/erased/<sha256>

A vendor may refuse a deleted person without saying who deleted them. The mark says that it was an erasure, so that the
person can be put in again if they lawfully return.
"""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_segexport.ports.engine import Engine
from airflow_provider_segexport.ports.ledger import THERE
from airflow_provider_segexport.ports.places import Place, folder, names, write

FOLDER = "erased"


def note(place: Place, mark: str) -> None:
    """Keep the mark of a person. `place` is the ledger's."""
    write(folder(place / FOLDER) / mark, b"")


def marks(place: Place) -> list[str]:
    """The marks that are kept."""
    return names(place / FOLDER)


def forget(engine: Engine, place: Place, file: Place) -> None:
    """Remove the marks of people who are in the audience again: a later deletion is not ours.

    Args:
        engine: gets the table `erased`.
        place: the ledger's.
        file: a version of the ledger.
    """
    kept = marks(place)
    if not kept:
        return
    engine.table("erased", pa.table({"mark": pa.array(kept, pa.string())}))
    there = f"select sha256(email) as mark from {engine.scan([file])} where state in {THERE} and since is not null"
    for (mark,) in engine.rows(f"select e.mark from erased e semi join ({there}) l on l.mark = e.mark"):
        (place / FOLDER / mark).unlink(missing_ok=True)
