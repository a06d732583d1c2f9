"""Reads Parquet files in one thread, `open file -> table, or record batches`, and cuts a stream into row groups.

The calling thread reads alone. PyArrow's threads for reading from a Python file abort an interpreter that
ends right afterwards, as a command's does (PyArrow 18 to 24, tried 2026-11-28: 25 of 72 processes).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

BATCH_ROWS = 65_536


def read_table(file: IO[bytes], columns: Sequence[str] | None = None) -> pa.Table:
    """Return all rows of a file as one table.

    Args:
        file: open for reading.
        columns: names of the columns to read, in this order; None for all.

    Raises:
        KeyError: the file has no such column.
        pyarrow.ArrowException: the file is damaged.
    """
    parquet = pq.ParquetFile(file, pre_buffer=False)
    names = parquet.schema_arrow.names if columns is None else list(columns)
    tables = [parquet.read_row_group(group, names, use_threads=False) for group in range(parquet.num_row_groups)]
    table = pa.concat_tables(tables) if tables else parquet.schema_arrow.empty_table()
    return table.select(names)


def batches(
    parquet: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None, group: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of an opened file; nothing if it has no row group, which PyArrow up to 19 cannot read.

    Args:
        parquet: the file.
        rows: maximum rows of a batch.
        columns: names of the columns to read; None for all.
        group: the row group to read; None for all.
    """
    if parquet.num_row_groups:
        groups = None if group is None else [group]
        wanted = None if columns is None else list(columns)
        yield from parquet.iter_batches(rows, row_groups=groups, columns=wanted, use_threads=False)


def column_parts(file: IO[bytes], column: str) -> Iterator[pa.Array]:
    """Yield a column in parts; nothing if the file has no such column."""
    parquet = pq.ParquetFile(file, pre_buffer=False)
    if column in parquet.schema_arrow.names:
        yield from (batch.column(column) for batch in batches(parquet, BATCH_ROWS, [column]))


def matching_rows(file: IO[bytes], column: str, value: str) -> pa.Table:
    """Return the rows that have a value in a column. Row groups whose minimum and maximum exclude it are not read.

    Args:
        file: open for reading.
        column: name of a text column.
        value: the value to look for.
    """
    parquet = pq.ParquetFile(file, pre_buffer=False)
    paths = [parquet.metadata.schema.column(number).path for number in range(parquet.metadata.num_columns)]
    number = paths.index(column)
    tables = []
    for group in range(parquet.num_row_groups):
        statistics = parquet.metadata.row_group(group).column(number).statistics
        if statistics is not None and statistics.has_min_max and not statistics.min <= value <= statistics.max:
            continue
        table = parquet.read_row_group(group, use_threads=False)
        is_match = pa.array([other == value for other in table.column(column).to_pylist()], pa.bool_())
        tables.append(table.filter(is_match))
    return pa.concat_tables(tables) if tables else parquet.schema_arrow.empty_table()


def row_groups(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int, size: float = math.inf
) -> Iterator[pa.Table]:
    """Yield a stream in tables that are written as one row group each.

    Args:
        batches: the rows.
        schema: their columns.
        rows: a table ends when it has this number of rows.
        size: a table ends when it has this number of bytes.
    """
    group: list[pa.RecordBatch] = []
    group_rows = group_size = 0
    for batch in batches:
        group.append(batch)
        group_rows, group_size = group_rows + batch.num_rows, group_size + _bytes(batch)
        if group_rows >= rows or group_size >= size:
            yield pa.Table.from_batches(group, schema)
            group, group_rows, group_size = [], 0, 0
    if group_rows:
        yield pa.Table.from_batches(group, schema)


def _bytes(batch: pa.RecordBatch) -> int:
    """Return the bytes of a batch. PyArrow 18 cannot tell those of a view type, so whole buffers count there."""
    try:
        return int(batch.nbytes)
    except pa.ArrowTypeError:
        return int(batch.get_total_buffer_size())
