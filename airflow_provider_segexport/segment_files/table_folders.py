"""Recognises folders and files of tables of Delta Lake, Iceberg, Hudi, DuckLake, Lance, Paimon or Hive.

Their data files also hold rows that the table has deleted or replaced. Only the table's log says which rows are
current. The log may be elsewhere, or missing in a copy of the table, so data files are also recognised by the names
that each format gives them, and by what it writes into their footers.
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
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, as_storage_path

DELTA, HUDI, ICEBERG, DUCKLAKE = "a Delta table", "a Hudi table", "an Iceberg table", "a DuckLake table"
HIVE, LANCE, PAIMON = "a transactional Hive table", "a Lance dataset", "a Paimon table"

LOG_FOLDERS = {"_delta_log": DELTA, ".hoodie": HUDI}
"""Folders whose parent folder is a table: kind by folder."""

METADATA = re.compile(
    r".+\.metadata\.json(\.gz)?|.+\.gz\.metadata\.json|version-hint\.text|snap-.+\.avro|.+-m\d+\.avro"
)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"

FILE_NAMES = {
    DUCKLAKE: re.compile(rf"ducklake-{UUID}(-delete)?\.parquet", re.IGNORECASE),
    HUDI: re.compile(rf"{UUID}(-\d+)?_\d+-\d+-\d+_\d{{14,17}}\.parquet|\.hoodie_partition_metadata(\.parquet|\.orc)?"),
    ICEBERG: re.compile(
        rf"\d{{5,}}-\d+-(.*{UUID}.*-\d{{5,}}(-deletes)?|{UUID})\.parquet"  # Java, Go; Python
        rf"|\d{{8}}_\d{{6}}_\d{{5}}_\w{{5}}-{UUID}\.parquet"  # Trino, Athena
    ),
}
"""Names that only a table's writer gives: pattern by kind."""

BUCKET, BUCKET_FILE = re.compile(r"bucket-(\d+|postpone)"), re.compile(rf"(data|changelog)-{UUID}-\d+\.parquet")
"""Names of the folders and of the data files of a Paimon table."""

FOOTER_KEYS = {b"iceberg.schema": ICEBERG, b"hoodie_min_record_key": HUDI, b"org.apache.hudi.bloomfilter": HUDI}
"""Keys in the footers of data files: kind by key."""

HIVE_FOLDER = re.compile(r"(base|(delete_)?delta_\d{7})_\d{7}(_\d{4})?(_v\d+)?")
"""Folder of one write to a transactional Hive table. A `base_` folder replaces all folders that are older."""

LANCE_FILE = re.compile(r".+\.manifest")
PAIMON_FILE = re.compile(r"snapshot-\d+|LATEST|EARLIEST")

SIGN_FILES = {"metadata": (ICEBERG, METADATA), "snapshot": (PAIMON, PAIMON_FILE), "_versions": (LANCE, LANCE_FILE)}
"""Folders whose parent folder is a table if they hold a file whose name matches: kind and pattern by folder."""

ALTERNATIVES = {
    DELTA: "name it as `delta:<path>` (needs the extra `delta`), or write",
    ICEBERG: "name it as `iceberg:<path>` (needs the extra `iceberg`), or write",
}


def table_error(kind: str, path: StoragePath | str, part: str = "") -> InvalidSegment:
    """Return the error that names a table, or a part of one, and says how to export its current rows.

    Args:
        kind: the kind of table, with its article.
        path: the table or the part.
        part: what the path is of the table, such as `a data file of `; empty if it is the table.
    """
    where = path if isinstance(path, str) else display_path(path)
    return InvalidSegment(
        f"{where} is {part}{kind}: its files hold deleted and replaced rows as well. Nothing was read. To fix: "
        f"{ALTERNATIVES.get(kind, 'write')} the table's current snapshot as plain Parquet into a folder of its own, "
        "and name that folder."
    )


def check_footer(keys: Iterable[bytes], file: str) -> None:
    """Check that a file is no data file of a table.

    Args:
        keys: keys of the key-value metadata in the file's footer.
        file: the file's name for errors.

    Raises:
        InvalidSegment: it is one.
    """
    kind = next((FOOTER_KEYS[key] for key in keys if key in FOOTER_KEYS), None)
    if kind is not None:
        raise table_error(kind, file, "a data file of ")


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
        if part.startswith(("_", ".")) and part not in SIGN_FILES and at + 1 < len(parts):
            return []  # a hidden folder, which is not read
    name, folder = ("", *parts)[-1], ("", "", *parts)[-2]
    if (kind := _kind_by_names(folder, name)) is not None:
        return [(kind, max(len(parts) - (2 if kind == PAIMON else 1), 0))]
    signs = {kind: folder == sign and file.fullmatch(name) for sign, (kind, file) in SIGN_FILES.items()}
    return [(kind, max(len(parts) - 2, 0)) for kind, sign in signs.items() if sign]


def _kind_by_names(folder: str, name: str) -> str | None:
    """Return the kind of table whose data file has this name in a folder of this name; None if there is none."""
    if BUCKET.fullmatch(folder) and BUCKET_FILE.fullmatch(name):
        return PAIMON
    return next((kind for kind, names in FILE_NAMES.items() if names.fullmatch(name)), None)


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
            real = pathlib.Path(os.path.realpath(on_disk))
            _check_names(as_storage_path(real))  # a link may have another name
            for resolved in {on_disk.absolute(), real}:
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
    """Check that neither the file nor a folder above it has a name that only a table's writer gives.

    Raises:
        InvalidSegment: one has.
    """
    if (kind := _kind_by_names(path.parent.name, path.name)) is not None:
        raise table_error(kind, path.parent.parent if kind == PAIMON else path.parent)
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
