"""Recognises folders that are tables of Delta Lake, Iceberg, Hudi or DuckLake.

Their Parquet files hold rows that the table has deleted or replaced since: only its log says which rows are current.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.storage.listing import Entry, at_once, shown
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, translate_storage_errors

LOGS = {"_delta_log": "a Delta table", ".hoodie": "a Hudi table"}
"""Folders that make the folder around them a table."""

ICEBERG, DUCKLAKE = "an Iceberg table", "a DuckLake table"

METADATA = re.compile(r".+\.metadata\.json(\.gz)?|.+\.gz\.metadata\.json|version-hint\.text")
DUCKLAKE_FILE = re.compile(r"ducklake-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-delete)?\.parquet")

INSTEAD = {
    "a Delta table": "name it as `delta:<path>` (needs the extra `delta`), or write",
    ICEBERG: "name it as `iceberg:<path>` (needs the extra `iceberg`), or write",
}


def refuse(kind: str, path: StoragePath | str) -> InvalidSegment:
    """Return the error that names a table and how to export its current rows."""
    where = path if isinstance(path, str) else shown(path)
    return InvalidSegment(
        f"{where} is {kind}: its files hold deleted and replaced rows as well. Nothing was read. To fix: "
        f"{INSTEAD.get(kind, 'write')} the table's current snapshot as plain Parquet into a folder of its own, "
        "and name that folder."
    )


def check_names(start: StoragePath, entries: Iterable[Entry]) -> None:
    """Refuse tables that show in names below a folder, hidden ones included.

    Raises:
        InvalidSegment: names the table's folder, its kind and what to do.
    """
    for entry in entries:
        for kind, depth in _signs(entry.parts):
            table = start
            for part in entry.parts[:depth]:
                table /= part
            raise refuse(kind, table)


def _signs(parts: Sequence[str]) -> list[tuple[str, int]]:
    """Return kinds of tables that a name tells of, each with the number of parts of the table's own folder."""
    for at, part in enumerate(parts):
        if part in LOGS:
            return [(LOGS[part], at)]
        if part.startswith(("_", ".")):
            return []  # in a hidden folder, which is not read
    name, folder = ("", *parts)[-1], ("", "", *parts)[-2]
    signs = {
        ICEBERG: folder == "metadata" and METADATA.fullmatch(name),
        DUCKLAKE: DUCKLAKE_FILE.fullmatch(name),
    }
    return [(kind, max(len(parts) - (1 if kind == DUCKLAKE else 2), 0)) for kind, sign in signs.items() if sign]


def key(place: StoragePath) -> str:
    """Return a text that is equal for the same folder, however it was reached."""
    path = as_local_path(place)
    stored: Any = place
    return str(path.absolute()) if path is not None else str(stored.path).rstrip("/")


def check_above(places: Iterable[StoragePath], clean: set[str]) -> None:
    """Refuse files and folders that lie inside a table.

    Args:
        places: what is read.
        clean: keys of folders that were listed already; those that are checked are added.
    """
    local: dict[str, pathlib.Path] = {}
    stored: dict[str, tuple[Any, str, StoragePath]] = {}
    for place in places:
        path = as_local_path(place)
        if path is not None:
            for way in {path.absolute(), pathlib.Path(os.path.realpath(path))}:
                local.update({str(folder): folder for folder in way.parents})
            continue
        remote: Any = place
        above = key(place)
        while above := above.rpartition("/")[0].rstrip("/"):
            stored.setdefault(above, (remote.fs, above, place))
    for name, folder in local.items():
        if name not in clean and (kind := _kind_on_disk(folder)):
            raise refuse(kind, str(folder))
    unknown = [at for above, at in stored.items() if above not in clean]
    probes = [(fs, above, sign, place) for fs, above, place in unknown for sign in (*LOGS, "metadata")]
    for (_, above, sign, _), there in zip(probes, at_once(_probe, probes), strict=True):
        if there:
            raise refuse(LOGS.get(sign, ICEBERG), above)
    clean.update(local, stored)


def _kind_on_disk(folder: pathlib.Path) -> str:
    for sign, kind in LOGS.items():
        if (folder / sign).is_dir():
            return kind
    with suppress(OSError):
        if any(METADATA.fullmatch(name) for name in os.listdir(folder / "metadata")):  # noqa: PTH208 - names suffice
            return ICEBERG
    return ""


def _probe(probe: tuple[Any, str, str, StoragePath]) -> bool:
    """Tell whether a folder of a store holds a table's log. A folder that may not be read counts as holding none."""
    fs, folder, sign, place = probe
    with suppress(PermissionError, FileNotFoundError), translate_storage_errors(place):
        if not fs.exists(f"{folder}/{sign}"):
            return False
        if sign in LOGS:
            return True
        return any(METADATA.fullmatch(str(name).rpartition("/")[2]) for name in fs.ls(f"{folder}/{sign}", detail=False))
    return False
