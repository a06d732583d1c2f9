"""Reads one snapshot of a Delta or Iceberg table into a Parquet file, as a stream of record batches.

`delta:<folder>` and `iceberg:<folder>` are read with the table format's own library, which knows what is deleted. A
table that the library cannot read exactly is refused. `iceberg:<catalog>.<namespace>.<table>` goes through pyiceberg's
own configuration of catalogs.
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
from airflow_provider_segexport.storage.listing import at_once
from airflow_provider_segexport.storage.paths import (
    PathResolver,
    StoragePath,
    as_local_path,
    as_storage_path,
    folder,
    list_names,
    translate_storage_errors,
    uncached,
)
from airflow_provider_segexport.storage.scratch import scratch

TABLE = re.compile(r"(delta|iceberg):(?!//)(.+)", re.DOTALL)
BATCH_ROWS = 65_536
FOLDER = "snapshots"
"""A folder of the run folder that holds the copies until the plan is made."""

Stream: TypeAlias = tuple[str, Sequence[str], Callable[[Sequence[str]], pa.RecordBatchReader]]
"""A snapshot: its name for reports, its columns, and what reads some of them."""


def is_table(text: str) -> bool:
    """Tell whether a text names a table and not files."""
    return TABLE.fullmatch(text) is not None


def table_of(text: str) -> tuple[str, str]:
    """Return `delta` or `iceberg`, and the table's path or name; two empty texts for files."""
    match = TABLE.fullmatch(text)
    return (match[1], match[2].strip()) if match else ("", "")


def discard(run: StoragePath) -> None:
    """Remove the copies of snapshots from a run folder: they hold people, and the plan is made."""
    for name in list_names(run / FOLDER):
        with contextlib.suppress(OSError):
            (run / FOLDER / name).unlink(missing_ok=True)


def copied(
    text: str, resolve: PathResolver, to: StoragePath, *, wanted: Sequence[str] = (), at: str = ""
) -> tuple[StoragePath, str]:
    """Copy one snapshot of a table into a Parquet file, a few megabytes in memory at a time.

    Args:
        text: `delta:…` or `iceberg:…`.
        resolve: makes a place of the table's path.
        to: the run folder.
        wanted: columns to copy; all if empty, or if the table lacks one of them: the reader of footers reports that.
        at: the newest snapshot that is not younger than this time (ISO 8601) is read; the current one if empty.

    Returns:
        The file, and its name for reports: the table and its version.

    Raises:
        InvalidSegment: the library is not installed, or the table or snapshot is missing or cannot be read exactly.
    """
    kind, table = table_of(text)
    if not table:
        raise InvalidSegment(f"{text!r} names no table. To fix: write `delta:<folder>` or `iceberg:<folder>`.")
    moment = dt.datetime.fromisoformat(at) if at else None
    opener = _delta if kind == "delta" else _iceberg
    with _explained(text), opener(table, resolve, moment) as (name, columns, read):
        chosen = list(wanted) if wanted and set(wanted) <= set(columns) else list(columns)
        stream = read(chosen)
        place = folder(to / FOLDER) / f"{len(list_names(to / FOLDER)):03d}.parquet"
        write_parquet(place, stream, stream.schema)
    return place, f"{kind}:{name}"


@contextlib.contextmanager
def _explained(text: str) -> Iterator[None]:
    """Turn a library's errors into one that names the table; their own words may quote values."""
    try:
        yield
    except (SegexportError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - each library has errors of its own, and some of Rust's
        raise InvalidSegment(
            f"{text} cannot be read ({type(error).__name__}): the table is not there, is damaged, or uses a feature "
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
    """Open a Delta table. Its log is small and is copied from a store; data files are read where they are."""
    deltalake = _library("deltalake", "delta")
    place = resolve(table)
    path = as_local_path(place)
    with scratch("delta") as folder:
        if path is None:
            _fetch(place, folder)
        files = _filesystem(place)
        opened = deltalake.DeltaTable(str(folder) if path is None else str(path.absolute()))
        if moment is not None:
            _travel(opened, moment, table)
        dataset = opened.to_pyarrow_dataset(filesystem=files)

        def read(columns: Sequence[str]) -> pa.RecordBatchReader:
            return dataset.scanner(
                columns=list(columns), batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False
            ).to_reader()

        yield f"{table}@{opened.version()}", dataset.schema.names, read


def _fetch(table: StoragePath, to: pathlib.Path) -> None:
    """Copy a table's log out of a store."""
    stored: Any = uncached(table)
    base = stored.path.rstrip("/") + "/"

    def fetch(path: str) -> None:
        target = to / path.removeprefix(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        with translate_storage_errors(table):
            target.write_bytes(stored.fs.cat_file(path))

    with translate_storage_errors(table):
        paths = [path for path in stored.fs.find(f"{base}_delta_log") if not path.endswith("/")]
    at_once(fetch, paths)


def _filesystem(table: StoragePath) -> Any:
    """Return what Arrow opens a table's data files with; None on a disk, where deltalake opens them itself."""
    if as_local_path(table) is not None:
        return None
    stored: Any = table
    base = stored.path.rstrip("/")
    return pafs.SubTreeFileSystem(base, pafs.PyFileSystem(pafs.FSSpecHandler(stored.fs)))


def _travel(table: Any, moment: dt.datetime, name: str) -> None:
    """Load the newest version that was committed at that time or before."""
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
        opened = _by_folder(resolve(table), table)
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
    number = snapshot.snapshot_id if snapshot is not None else None

    def read(columns: Sequence[str]) -> pa.RecordBatchReader:
        reader: pa.RecordBatchReader = opened.scan(
            snapshot_id=number, selected_fields=tuple(columns)
        ).to_arrow_batch_reader()
        return reader

    schema = opened.schema() if number is None else opened.scan(snapshot_id=number).projection()
    yield f"{table}@{number or 'empty'}", [field.name for field in schema.fields], read


def _by_folder(place: StoragePath, table: str) -> Any:
    """Open the newest metadata file of a table's folder; files are read as `place` is."""
    tables = _library("pyiceberg.table", "iceberg")
    noop = _library("pyiceberg.catalog.noop", "iceberg")
    serializers = _library("pyiceberg.serializers", "iceberg")
    versions = [name for name in list_names(place / "metadata") if name.endswith(".metadata.json")]
    if not versions:
        raise InvalidSegment(
            f"iceberg:{table} has no metadata file (metadata/*.metadata.json). To fix: name the table's own folder, "
            "or the table as <catalog>.<namespace>.<table>."
        )
    at: Any = place / "metadata" / max(versions, key=lambda name: (int((re.findall(r"\d+", name) or ["0"])[0]), name))
    path = as_local_path(as_storage_path(at))
    location = str(path.absolute()) if path is not None else at.fs.unstrip_protocol(at.path)
    io = _file_io(None if path is not None else at.fs)
    metadata = serializers.FromInputFile.table_metadata(io.new_input(location))
    return tables.StaticTable(("folder", table), metadata, location, io, noop.NoopCatalog("folder"))


def _file_io(store: Any) -> Any:
    """Return pyiceberg's reader of files: on a disk, or through a store that Airflow has opened."""
    if store is None:
        return _library("pyiceberg.io.pyarrow", "iceberg").PyArrowFileIO()
    io = _library("pyiceberg.io.fsspec", "iceberg").FsspecFileIO({})
    io.get_fs = lambda *_: store
    return io
