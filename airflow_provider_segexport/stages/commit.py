"""Writes into the ledger what the vendor has taken: `plan, verdicts -> next version of the ledger`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.errors import TryAgain
from airflow_provider_segexport.model import Batch
from airflow_provider_segexport.ports.engine import Engine, literal
from airflow_provider_segexport.ports.journal import Entry, State
from airflow_provider_segexport.ports.ledger import SCHEMA, Ledger
from airflow_provider_segexport.ports.progress import leaves
from airflow_provider_segexport.ports.run_folder import NAMED, RunFolder

TRIES = 3


def settled_rows(folder: RunFolder, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Planned rows that have a verdict, accepted or refused."""
    states = folder.journal.states()
    with closing(folder.upserts(["row", "email", "hash"])) as rows, closing(folder.upserts()) as whole:
        for number, name in enumerate(names):
            entry = states.get(name)
            if entry is None or entry.state in {State.SENDING, State.SUBMITTED}:
                continue
            found = rows.batch(number)
            if entry.state is State.SETTLED and not entry.again:
                yield found
                continue
            done = set(_done(folder.batch(whole, number, name), states))
            yield found.filter(pa.array([row in done for row in found.column("row").to_pylist()]))


def _done(batch: Batch, states: Mapping[str, Entry]) -> Iterator[int]:
    """Rows of a batch whose own verdict, or that of the part they went into, is there."""
    for part, entry in leaves(batch, states):
        if entry is not None and entry.state is State.SETTLED:
            again = set(entry.again)
            yield from (row for index, row in enumerate(part.rows) if index not in again)


@dataclass(frozen=True, slots=True)
class Origin:
    """What stands behind a version of a ledger.

    Attributes:
        as_of: the time that the segment describes, ISO 8601.
        run: who exported it.
        profiles: how many rows the segment had.
        finished: the whole segment has a verdict: the audience is in the state of `as_of` from here on.
    """

    as_of: str
    run: str
    profiles: int = 0
    finished: bool = True


def commit(engine: Engine, ledger: Ledger, folder: RunFolder, names: tuple[str, ...], origin: Origin) -> int:
    """Write the next version of the ledger, and tell its number.

    A run that has delivered nothing and did not finish makes no version. One that has finished makes one also when
    nothing changed: an older snapshot must find out that the audience has come further.
    """
    _delivered(engine, folder, names)
    if engine.one("select count(*) from delivered") == (0,) and not origin.finished:
        return ledger.version()
    new = f"""select email, hash, contact_id, {literal(origin.as_of)}::timestamptz as as_of,
        {literal(origin.run)} as run from delivered"""
    for _ in range(TRIES):
        base = ledger.version()
        sql, facts = new, ledger.facts()
        if base:
            # What an earlier try of this run took for delivered, and the vendor had only counted, goes again.
            ours = f"l.run = {literal(origin.run)} and l.as_of = {literal(origin.as_of)}::timestamptz"
            sql = f"""select l.email, l.hash, l.contact_id, l.as_of, l.run from {engine.scan([ledger.file(base)])} l
                anti join delivered d on d.email = l.email left join named n on n.email = l.email
                where n.email is null or not ({ours}) union all
                select n.email, n.hash, coalesce(n.contact_id, l.contact_id), n.as_of, n.run from ({new}) n
                left join {engine.scan([ledger.file(base)])} l on l.email = n.email"""
        if origin.finished:
            facts = {"as_of": origin.as_of, "run": origin.run, "profiles": str(origin.profiles)}
        try:
            return ledger.commit(engine.stream(sql), base, facts)
        except TryAgain:
            continue
    raise TryAgain("The audience's ledger changes faster than it can be written: another run is writing it.")


def _delivered(engine: Engine, folder: RunFolder, names: tuple[str, ...]) -> None:
    """`delivered(email, hash, contact_id)`: rows that were not refused; `named(email)`: those that were, and late."""
    schema = pa.schema([SCHEMA.field("email"), SCHEMA.field("hash")]).insert(0, pa.field("row", pa.int64()))
    engine.stage("verdicts", pa.RecordBatchReader.from_batches(schema, settled_rows(folder, names)))
    parts = folder.parts()
    told = f"select * from {engine.scan(parts)}" if parts else "select 0 as row, '' as reason, '' as contact_id limit 0"
    named = [part for part in parts if part.name.endswith(f"{NAMED}.parquet")]
    late = f"select email from {engine.scan(named)}" if named else "select '' as email limit 0"
    engine.run(f"create or replace table named as {late}")
    engine.run(
        f"""create or replace table delivered as
        select v.email, v.hash, t.contact_id from verdicts v left join ({told}) t on t.row = v.row
        where t.reason is null"""
    )


def load(engine: Engine, ledger: Ledger, version: int) -> None:
    """The ledger as the table `ledger(email, hash)`."""
    engine.run(f"create or replace table ledger as select email, hash from {engine.scan([ledger.file(version)])}")
