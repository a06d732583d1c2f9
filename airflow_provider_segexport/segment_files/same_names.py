"""Refuses an object of a store that has the name of a folder: `x.parquet` beside `x.parquet/part-0.parquet`.

A disk has no such pair. In a store, a reader could mean either, and would miss rows of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.storage.listing import Entry, display_path, map_concurrently
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path


def check_distinct(entries: Sequence[Entry]) -> None:
    """Check that no object of a listing has the name of a folder in it.

    Raises:
        InvalidSegment: an object has the name of a folder.
    """
    folders = {entry.parts for entry in entries if entry.kind == "folder"}
    folders |= {entry.parts[:depth] for entry in entries for depth in range(1, len(entry.parts))}
    for entry in entries:
        if entry.kind == "file" and entry.parts in folders:
            raise _same_name_error(entry.path)


def check_not_folders(entries: Sequence[Entry]) -> None:
    """Check that no object that the user named in full has the name of a folder. It takes one request for each object.

    Raises:
        InvalidSegment: an object has the name of a folder.
    """
    objects = [entry for entry in entries if entry.kind == "file" and as_local_path(entry.path) is None]
    for entry, is_folder in zip(objects, map_concurrently(_has_content, objects), strict=True):
        if is_folder:
            raise _same_name_error(entry.path)


def _has_content(entry: Entry) -> bool:
    stored: Any = entry.path
    base = str(stored.path).rstrip("/") + "/"
    with suppress(FileNotFoundError, NotADirectoryError), translate_storage_errors(entry.path):
        names = [str(name) for name in stored.fs.ls(stored.path, detail=False)]
        return any(name.startswith(base) and name.rstrip("/") != base.rstrip("/") for name in names)
    return False


def _same_name_error(path: StoragePath) -> InvalidSegment:
    name = display_path(path)
    return InvalidSegment(
        f"{name} is an object and also a folder with objects below {name}/, so one of the two would be left out or "
        "both would be read. Nothing was read. To fix: remove the one that is not current, or write the segment to a "
        "name of its own."
    )
