"""Finds out why DuckDB could not read a segment's rows, by reading the files again one after the other.

DuckDB's errors do not name the file and the cause reliably, and they quote values.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from airflow_provider_segexport.errors import InvalidSegment, RetryableError, SegexportError
from airflow_provider_segexport.segment_files.parquet_reading import (
    check_not_replaced,
    encrypted_error,
    open_parquet,
    small_batches,
)
from airflow_provider_segexport.segment_files.rows import Read, mixed_types, relation
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles

ENGINE_MEMORY = "1GB"


def check_unchanged(files: SegmentFiles) -> None:
    """Check that no file was replaced since its footer was read.

    Rows are read more than once. If a file were replaced in between, one person's values would be combined with another
    person's email.

    Raises:
        RetryableError: a file was replaced.
    """
    for file in files.files:
        check_not_replaced(file.path, file.name, file.version)


def find_cause(files: SegmentFiles, suppression: Sequence[tuple[StoragePath, str]], error: Exception) -> SegexportError:
    """Return the error to raise for an error of DuckDB.

    Args:
        files: the segment.
        suppression: the suppression files and their names.
        error: DuckDB's error.
    """
    try:
        check_unchanged(files)
        for file in files.files:
            _read(file.path, file.name, list(file.types))
        for path, name in suppression:
            _read(path, name, None)
        _read_by_engine(files)
    except SegexportError as reason:
        return reason
    names = ", ".join(file.name for file in files.files[:3])
    more = f" and {len(files.files) - 3} more" if len(files.files) > 3 else ""  # noqa: PLR2004 - as above
    return RetryableError(
        f"The rows of {names}{more} could not be read ({type(error).__name__}), but each file could be read when it "
        "was tried again: a disk or an object store failed for a moment. The next attempt reads them again."
    )


def _read(path: StoragePath, name: str, columns: Sequence[str] | None) -> None:
    """Read the mapped columns of a file and check every value."""
    with open_parquet(path, name) as (parquet, _):
        for batch in small_batches(parquet, columns):
            batch.validate(full=True)


def _read_by_engine(files: SegmentFiles) -> None:
    """Let DuckDB read each file alone, first with the file's own types, then with the segment's types."""
    reads = [Read(f"value_{number}", column) for number, column in enumerate(files.types)]
    counts = ", ".join(f"count({read.name})" for read in reads)
    with engine(ENGINE_MEMORY) as sql:
        for file in files.files:
            own_types = SegmentFiles((file,), {}, {}, {**files.types, **file.types})
            try:
                sql.rows(f"select {counts} from {relation(sql, own_types, reads)}")
            except duckdb.Error as error:
                raise _unreadable_error(file, error, _unreadable_columns(sql, file)) from None
            try:
                sql.rows(f"select {counts} from {relation(sql, SegmentFiles((file,), {}, {}, files.types), reads)}")
            except duckdb.Error:
                raise outside_common_type_error(files) from None


def _unreadable_columns(sql: Engine, file: SegmentFile) -> list[str]:
    """Return the columns that DuckDB cannot read on their own, with the file's own types."""
    unreadable = []
    for column in file.types:
        own_type = SegmentFiles((file,), {}, {}, {column: file.types[column]})
        try:
            sql.rows(f"select count(value) from {relation(sql, own_type, [Read('value', column)])}")
        except duckdb.Error:
            unreadable.append(column)
    return unreadable


def _unreadable_error(file: SegmentFile, error: duckdb.Error, columns: Sequence[str]) -> InvalidSegment:
    if "crypt" in str(error).lower():
        return encrypted_error(file.name)
    if columns:
        return InvalidSegment(
            f"Column {', '.join(map(repr, columns))} of {file.name} cannot be read ({type(error).__name__}): a value "
            "is outside its type, such as a time after the year 294246 or JSON that is malformed, or the engine does "
            "not know the column's encoding. To fix: correct the values, and write the column with its writer's "
            "default encoding, or as text."
        )
    return InvalidSegment(
        f"The rows of {file.name} cannot be read ({type(error).__name__}): the engine does not understand the file. "
        "To fix: write it again with a current version of its writer."
    )


def outside_common_type_error(files: SegmentFiles) -> InvalidSegment:
    """Return the error for a value that the common type of the files does not hold exactly."""
    pairs = [
        f"column {column!r} is {first[1]} in {first[0]} and {other[1]} in {other[0]}"
        for column, first, other in mixed_types(files)
    ]
    return InvalidSegment(
        f"Files of one segment have different types, and a value fits no type that holds both exactly: "
        f"{'; '.join(pairs)}. To fix: write every file of the segment with the same type."
    )
