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

from airflow_provider_segexport.person.whom import Person
from airflow_provider_segexport.ports.ledger import FACTS, IN, LEAVING, Ledger, numbers_of
from airflow_provider_segexport.ports.places import Place, fresh, names
from airflow_provider_segexport.ports.run_folder import RunFolder
from airflow_provider_segexport.ports.sealing import verify
from airflow_provider_segexport.ports.tables import ArrowFile, ArrowReader, write_parquet


def without(table: pa.Table, person: Person) -> tuple[pa.Table, int]:
    """The table without the person's rows, and how many they were."""
    theirs = person.rows(table.column("email"))
    kept = table.filter(pc.invert(theirs))
    return kept, table.num_rows - kept.num_rows


def clean(place: Place, person: Person) -> int:
    """Take the person out of one file; returns the rows taken out. A file without them is left as it is.

    Raises:
        DamagedState: the file has changed since it was written. Written again, it would pass for whole.
    """
    verify(place, bare=True)
    return _arrow(place, person) if place.name.endswith(".arrow") else _parquet(place, person)


def count(place: Place, person: Person) -> int:
    """How many rows of the person a file holds.

    Raises:
        DamagedState: the file has changed since it was written.
    """
    verify(place, bare=True)
    return sum(pc.sum(person.rows(emails)).as_py() or 0 for emails in _emails(place))


def _emails(place: Place) -> Iterator[pa.Array | pa.ChunkedArray]:
    """The addresses of a file, a part at a time; none where it has no such column."""
    if place.name.endswith(".arrow"):
        reader = ArrowReader(place)
        try:
            if "email" in reader.schema.names:
                yield from (batch.column("email") for batch in reader)
        finally:
            reader.close()
        return
    with fresh(place).open("rb") as file:
        held = pq.ParquetFile(file)
        if _has_rows(held):
            yield from (batch.column("email") for batch in held.iter_batches(columns=["email"]))


def _has_rows(held: pq.ParquetFile) -> bool:
    """Whether there are addresses to read: up to pyarrow 19 a file without any row group cannot be read."""
    return "email" in held.schema_arrow.names and held.num_row_groups > 0


def _parquet(place: Place, person: Person) -> int:
    with fresh(place).open("rb") as file:
        held = pq.ParquetFile(file)
        if not _has_rows(held):
            return 0
        table = held.read()
    kept, rows = without(table, person)
    if rows:
        write_parquet(place, kept.to_batches(), _counted(table, kept).schema)
    return rows


def _counted(table: pa.Table, kept: pa.Table) -> pa.Table:
    """A version of a ledger says of itself how many are in it."""
    facts = dict(kept.schema.metadata or {})
    if FACTS in facts and "state" in kept.column_names:
        told = json.loads(facts[FACTS])
        if "members" in told:
            there = [sum(state in {IN, LEAVING} for state in one.column("state").to_pylist()) for one in (table, kept)]
            told["members"] = type(told["members"])(int(told["members"]) - (there[0] - there[1]))
            kept = kept.replace_schema_metadata({**facts, FACTS: json.dumps(told).encode()})
    return kept


def _arrow(place: Place, person: Person) -> int:
    """A record batch stays a record batch, with one row less: their numbers are those of the plan's batches."""
    reader = ArrowReader(place)
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
        with ArrowFile(place, schema) as out:
            for batch in kept:
                out.write(batch)
    return rows


def ledger_files(ledger: Ledger) -> Iterator[Place]:
    """The kept versions of a ledger, with what superseded runs left."""
    for name in names(ledger.place):
        numbers = numbers_of(name)
        if numbers and numbers[0]:
            yield ledger.place / name


def run_folders(place: Place) -> Iterator[RunFolder]:
    """The run folders at any depth below a place: whatever holds an order, a plan or a summary."""
    here = set(names(place))
    if here & {"order.json", "plan.json", "summary.json"}:
        yield RunFolder(place)
        return
    for name in sorted(here):
        if (place / name).is_dir():
            yield from run_folders(place / name)


def tables(place: Place) -> Iterator[Place]:
    """The tables of a run folder, at any depth."""
    for name in names(place):
        one = place / name
        if one.name.endswith((".parquet", ".arrow")):
            yield one
        elif one.is_dir():
            yield from tables(one)
