"""Finds columns that hold only nulls. A program that writes Parquet may give them any type, such as that of a number.

The type of such a column in a file is ignored when the segment's type of the column is determined.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pyarrow as pa

from airflow_provider_segexport.segment_files.column_types import NO_TYPE, value_type
from airflow_provider_segexport.segment_files.parquet_reading import open_parquet, small_batches
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles


def type_in(file: SegmentFile, column: str) -> pa.DataType:
    """Return the type of a mapped column in a file; `NO_TYPE` if it holds only nulls, or the path gives null."""
    if column in file.empty:
        return NO_TYPE
    if column in file.types:
        return NO_TYPE if pa.types.is_null(value_type(file.types[column])) else file.types[column]
    return pa.string() if file.partitions[column] is not None else NO_TYPE


def without_types_of_nulls(files: Sequence[SegmentFile], columns: Collection[str]) -> Sequence[SegmentFile]:
    """Return the files, with the columns that hold only nulls in all files of one type noted in `SegmentFile.empty`.

    Only columns whose type differs between files are read, and for each type only up to the first value.

    Args:
        files: the files of the segment.
        columns: the mapped columns.

    Raises:
        RetryableError: the disk or the store failed; a retry may succeed.
        InvalidSegment: a file cannot be read.
    """
    for column in columns:
        by_type: dict[pa.DataType, list[SegmentFile]] = {}
        for file in files:
            by_type.setdefault(value_type(type_in(file, column)), []).append(file)
        by_type.pop(NO_TYPE, None)
        if len(by_type) > 1:
            empty = {kind for kind, alike in by_type.items() if all(_is_empty(file, column) for file in alike)}
            files = [
                replace(file, empty=file.empty | {column}) if value_type(type_in(file, column)) in empty else file
                for file in files
            ]
    return files


def with_empty_columns(files: SegmentFiles, columns: Collection[str]) -> SegmentFiles:
    """Return the files, with the type of nulls for each of the columns that holds only nulls.

    Args:
        files: the files of the segment.
        columns: columns of a type that their field does not take. They are read up to the first value.

    Raises:
        RetryableError: the disk or the store failed; a retry may succeed.
        InvalidSegment: a file cannot be read.
    """
    empty = {column for column in columns if all(_is_empty(file, column) for file in files.files)}
    if not empty:
        return files
    nulls = dict.fromkeys(empty, NO_TYPE)
    return replace(
        files,
        files=tuple(replace(file, types={**file.types, **nulls}) for file in files.files),
        columns={**files.columns, **dict.fromkeys(empty, "text")},
        type_names={**files.type_names, **dict.fromkeys(empty, "null")},
        types={**files.types, **nulls},
    )


def _is_empty(file: SegmentFile, column: str) -> bool:
    if column not in file.types:
        return False
    with open_parquet(file.path, file.name) as (parquet, _):
        batches = small_batches(parquet, [column])
        return all(batch.num_columns == 1 and _is_null(batch.column(0)) for batch in batches)


def _is_null(values: pa.Array) -> bool:
    """Return whether every value is null, or NaN, which some writers store for null."""
    if pa.types.is_floating(values.type):
        return bool(values.is_null(nan_is_null=True).true_count == len(values))
    return bool(values.null_count == len(values))
