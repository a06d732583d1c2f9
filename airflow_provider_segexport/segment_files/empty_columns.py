"""Finds columns of nothing but nulls. A program that writes Parquet may give them any type, such as a number's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from airflow_provider_segexport.segment_files.column_types import NO_TYPE
from airflow_provider_segexport.segment_files.parquet_reading import open_parquet
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles


def with_empty_columns(files: SegmentFiles, columns: Collection[str]) -> SegmentFiles:
    """Return the files in which those of the columns that hold nothing but nulls have the type of nulls.

    Args:
        files: of the segment.
        columns: whose type a field does not take; their values are read up to the first that is not null.

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
        if not parquet.num_row_groups:  # up to pyarrow 19, `iter_batches` breaks there
            return True
        batches = parquet.iter_batches(columns=[column])
        return all(batch.num_columns == 1 and batch.column(0).null_count == batch.num_rows for batch in batches)
