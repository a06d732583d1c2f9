"""Takes one person's rows out of files: `a file with a column email -> the same file without them`.

Every kept version of a ledger, and in run folders the plan, what was set aside, verdicts, rejected rows, leavers and
opt-outs: whatever is a table with a column `email`. Other columns of the same row go with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage.files import ArrowFileWriter, ArrowReader, write_parquet
from airflow_provider_segexport.storage.ledger import FACTS, Ledger, numbers_of
from airflow_provider_segexport.storage.ledger_schema import MEMBER, REMOVING
from airflow_provider_segexport.storage.paths import StoragePath, list_names, uncached
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import verify


def without(table: pa.Table, person: Person) -> tuple[pa.Table, int]:
    """The table without the person's rows, and how many they were."""
    theirs = person.rows(table.column("email"))
    kept = table.filter(pc.invert(theirs))
    return kept, table.num_rows - kept.num_rows


def clean(path: StoragePath, person: Person) -> int:
    """Take the person out of one file; returns the rows taken out. A file without them is left as it is.

    Raises:
        DamagedState: the file has changed since it was written. Written again, it would pass for whole.
    """
    verify(path, bare=True)
    return _arrow(path, person) if path.name.endswith(".arrow") else _parquet(path, person)


def count(path: StoragePath, person: Person) -> int:
    """How many rows of the person a file holds.

    Raises:
        DamagedState: the file has changed since it was written.
    """
    verify(path, bare=True)
    return sum(pc.sum(person.rows(emails)).as_py() or 0 for emails in _emails(path))


def _emails(path: StoragePath) -> Iterator[pa.Array | pa.ChunkedArray]:
    """The addresses of a file, a part at a time; none where it has no such column."""
    if path.name.endswith(".arrow"):
        reader = ArrowReader(path)
        try:
            if "email" in reader.schema.names:
                yield from (batch.column("email") for batch in reader)
        finally:
            reader.close()
        return
    with uncached(path).open("rb") as file:
        held = pq.ParquetFile(file)
        if _has_rows(held):
            yield from (batch.column("email") for batch in held.iter_batches(columns=["email"]))


def _has_rows(held: pq.ParquetFile) -> bool:
    """Whether there are addresses to read: up to pyarrow 19 a file without any row group cannot be read."""
    return "email" in held.schema_arrow.names and held.num_row_groups > 0


def _parquet(path: StoragePath, person: Person) -> int:
    with uncached(path).open("rb") as file:
        held = pq.ParquetFile(file)
        if not _has_rows(held):
            return 0
        table = held.read()
    kept, rows = without(table, person)
    if rows:
        write_parquet(path, kept.to_batches(), _counted(table, kept).schema)
    return rows


def _counted(table: pa.Table, kept: pa.Table) -> pa.Table:
    """A version of a ledger says of itself how many are in it."""
    facts = dict(kept.schema.metadata or {})
    if FACTS in facts and "state" in kept.column_names:
        told = json.loads(facts[FACTS])
        if "members" in told:
            there = [
                sum(state in {MEMBER, REMOVING} for state in one.column("state").to_pylist()) for one in (table, kept)
            ]
            told["members"] = type(told["members"])(int(told["members"]) - (there[0] - there[1]))
            kept = kept.replace_schema_metadata({**facts, FACTS: json.dumps(told).encode()})
    return kept


def _arrow(path: StoragePath, person: Person) -> int:
    """A record batch stays a record batch, with one row less: their numbers are those of the plan's batches."""
    reader = ArrowReader(path)
    try:
        if "email" not in reader.schema.names:
            return 0
        batches = [reader.batch(number) for number in range(len(reader))]
        schema = reader.schema
    finally:
        reader.close()
    rows = 0
    kept = []
    for batch in batches:
        table, fewer = without(pa.Table.from_batches([batch]), person)
        rows += fewer
        kept.append(table.combine_chunks().to_batches()[0] if table.num_rows else batch.slice(0, 0))
    if rows:
        with ArrowFileWriter(path, schema) as out:
            for batch in kept:
                out.write(batch)
    return rows


def ledger_files(ledger: Ledger) -> Iterator[StoragePath]:
    """The kept versions of a ledger, with what superseded runs left."""
    for name in list_names(ledger.path):
        numbers = numbers_of(name)
        if numbers and numbers[0]:
            yield ledger.path / name


def run_folders(path: StoragePath) -> Iterator[RunFolder]:
    """The run folders at any depth below a place: whatever holds an order, a plan or a summary."""
    here = set(list_names(path))
    if here & {"config.json", "plan.json", "summary.json"}:
        yield RunFolder(path)
        return
    for name in sorted(here):
        if (path / name).is_dir():
            yield from run_folders(path / name)


def tables(path: StoragePath) -> Iterator[StoragePath]:
    """The tables of a run folder, at any depth."""
    for name in list_names(path):
        one = path / name
        if one.name.endswith((".parquet", ".arrow")):
            yield one
        elif one.is_dir():
            yield from tables(one)
