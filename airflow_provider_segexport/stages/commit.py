"""Writes into the ledger what the vendor has taken: `plan, verdicts -> next version of the ledger`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import Batch
from airflow_provider_segexport.ports.engine import Engine, literal
from airflow_provider_segexport.ports.journal import Entry, State
from airflow_provider_segexport.ports.ledger import SCHEMA, Ledger
from airflow_provider_segexport.ports.progress import leaves
from airflow_provider_segexport.ports.run_folder import RunFolder

TRIES = 3


def settled_rows(folder: RunFolder, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Planned rows that have a verdict, accepted or refused."""
    states = folder.journal.states()
    rows = folder.upserts()
    try:
        for number, name in enumerate(names):
            entry = states.get(name)
            if entry is None or entry.state in {State.SENDING, State.SUBMITTED}:
                continue
            found = rows.batch(number).select(["row", "email", "hash"])
            if entry.state is State.SETTLED and not entry.again:
                yield found
                continue
            done = set(_done(folder.batch(rows, number, name), states))
            yield found.filter(pa.array([row in done for row in found.column("row").to_pylist()]))
    finally:
        rows.close()


def _done(batch: Batch, states: Mapping[str, Entry]) -> Iterator[int]:
    """Rows of a batch whose own verdict, or that of the part they went into, is there."""
    for part, entry in leaves(batch, states):
        if entry is not None and entry.state is State.SETTLED:
            again = set(entry.again)
            yield from (row for index, row in enumerate(part.rows) if index not in again)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where ledger lines come from: the time that the segment describes, ISO 8601, and the run."""

    as_of: str
    run: str


def commit(engine: Engine, ledger: Ledger, folder: RunFolder, names: tuple[str, ...], origin: Origin) -> int:
    """Write the next version of the ledger, and tell its number; the present one when nothing was delivered."""
    first = next(rows := settled_rows(folder, names), None)
    if first is None:
        return ledger.version()
    schema = pa.schema([SCHEMA.field("email"), SCHEMA.field("hash")]).insert(0, pa.field("row", pa.int64()))
    engine.stage("verdicts", pa.RecordBatchReader.from_batches(schema, _with(first, rows)))
    parts = folder.parts()
    told = f"select * from {engine.scan(parts)}" if parts else "select 0 as row, '' as reason, '' as contact_id limit 0"
    engine.run(
        f"""create or replace table delivered as
        select v.email, v.hash, t.contact_id from verdicts v left join ({told}) t on t.row = v.row
        where t.reason is null"""
    )
    if engine.one("select count(*) from delivered") == (0,):
        return ledger.version()
    new = f"""select email, hash, contact_id, {literal(origin.as_of)}::timestamptz as as_of,
        {literal(origin.run)} as run from delivered"""
    for _ in range(TRIES):
        base = ledger.version()
        sql = new
        if base:
            sql = f"""select l.email, l.hash, l.contact_id, l.as_of, l.run from {engine.scan([ledger.file(base)])} l
                anti join delivered d on d.email = l.email union all
                select n.email, n.hash, coalesce(n.contact_id, l.contact_id), n.as_of, n.run from ({new}) n
                left join {engine.scan([ledger.file(base)])} l on l.email = n.email"""
        try:
            return ledger.commit(engine.stream(sql), base)
        except TryAgain:
            continue
    raise TryAgain("The audience's ledger changes faster than it can be written: another run is writing it.")


def _with(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def load(engine: Engine, ledger: Ledger, version: int) -> None:
    """The ledger as the table `ledger(email, hash)`."""
    engine.run(f"create or replace table ledger as select email, hash from {engine.scan([ledger.file(version)])}")
