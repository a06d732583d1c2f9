"""The parts of a planned batch and their states: `batch, journal -> batches as sent`.

A batch that the vendor rejected as a whole was sent as halves. Rows that the vendor asked to retry were sent as a batch
of the next attempt, and rows of people that an export had removed as a batch that resubscribes them. All parts follow
from the journal and the batch's content alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pyarrow as pa

from airflow_provider_segexport.model import Batch, BatchKind
from airflow_provider_segexport.storage.arrow import bool_array
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.run_folder import RunFolder

Numbered = Sequence[tuple[int, str]]
"""Planned batches, as pairs: number of the record batch in the plan, and id of the batch."""


def leaf_batches(batch: Batch, states: Mapping[str, Entry]) -> Iterator[tuple[Batch, Entry | None]]:
    """Yield the batch, or the parts it was sent in, each with its last journal entry.

    A settled batch of which some rows are sent again comes first, followed by the batch of those rows.
    """
    entry = states.get(batch.id)
    match entry.state if entry else None:
        case State.SPLIT:
            for half in batch.halves():
                yield from leaf_batches(half, states)
        case State.SETTLED:
            yield batch, entry
            if entry and entry.retry:
                yield from leaf_batches(batch.subset(entry.retry, attempt=batch.attempt + 1), states)
            if entry and entry.resubscribe:
                yield from leaf_batches(batch.subset(entry.resubscribe, kind=BatchKind.REVIVE), states)
        case _:
            yield batch, entry


def settled(folder: RunFolder, names: tuple[str, ...]) -> Iterator[tuple[Batch, Entry]]:
    """Yield all settled batches and parts of a plan, with their content."""
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


def settled_rows(folder: RunFolder, planned: Numbered, *, in_flight: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the rows of planned batches that have a result, accepted or rejected.

    Args:
        folder: the part of the run folder that holds the batches.
        planned: the batches.
        in_flight: also yield rows that were sent and have no result, with a null `row_hash`.
    """
    states = folder.journal.states()
    with closing(folder.upserts(["row", "email", "row_hash"])) as reader, closing(folder.upserts()) as full_reader:
        for number, name in planned:
            entry = states.get(name)
            if entry is None:
                continue
            rows = reader.batch(number)
            if entry.state is State.SETTLED and not entry.retry and not entry.resubscribe:
                yield rows
                continue
            with_result = set(_rows_with_result(folder.batch(full_reader, number, name), states))
            has_result = [row in with_result for row in rows.column("row").to_pylist()]
            yield rows.filter(bool_array(has_result))
            if in_flight:
                yield _without_hash(rows.filter(bool_array(not has for has in has_result)))


def late_rows(folder: RunFolder, names: Sequence[str], late: frozenset[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of planned batches that are in `late`, or whose parts may be.

    Args:
        folder: the run folder.
        names: ids of its planned batches, in the order of their record batches.
        late: ids of batches and parts of batches. The id of a part does not say which batch it is from, so all rows of
            a batch that was sent in parts are returned.
    """
    states, parts = folder.journal.states(), late.difference(names)
    with closing(folder.upserts(["row", "email", "row_hash"])) as rows:
        for number, name in enumerate(names):
            entry = states.get(name)
            in_parts = entry is not None and (entry.state is State.SPLIT or entry.retry or entry.resubscribe)
            if name in late or (parts and in_parts):
                yield rows.batch(number)


def _without_hash(batch: pa.RecordBatch) -> pa.RecordBatch:
    index = batch.schema.get_field_index("row_hash")
    return batch.set_column(index, "row_hash", pa.nulls(batch.num_rows, pa.uint64()))


def _rows_with_result(batch: Batch, states: Mapping[str, Entry]) -> Iterator[int]:
    """Yield the rows of a batch that have a result, in the batch or in the part that they were sent in."""
    for part, entry in leaf_batches(batch, states):
        if entry is not None and entry.state is State.SETTLED:
            sent_again = {*entry.retry, *entry.resubscribe}
            yield from (row for index, row in enumerate(part.rows) if index not in sent_again)
