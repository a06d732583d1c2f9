"""Marks of people whom an erasure took out of an audience, beside its ledger: SHA-256 of the address, no address.

    <root>/ledgers/<vendor>/<account>/<audience>/erased/<sha256>

A vendor may refuse a deleted person without saying who deleted them. The mark says that it was an erasure, so that the
person can be put in again if they lawfully return.
"""

from __future__ import annotations

from airflow_provider_segexport.ports.places import Place, folder, names, write

FOLDER = "erased"


def note(place: Place, mark: str) -> None:
    """Keep the mark of a person. `place` is the ledger's."""
    write(folder(place / FOLDER) / mark, b"")


def marks(place: Place) -> list[str]:
    """The marks that are kept."""
    return names(place / FOLDER)
