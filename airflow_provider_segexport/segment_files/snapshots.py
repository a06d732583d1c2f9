"""Reads one snapshot of a Delta or Iceberg table into a Parquet file, as a stream of record batches.

`delta:<folder>` and `iceberg:<folder>` are read with the table format's own library, which omits deleted rows. A table
that the library cannot read exactly is rejected. `iceberg:<catalog>.<namespace>.<table>` uses pyiceberg's own
configuration of catalogs.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.fs as pafs

from airflow_provider_segexport.errors import InvalidSegment, SegexportError
from airflow_provider_segexport.storage.files import write_parquet
from airflow_provider_segexport.storage.listing import map_concurrently
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.paths import (
    PathResolver,
    StoragePath,
    as_local_path,
    as_storage_path,
    ensure_folder,
    list_names,
    uncached,
)
from airflow_provider_segexport.storage.scratch import scratch

TABLE = re.compile(r"(delta|iceberg):(?!//)(.+)", re.DOTALL)
BATCH_ROWS = 65_536
FOLDER = "snapshots"
"""The folder in the run folder that holds the copies until the plan is written."""

Stream: TypeAlias = tuple[str, Sequence[str], Callable[[Sequence[str]], pa.RecordBatchReader]]
"""A snapshot: its name for reports, its columns, and a function that returns the rows of some columns."""


def is_table(text: str) -> bool:
    """Return whether a text names a table and not files."""
    return TABLE.fullmatch(text) is not None


def parse_table(text: str) -> tuple[str, str]:
    """Return `delta` or `iceberg`, and the table's path or name; two empty texts for files."""
    match = TABLE.fullmatch(text)
    return (match[1], match[2].strip()) if match else ("", "")


def discard_copies(run: StoragePath) -> None:
    """Delete the copies of snapshots from a run folder. They hold personal data, and the plan no longer needs them."""
    for name in list_names(run / FOLDER) if FOLDER in list_names(run) else ():
        with contextlib.suppress(OSError):
            (run / FOLDER / name).unlink(missing_ok=True)


def copy_snapshot(
    text: str, resolve: PathResolver, to: StoragePath, *, wanted: Sequence[str] = (), at: str = ""
) -> tuple[StoragePath, str]:
    """Copy one snapshot of a table into a Parquet file, a few megabytes in memory at a time.

    Args:
        text: `delta:…` or `iceberg:…`.
        resolve: turns the table's text into a path.
        to: the run folder.
        wanted: columns to copy; all if empty, or if the table lacks one of them, which `footers` then reports.
        at: read the newest snapshot of this time (ISO 8601) or before; empty for the current snapshot.

    Returns:
        The file, and its name for reports: the table and its version.

    Raises:
        InvalidSegment: the library is not installed, or the table or snapshot is missing or cannot be read exactly.
    """
    kind, table = parse_table(text)
    if not table:
        raise InvalidSegment(f"{text!r} names no table. To fix: write `delta:<folder>` or `iceberg:<folder>`.")
    moment = dt.datetime.fromisoformat(at) if at else None
    opener = _delta if kind == "delta" else _iceberg
    with _translate_errors(text), opener(table, resolve, moment) as (name, columns, read):
        chosen = list(wanted) if wanted and set(wanted) <= set(columns) else list(columns)
        stream = read(chosen)
        copy = ensure_folder(to / FOLDER) / f"{len(list_names(to / FOLDER)):03d}.parquet"
        write_parquet(copy, stream, stream.schema)
    return copy, f"{kind}:{name}"


@contextlib.contextmanager
def _translate_errors(text: str) -> Iterator[None]:
    """Turn a library's errors into one that names the table. The library's message may quote values."""
    try:
        yield
    except (SegexportError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - each library has its own errors, some from Rust
        raise InvalidSegment(
            f"{text} cannot be read ({type(error).__name__}): the table does not exist, is damaged, or uses a feature "
            "that its library cannot read exactly, such as deletion vectors, column mapping or equality deletes. "
            "To fix: write the table's current snapshot as plain Parquet into a folder of its own, and name that."
        ) from None


def _library(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InvalidSegment(
            f"`{extra}:` needs the library {name.partition('.')[0]}, which is not installed. To fix: "
            f"pip install 'airflow-provider-segexport[{extra}]'."
        ) from None


@contextlib.contextmanager
def _delta(table: str, resolve: PathResolver, moment: dt.datetime | None) -> Iterator[Stream]:
    """Open a Delta table. Its log, which is small, is copied from a store; data files are read in place."""
    deltalake = _library("deltalake", "delta")
    path = resolve(table)
    local = as_local_path(path)
    with scratch("delta") as log_copy:
        if local is None:
            _copy_log(path, log_copy)
        files = _filesystem(path)
        opened = deltalake.DeltaTable(str(log_copy) if local is None else str(local.absolute()))
        if moment is not None:
            _load_as_of(opened, moment, table)
        dataset = opened.to_pyarrow_dataset(filesystem=files)

        def read(columns: Sequence[str]) -> pa.RecordBatchReader:
            return dataset.scanner(
                columns=list(columns), batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False
            ).to_reader()

        yield f"{table}@{opened.version()}", dataset.schema.names, read


def _copy_log(table: StoragePath, to: pathlib.Path) -> None:
    """Copy a table's log from a store to a local folder."""
    stored: Any = uncached(table)
    base = stored.path.rstrip("/") + "/"

    def fetch(path: str) -> None:
        target = to / path.removeprefix(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        with translate_storage_errors(table):
            target.write_bytes(stored.fs.cat_file(path))

    with translate_storage_errors(table):
        paths = [path for path in stored.fs.find(f"{base}_delta_log") if not path.endswith("/")]
    map_concurrently(fetch, paths)


def _filesystem(table: StoragePath) -> Any:
    """Return the file system with which Arrow opens data files; None for a disk, where deltalake opens them."""
    if as_local_path(table) is not None:
        return None
    stored: Any = table
    base = stored.path.rstrip("/")
    return pafs.SubTreeFileSystem(base, pafs.PyFileSystem(pafs.FSSpecHandler(stored.fs)))


def _load_as_of(table: Any, moment: dt.datetime, name: str) -> None:
    """Load the newest version that was committed at this time or before."""
    commits = [entry for entry in table.history() if entry["timestamp"] <= moment.timestamp() * 1000]
    if not commits:
        raise InvalidSegment(
            f"delta:{name} has no version of {moment.isoformat()} or before. To fix: give a later `as_of`, or none "
            "for the current version."
        )
    table.load_as_version(max(entry["version"] for entry in commits))


@contextlib.contextmanager
def _iceberg(table: str, resolve: PathResolver, moment: dt.datetime | None) -> Iterator[Stream]:
    """Open an Iceberg table by its folder, or by its name in a catalog."""
    catalogs = _library("pyiceberg.catalog", "iceberg")
    if "/" in table:
        opened = _table_in_folder(resolve(table), table)
    else:
        catalog, _, identifier = table.partition(".")
        opened = catalogs.load_catalog(catalog).load_table(identifier)
    snapshot = opened.current_snapshot()
    if moment is not None:
        snapshot = opened.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
        if snapshot is None:
            raise InvalidSegment(
                f"iceberg:{table} has no snapshot of {moment.isoformat()} or before. To fix: give a later `as_of`, or "
                "none for the current snapshot."
            )
    snapshot_id = snapshot.snapshot_id if snapshot is not None else None

    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        reader: pa.RecordBatchReader = opened.scan(
            snapshot_id=snapshot_id, selected_fields=tuple(columns)
        ).to_arrow_batch_reader()
        return reader

    schema = opened.schema() if snapshot_id is None else opened.scan(snapshot_id=snapshot_id).projection()
    yield f"{table}@{snapshot_id or 'empty'}", [field.name for field in schema.fields], read


def _table_in_folder(folder: StoragePath, table: str) -> Any:
    """Open the newest metadata file of a table's folder. Files are read through the folder's file system."""
    tables = _library("pyiceberg.table", "iceberg")
    noop = _library("pyiceberg.catalog.noop", "iceberg")
    serializers = _library("pyiceberg.serializers", "iceberg")
    versions = [name for name in list_names(folder / "metadata") if name.endswith(".metadata.json")]
    if not versions:
        raise InvalidSegment(
            f"iceberg:{table} has no metadata file (metadata/*.metadata.json). To fix: name the table's own folder, "
            "or the table as <catalog>.<namespace>.<table>."
        )
    newest = max(versions, key=lambda name: (int((re.findall(r"\d+", name) or ["0"])[0]), name))
    at: Any = folder / "metadata" / newest
    path = as_local_path(as_storage_path(at))
    location = str(path.absolute()) if path is not None else at.fs.unstrip_protocol(at.path)
    io = _file_io(None if path is not None else at.fs)
    metadata = serializers.FromInputFile.table_metadata(io.new_input(location))
    return tables.StaticTable(("folder", table), metadata, location, io, noop.NoopCatalog("folder"))


def _file_io(store: Any) -> Any:
    """Return pyiceberg's file access: to a disk, or to a store that Airflow has opened."""
    if store is None:
        return _library("pyiceberg.io.pyarrow", "iceberg").PyArrowFileIO()
    io = _library("pyiceberg.io.fsspec", "iceberg").FsspecFileIO({})
    io.get_fs = lambda *_: store
    return io
