"""Where each part of a planned batch stands: `batch, journal -> leaves`.

A batch that the vendor refused as a whole went out as halves, rows that it asked for again as a batch of the next
generation, and people whom we had taken out as one that revives them. All are found again from the journal and the
batch's content alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pyarrow as pa

from airflow_provider_segexport.model import Batch, BatchKind
from airflow_provider_segexport.storage.arrow import bool_array
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.run_folder import RunFolder


def leaf_batches(batch: Batch, states: Mapping[str, Entry]) -> Iterator[tuple[Batch, Entry | None]]:
    """The batch itself or the parts it went out in, each with the last thing known of it.

    A settled part whose rows are asked for again, in part, comes itself first, and then the batch of those rows.
    """
    entry = states.get(batch.id)
    match entry.state if entry else None:
        case State.SPLIT:
            for half in batch.halves():
                yield from leaf_batches(half, states)
        case State.SETTLED:
            yield batch, entry
            if entry and entry.retry:
                yield from leaf_batches(batch.subset(entry.retry, generation=batch.attempt + 1), states)
            if entry and entry.resubscribe:
                yield from leaf_batches(batch.subset(entry.resubscribe, kind=BatchKind.REVIVE), states)
        case _:
            yield batch, entry


def settled(folder: RunFolder, names: tuple[str, ...]) -> Iterator[tuple[Batch, Entry]]:
    """All parts with a verdict, over the whole plan, with their content."""
    states = folder.journal.states()
    rows = folder.upserts()
    try:
        for number, name in enumerate(names):
            if name in states:
                for batch, entry in leaf_batches(folder.batch(rows, number, name), states):
                    if entry is not None and entry.state is State.SETTLED:
                        yield batch, entry
    finally:
        rows.close()


Numbered = Sequence[tuple[int, str]]
"""Planned batches, each by its number and name."""


def settled_rows(folder: RunFolder, planned: Numbered, *, in_flight: bool = False) -> Iterator[pa.RecordBatch]:
    """Rows of planned batches that have a verdict, accepted or refused.

    With `in_flight` also rows that were sent, of which nobody knows what became: without a hash.
    """
    states = folder.journal.states()
    with closing(folder.upserts(["row", "email", "row_hash"])) as rows, closing(folder.upserts()) as whole:
        for number, name in planned:
            entry = states.get(name)
            if entry is None:
                continue
            found = rows.batch(number)
            if entry.state is State.SETTLED and not entry.retry and not entry.resubscribe:
                yield found
                continue
            done = set(_done(folder.batch(whole, number, name), states))
            known = [row in done for row in found.column("row").to_pylist()]
            yield found.filter(bool_array(known))
            if in_flight:
                yield _without_hash(found.filter(bool_array(not one for one in known)))


def late_rows(folder: RunFolder, names: Sequence[str], late: frozenset[str]) -> Iterator[pa.RecordBatch]:
    """Rows of the planned batches that are among these, or whose parts may be.

    Args:
        folder: of a run.
        names: its planned batches, in the order of their record batches.
        late: batches and parts of batches by name. Which batch a part is of takes its content to find out, so that of
            a batch that went out in parts all rows are returned.
    """
    states, parts = folder.journal.states(), late.difference(names)
    with closing(folder.upserts(["row", "email", "row_hash"])) as rows:
        for number, name in enumerate(names):
            entry = states.get(name)
            in_parts = entry is not None and (entry.state is State.SPLIT or entry.retry or entry.resubscribe)
            if name in late or (parts and in_parts):
                yield rows.batch(number)


def _without_hash(batch: pa.RecordBatch) -> pa.RecordBatch:
    at = batch.schema.get_field_index("row_hash")
    return batch.set_column(at, "row_hash", pa.nulls(batch.num_rows, pa.uint64()))


def _done(batch: Batch, states: Mapping[str, Entry]) -> Iterator[int]:
    """Rows of a batch whose own verdict, or that of the part they went into, is there."""
    for part, entry in leaf_batches(batch, states):
        if entry is not None and entry.state is State.SETTLED:
            open_ = {*entry.retry, *entry.resubscribe}
            yield from (row for index, row in enumerate(part.rows) if index not in open_)
