"""Check that a segment's files can be read: `files -> SegmentFiles`. No row is read yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from airflow_provider_segexport.errors import InvalidSegment, NeedsMemory, RetryableError
from airflow_provider_segexport.segment_files import column_types, diagnosis, footers
from airflow_provider_segexport.segment_files.column_types import NO_TYPE, column_type
from airflow_provider_segexport.segment_files.empty_columns import type_in, without_types_of_nulls
from airflow_provider_segexport.segment_files.partitions import partitions_of
from airflow_provider_segexport.segment_files.snapshots import is_table
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles


def read_schemas(
    paths: Sequence[tuple[StoragePath, str]], wanted: Sequence[str], *, partition_columns: bool = False
) -> SegmentFiles:
    """Read every file's footer. Every file must have the wanted columns, with types that have an exact common type.

    Args:
        paths: the files, with their names for reports.
        wanted: names of the mapped columns.
        partition_columns: whether a column that a file lacks may come from `key=value` folders above it, as text.

    Raises:
        InvalidSegment: a file cannot be read, lacks a column, or has a type that no common type can hold exactly.
    """
    files: list[SegmentFile] = []
    first_row = 0
    for path, name in paths:
        footer = footers.read_footer(path, name)
        partitions = partitions_of(path, footer.names, wanted) if partition_columns and not is_table(name) else {}
        types = footers.column_types(footer, [column for column in wanted if column not in partitions], name)
        files.append(
            SegmentFile(path, name, footer.rows, first_row, types, footer.version, footer.group_bytes, partitions)
        )
        first_row += footer.rows
    return _with_types(without_types_of_nulls(files, wanted), wanted)


def _with_types(files: Sequence[SegmentFile], wanted: Sequence[str]) -> SegmentFiles:
    """Return the files with the common type of each wanted column.

    Raises:
        InvalidSegment: no type holds the values of two files exactly.
    """
    common: dict[str, pa.DataType] = {}
    first: dict[str, tuple[str, pa.DataType]] = {}
    for file in files:
        for column in wanted:
            kind = type_in(file, column)
            if kind == NO_TYPE:
                continue  # every value is null, so it fits any type
            name_before, kind_before = first.setdefault(column, (file.name, kind))
            both = column_types.common_type(common.get(column, kind), kind)
            if both is None:
                raise InvalidSegment(
                    f"Column {column!r} is {kind} in {file.name} and {kind_before} in {name_before}, and no type holds "
                    "the values of both exactly. To fix: write every file of the segment with the same type."
                )
            common[column] = both
    type_names = {column: str(first[column][1]) if column in first else "null" for column in wanted}
    kinds = {column: column_type(common[column]) if column in common else "text" for column in wanted}
    return SegmentFiles(tuple(files), kinds, type_names, {column: common.get(column, NO_TYPE) for column in wanted})


@contextmanager
def translate_read_errors(files: SegmentFiles, suppression: Sequence[tuple[StoragePath, str]] = ()) -> Iterator[None]:
    """Turn the engine's errors while rows are read into errors that name the file, the cause and the fix.

    Raises:
        NeedsMemory: the engine's memory was not enough for the files' pages.
        RetryableError: a disk or a store failed for a moment, or a file was replaced.
        InvalidSegment: a file is damaged, encrypted, not UTF-8, missing, or may not be read.
    """
    try:
        yield
        diagnosis.check_unchanged(files)
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.InternalException):
        raise  # an error of this provider, not of the file
    except duckdb.OutOfMemoryException:
        raise NeedsMemory from None
    except duckdb.Error as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise RetryableError(
                "The worker's disk is full, so the segment could not be de-duplicated. To fix: give the worker more "
                "space for temporary files (TMPDIR)."
            ) from None
        reason = diagnosis.find_cause(files, suppression, error)
        raise reason from None  # the engine's own message quotes values
    except OSError as error:
        read = {str(file.path) for file in files.files} | {str(path) for path, _ in suppression}
        if str(error.filename) not in read:
            raise  # a file of this provider
        raise diagnosis.find_cause(files, suppression, error) from None
