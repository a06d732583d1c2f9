"""Removes one person's rows from files: `a file with a column email -> the same file without them`.

These are every stored version of a ledger and, in run folders, every table with a column `email`: the plan, rows that
are not sent, batch results, rejects, leavers and opt-outs. The whole row is removed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.segment_files.snapshots import FOLDER as SNAPSHOTS
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, write_parquet
from airflow_provider_segexport.storage.history import list_folders, list_subfolders
from airflow_provider_segexport.storage.ledger import FACTS, numbers_of
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING, metadata_of
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.parquet_tables import column_parts, read_table
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, list_names, temp_files, uncached
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import verify

INCOMPLETE_TABLE = re.compile(r"\.(parquet|arrow)\.[0-9a-f]+\.half$")
"""The end of the name of a temporary file that becomes a table."""

RUN_FILES = frozenset({"config.json", "plan.json", "summary.json"})
"""Files by which a folder is a run folder."""

TABLE = re.compile(r".*\.(parquet|arrow)(-[0-9a-f]{8})?", re.DOTALL)
"""Name of a table; of a damaged one that was set aside, the end may have random digits (`storage.durable.unused`)."""

RUN_CONTENT = re.compile(rf"{TABLE.pattern}|.*\.half|{SNAPSHOTS}", re.DOTALL)
"""Names of files and folders of a run that may hold people."""

MAP_INDEX = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)
"""Name of a map index's folder; `hook.export` adds the number of its call, and perhaps the id of its process."""


def without(table: pa.Table, person: Person) -> tuple[pa.Table, int]:
    """Return the table without the person's rows, and the number of rows removed."""
    remaining = table.filter(pc.invert(person.rows(table.column("email"))))
    return remaining, table.num_rows - remaining.num_rows


def clean(path: StoragePath, person: Person) -> int:
    """Remove the person from one file, and return the number of rows removed. Without such rows the file is unchanged.

    Raises:
        DamagedState: the file has changed since it was written. If it were rewritten, its checksum would match again.
    """
    verify(path, bare=True)
    with _readable(path):
        return _arrow(path, person) if path.name.endswith(".arrow") else _parquet(path, person)


def count(path: StoragePath, person: Person) -> int:
    """Count the person's rows in a file.

    Raises:
        DamagedState: the file has changed since it was written.
    """
    verify(path, bare=True)
    with _readable(path):
        return sum(pc.sum(person.rows(emails)).as_py() or 0 for emails in _emails(path))


@contextmanager
def _readable(path: StoragePath) -> Iterator[None]:
    """Raise DamagedState if PyArrow cannot read a file, whose end may be that of a table although it is none."""
    try:
        yield
    except pa.ArrowException:
        raise DamagedState(str(path), "it is no table of this provider") from None


def _emails(path: StoragePath) -> Iterator[pa.Array | pa.ChunkedArray]:
    """Yield the addresses of a file, one part at a time; none if it has no column `email`."""
    if path.name.endswith(".arrow"):
        reader = ArrowReader(path)
        try:
            if "email" in reader.schema.names:
                yield from (batch.column("email") for batch in reader)
        finally:
            reader.close()
        return
    with open_file(uncached(path)) as file:
        yield from column_parts(file, "email")


def _parquet(path: StoragePath, person: Person) -> int:
    with open_file(uncached(path)) as file:
        parquet = pq.ParquetFile(file)
        if "email" not in parquet.schema_arrow.names:
            return 0
        table = read_table(file).replace_schema_metadata(metadata_of(parquet))
    remaining, removed_rows = without(table, person)
    if removed_rows:
        write_parquet(path, remaining.to_batches(), _with_member_count(table, remaining).schema)
    return removed_rows


def _with_member_count(table: pa.Table, remaining: pa.Table) -> pa.Table:
    """Lower the member count in the metadata of a ledger's version; leave any other table as it is."""
    metadata = dict(remaining.schema.metadata or {})
    if FACTS not in metadata or "state" not in remaining.column_names:
        return remaining
    facts = json.loads(metadata[FACTS])
    if "members" not in facts:
        return remaining
    members = type(facts["members"])(int(facts["members"]) - _members(table) + _members(remaining))
    return remaining.replace_schema_metadata({**metadata, FACTS: json.dumps({**facts, "members": members}).encode()})


def _members(table: pa.Table) -> int:
    return sum(state in {MEMBER, REMOVING} for state in table.column("state").to_pylist())


def _arrow(path: StoragePath, person: Person) -> int:
    """Remove the person from each record batch; the batches keep their numbers, which are those of the plan."""
    reader = ArrowReader(path)
    try:
        if "email" not in reader.schema.names:
            return 0
        batches = [reader.batch(number) for number in range(len(reader))]
        schema = reader.schema
    finally:
        reader.close()
    removed_rows = 0
    remaining = []
    for batch in batches:
        table, rows = without(pa.Table.from_batches([batch]), person)
        removed_rows += rows
        remaining.append(table.combine_chunks().to_batches()[0] if table.num_rows else batch.slice(0, 0))
    if removed_rows:
        with ArrowFileWriter(path, schema) as out:
            for batch in remaining:
                out.write(batch)
    return removed_rows


def ledger_files(path: StoragePath) -> list[StoragePath]:
    """Return the files of every stored version of a ledger, also those that superseded writers left."""
    return [path / name for name in list_names(path) if (numbers_of(name) or (0, 0))[0]]


def run_folders(
    path: StoragePath,
    on_error: Callable[[StoragePath, OSError], None] | None = None,
    *,
    loose: bool = False,
    inside: bool = False,
    entered: set[str] | None = None,
) -> Iterator[RunFolder]:
    """Yield the run folders at any depth: every folder with a configuration, a plan or a summary.

    Args:
        path: where to begin.
        on_error: called for a folder that cannot be read, which is left out; None to raise the error.
        loose: also yield other folders with files of a run, such as a run folder that has lost these three.
        inside: the path is in a run folder, whose tables are part of that run.
        entered: real paths of the folders that were entered before, which are left out, as in a loop of links.
    """
    entered = set() if entered is None else entered
    if not _is_new(path, entered):
        return
    try:
        names = list_names(path)
        folders = [folder for folder in list_subfolders(path) if folder.name != SNAPSHOTS]
    except OSError as error:
        if on_error is None:
            raise
        on_error(path, error)
        return
    is_run = not RUN_FILES.isdisjoint(names)
    if is_run or (loose and not inside and any(map(RUN_CONTENT.fullmatch, names))):
        yield RunFolder(path)
    for folder in folders:
        yield from run_folders(folder, on_error, loose=loose, inside=inside or is_run, entered=entered)


def runs_of_task(task: StoragePath) -> Iterator[RunFolder]:
    """Yield the run folders `<task>/<run>/<map index>/<number>` of a task, and no other folder below it."""
    for run in list_folders(task):
        for index in filter(MAP_INDEX.fullmatch, list_folders(task / run)):
            for number in filter(str.isdecimal, list_folders(task / run / index)):
                yield from run_at(task / run / index / number)


def run_at(path: StoragePath) -> Iterator[RunFolder]:
    """Yield the run folder at a path, if it is one."""
    if RUN_FILES & set(list_folders(path)):
        yield RunFolder(path)


def tables(path: StoragePath, entered: set[str] | None = None) -> Iterator[StoragePath]:
    """Yield the tables of a run folder, at any depth, without those of `leftovers` and of other run folders in it.

    Args:
        path: the folder.
        entered: real paths of the folders that were entered before; None for the run folder itself.
    """
    is_top, entered = entered is None, set() if entered is None else entered
    names = list_names(path) if _is_new(path, entered) else []
    if not is_top and not RUN_FILES.isdisjoint(names):
        return
    for name in names:
        child = path / name
        if name == SNAPSHOTS:
            continue
        if TABLE.fullmatch(name):
            yield child
        elif child.is_dir():
            yield from tables(child, entered)


def _is_new(path: StoragePath, entered: set[str]) -> bool:
    """Return whether a folder was not entered before, under this name or another, and note it."""
    local = as_local_path(path)
    real = os.path.realpath(local) if local is not None else str(path)
    is_new = real not in entered
    entered.add(real)
    return is_new


def leftovers(path: StoragePath) -> list[StoragePath]:
    """Return the files of a run folder or a ledger in which a person cannot be looked up.

    These are tables that are not complete, and copies of a table's snapshot, whose columns have the user's names. A
    process is writing or reading them, or a killed process has left them.
    """
    incomplete = [file for file in temp_files(path) if INCOMPLETE_TABLE.search(file.name)]
    return [*incomplete, *(path / SNAPSHOTS / name for name in list_names(path / SNAPSHOTS))]
