"""Recognises folders that are tables of Delta Lake, Iceberg, Hudi, DuckLake, Lance, Paimon or Hive.

Their data files also hold rows that the table has deleted or replaced. Only the table's log says which rows are
current.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.storage.listing import Entry, display_path, list_entries, map_concurrently
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path

LOG_FOLDERS = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}
"""Folders whose parent folder is a table: kind by folder."""

ICEBERG, DUCKLAKE = "an Iceberg table", "a DuckLake table"
HIVE, LANCE, PAIMON = "a transactional Hive table", "a Lance dataset", "a Paimon table"

METADATA = re.compile(r".+\.metadata\.json(\.gz)?|.+\.gz\.metadata\.json|version-hint\.text")
DUCKLAKE_FILE = re.compile(r"ducklake-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-delete)?\.parquet")
HIVE_FOLDER = re.compile(r"(base|(delete_)?delta_\d{7})_\d{7}(_\d{4})?(_v\d+)?")
"""Folder of one write to a transactional Hive table. A `base_` folder replaces all folders that are older."""

LANCE_FILE = re.compile(r".+\.manifest")
PAIMON_FILE = re.compile(r"snapshot-\d+|LATEST|EARLIEST")

SIGN_FILES = {"metadata": (ICEBERG, METADATA), "snapshot": (PAIMON, PAIMON_FILE), "_versions": (LANCE, LANCE_FILE)}
"""Folders whose parent folder is a table if they hold a file whose name matches: kind and pattern by folder."""

ALTERNATIVES = {
    "a Delta table": "name it as `delta:<path>` (needs the extra `delta`), or write",
    ICEBERG: "name it as `iceberg:<path>` (needs the extra `iceberg`), or write",
}


def table_error(kind: str, path: StoragePath | str) -> InvalidSegment:
    """Return the error that names a table and says how to export its current rows."""
    where = path if isinstance(path, str) else display_path(path)
    return InvalidSegment(
        f"{where} is {kind}: its files hold deleted and replaced rows as well. Nothing was read. To fix: "
        f"{ALTERNATIVES.get(kind, 'write')} the table's current snapshot as plain Parquet into a folder of its own, "
        "and name that folder."
    )


def check_no_tables(start: StoragePath, entries: Iterable[Entry]) -> None:
    """Check that no name below a folder, hidden or not, is part of a table.

    Raises:
        InvalidSegment: a table was found; the error names its folder and its kind.
    """
    for entry in _with_hidden_signs(entries):
        for kind, depth in _table_signs(entry.parts):
            table = start
            for part in entry.parts[:depth]:
                table /= part
            raise table_error(kind, table)


def _with_hidden_signs(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries, and on a disk those of hidden folders in which a table may have its signs."""
    for entry in entries:
        yield entry
        if entry.kind == "folder" and entry.name in SIGN_FILES:
            yield from list_entries(entry)


def _table_signs(parts: Sequence[str]) -> list[tuple[str, int]]:
    """Return the kinds of tables that a path indicates, each with the depth of the table's folder in the path."""
    for at, part in enumerate(parts):
        if part in LOG_FOLDERS:
            return [(LOG_FOLDERS[part], at)]
        if HIVE_FOLDER.fullmatch(part):
            return [(HIVE, at)]
        if part.startswith(("_", ".")) and part not in SIGN_FILES:
            return []  # a hidden folder, which is not read
    name, folder = ("", *parts)[-1], ("", "", *parts)[-2]
    signs = {
        DUCKLAKE: DUCKLAKE_FILE.fullmatch(name),
        **{kind: folder == sign and file.fullmatch(name) for sign, (kind, file) in SIGN_FILES.items()},
    }
    return [(kind, max(len(parts) - (1 if kind == DUCKLAKE else 2), 0)) for kind, sign in signs.items() if sign]


def folder_key(path: StoragePath) -> str:
    """Return a text that is the same for all paths to a folder."""
    local = as_local_path(path)
    stored: Any = path
    return str(local.absolute()) if local is not None else str(stored.path).rstrip("/")


def check_no_table_above(paths: Iterable[StoragePath], checked_folders: set[str]) -> None:
    """Check that no file is inside a table.

    Args:
        paths: the files to read.
        checked_folders: keys of folders that were checked before and are not tables. Newly checked folders are added.

    Raises:
        InvalidSegment: a parent folder is a table, or a name is one that only tables give.
    """
    local: dict[str, pathlib.Path] = {}
    stored: dict[str, tuple[Any, str, StoragePath]] = {}
    for path in paths:
        _check_names(path)
        on_disk = as_local_path(path)
        if on_disk is not None:
            for resolved in {on_disk.absolute(), pathlib.Path(os.path.realpath(on_disk))}:
                local.update({str(folder): folder for folder in resolved.parents})
            continue
        remote: Any = path
        above = folder_key(path)
        while above := above.rpartition("/")[0].rstrip("/"):
            stored.setdefault(above, (remote.fs, above, path))
    for name, folder in local.items():
        if name not in checked_folders and (kind := _kind_on_disk(folder)):
            raise table_error(kind, str(folder))
    unchecked = [parent for above, parent in stored.items() if above not in checked_folders]
    probes = [(fs, above, sign, path) for fs, above, path in unchecked for sign in (*LOG_FOLDERS, *SIGN_FILES)]
    for (_, above, sign, _), is_table in zip(probes, map_concurrently(_probe, probes), strict=True):
        if is_table:
            raise table_error(LOG_FOLDERS[sign] if sign in LOG_FOLDERS else SIGN_FILES[sign][0], above)
    checked_folders.update(local, stored)


def _check_names(path: StoragePath) -> None:
    """Check that neither the file nor a folder above it has a name that DuckLake or a transactional Hive table gives.

    Raises:
        InvalidSegment: one has.
    """
    if DUCKLAKE_FILE.fullmatch(path.name):
        raise table_error(DUCKLAKE, path.parent)
    above = folder_key(path)
    while above := above.rpartition("/")[0]:
        table, _, name = above.rpartition("/")
        if HIVE_FOLDER.fullmatch(name):
            raise table_error(HIVE, table)


def _kind_on_disk(folder: pathlib.Path) -> str:
    for sign, kind in LOG_FOLDERS.items():
        if (folder / sign).is_dir():
            return kind
    for sign, (kind, file) in SIGN_FILES.items():
        with suppress(OSError):
            if any(map(file.fullmatch, os.listdir(folder / sign))):  # noqa: PTH208 - names suffice
                return kind
    return ""


def _probe(probe: tuple[Any, str, str, StoragePath]) -> bool:
    """Return whether a folder of a store holds a table's log; False if this user may not read the folder."""
    fs, folder, sign, path = probe
    with suppress(PermissionError, FileNotFoundError), translate_storage_errors(path):
        if not fs.exists(f"{folder}/{sign}"):
            return False
        if sign in LOG_FOLDERS:
            return True
        names = (str(name).rpartition("/")[2] for name in fs.ls(f"{folder}/{sign}", detail=False))
        return any(map(SIGN_FILES[sign][1].fullmatch, names))
    return False
