"""Cuts a stream of rows into the vendor's batches, as full as rows and bytes allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from airflow_provider_segexport.model import BatchKind, batch_id_of_hashes
from airflow_provider_segexport.storage.arrow import bool_array, byte_lengths, to_numpy
from airflow_provider_segexport.vendors.base import Limits

ENVELOPE_BYTES = 1_000
"""Room for what stands around the items in a body."""


def batch_id_of(batch: pa.RecordBatch, kind: BatchKind = BatchKind.UPSERT) -> str:
    """The name of a planned batch, by its column `row_hash`."""
    return (
        f"{kind}{batch_id_of_hashes(to_numpy(batch.column('row_hash'), np.uint64).astype('<u8', copy=False).tobytes())}"
    )


def cut(stream: Iterable[pa.RecordBatch], limits: Limits, too_large: list[int]) -> Iterator[pa.RecordBatch]:
    """Re-cut a stream into the vendor's batches: as full as rows and bytes allow, in order.

    An item's comma is part of it.
    Rows that no batch can hold are put into `too_large`.
    """
    room = limits.batch_bytes - ENVELOPE_BYTES
    carry: list[pa.RecordBatch] = []
    rows = size = 0
    for arrived in stream:
        sizes = byte_lengths(arrived.column("item"))
        if (sizes > room).any():
            too_large.extend(arrived.column("row").filter(bool_array(sizes > room)).to_pylist())
            arrived = arrived.filter(bool_array(sizes <= room))  # noqa: PLW2901 - the rest of the same batch
            sizes = sizes[sizes <= room]
        ends = np.cumsum(sizes)
        start = 0
        while start < arrived.num_rows:
            before = int(ends[start - 1]) if start else 0
            fits = int(np.searchsorted(ends, before + room - size, side="right"))
            stop = min(fits, start + limits.batch_rows - rows)
            if stop > start:
                carry.append(arrived.slice(start, stop - start))
                rows += stop - start
                size += int(ends[stop - 1]) - before
            if stop < arrived.num_rows or rows == limits.batch_rows:
                yield _joined(carry)
                carry, rows, size = [], 0, 0
            start = stop
    if carry:
        yield _joined(carry)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
