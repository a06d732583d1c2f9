"""Cuts a stream of rows into the vendor's batches, as full as rows and bytes allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from airflow_provider_segexport.model import BatchKind, digest_of_rows
from airflow_provider_segexport.storage.arrow import bool_array, byte_lengths, raw_bytes, to_numpy
from airflow_provider_segexport.vendors.base import Limits

ENVELOPE_BYTES = 1_000
"""Bytes of a request body that are reserved for the text around the items."""


def planned_batch_id(batch: pa.RecordBatch, kind: BatchKind = BatchKind.UPSERT) -> str:
    """Return the id of a planned batch, a hash of its columns `row_hash` and `email`."""
    hashes = to_numpy(batch.column("row_hash"), np.uint64).astype("<u8", copy=False)
    emails = batch.column("email")
    lengths = byte_lengths(emails).astype("<i8", copy=False)
    return f"{kind}{digest_of_rows(hashes.tobytes(), lengths.tobytes(), raw_bytes(emails))}"


def cut_batches(stream: Iterable[pa.RecordBatch], limits: Limits, too_large: list[int]) -> Iterator[pa.RecordBatch]:
    """Cut a stream into the vendor's batches, in order and as full as the limits allow.

    Args:
        stream: record batches with the columns `row` and `item`; an item's text includes its comma.
        limits: rows and bytes of a batch.
        too_large: gets the row numbers of items that are larger than a batch may be.

    Yields:
        One record batch for each batch of the vendor.
    """
    max_bytes = limits.batch_bytes - ENVELOPE_BYTES
    carry: list[pa.RecordBatch] = []
    rows = size = 0
    for chunk in stream:
        sizes = byte_lengths(chunk.column("item"))
        if (sizes > max_bytes).any():
            too_large.extend(chunk.column("row").filter(bool_array(sizes > max_bytes)).to_pylist())
            chunk = chunk.filter(bool_array(sizes <= max_bytes))  # noqa: PLW2901 - the remaining rows
            sizes = sizes[sizes <= max_bytes]
        ends = np.cumsum(sizes)
        start = 0
        while start < chunk.num_rows:
            before = int(ends[start - 1]) if start else 0
            fits = int(np.searchsorted(ends, before + max_bytes - size, side="right"))
            stop = min(fits, start + limits.batch_rows - rows)
            if stop > start:
                carry.append(chunk.slice(start, stop - start))
                rows += stop - start
                size += int(ends[stop - 1]) - before
            if stop < chunk.num_rows or rows == limits.batch_rows:
                yield _joined(carry)
                carry, rows, size = [], 0, 0
            start = stop
    if carry:
        yield _joined(carry)


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(parts) == 1:
        return parts[0]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
