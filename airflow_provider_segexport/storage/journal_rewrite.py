"""Replaces a damaged journal by one with given entries: `entries -> journal`. The damaged files stay as `damaged-*`.

A kill between any two steps leaves the damaged journal or the new one, and the replacement can be repeated.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from airflow_provider_segexport.storage import journal_objects
from airflow_provider_segexport.storage.durable import SET_ASIDE, move_aside, unused
from airflow_provider_segexport.storage.journal import FILE
from airflow_provider_segexport.storage.journal_entries import Entry, encoded
from airflow_provider_segexport.storage.journal_objects import CREATED, FIRST_OBJECT, Part
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, listing, read, remove, write


def rewrite(path: StoragePath, entries: Iterable[Entry]) -> None:
    """Replace the journal of a run folder, which no process writes.

    Args:
        path: the folder of upserts or of removals.
        entries: the last entry of each batch.

    Raises:
        OSError: the store failed.
    """
    lines = [encoded(entry) for entry in entries]
    local = as_local_path(path / FILE)
    if local is None:
        _rewrite_objects(path, lines)
        return
    aside = unused(local.with_name(f"{SET_ASIDE}{FILE}"))
    if local.is_file() and not local.is_symlink():
        write(path / aside.name, read(path / FILE))
    else:
        move_aside(local, aside.name)
    write(path / FILE, b"\n".join((CREATED, *lines, b"")))


def _rewrite_objects(path: StoragePath, lines: list[bytes]) -> None:
    """Store the lines as one folded object that covers all other objects, and remove those afterwards."""
    parts = {name: part for name in listing(path) if (part := Part.parse(name))}
    for name in parts:
        write(path / f"{SET_ASIDE}{name}", read(path / name))
    stored = journal_objects.find(path, contents=False, lenient=True)
    last = max([stored.last_session, *(part.session for part in parts.values())])
    covers = {f"{session:04d}": 0 for session in range(1, last + 1)} | stored.last_numbers()
    for part in parts.values():
        covers[part.key] = max(part.number, covers.get(part.key, 0))
    new = Part(last + 1, secrets.token_hex(4), 0, is_folded=True)
    write(path / new.name, new.content(lines, {**covers, new.key: 0}))
    remove(path, [name for name in parts if name != FIRST_OBJECT])
    write(path / FIRST_OBJECT, journal_objects.first_object({}))
