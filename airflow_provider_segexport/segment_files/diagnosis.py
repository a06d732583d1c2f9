"""Finds out why the engine could not read a segment's rows: a second, careful reading of one file after the other.

The engine's errors name neither the file nor the cause reliably, and quote values.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from airflow_provider_segexport.errors import InvalidSegment, RetryableError, SegexportError
from airflow_provider_segexport.segment_files.parquet_reading import encrypted, opened, replaced, version
from airflow_provider_segexport.segment_files.rows import Read, mixed, relation
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.errors import meaning
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles

ROWS = 4_096
MEMORY = "1GB"


def unchanged(files: SegmentFiles) -> None:
    """Check that no file was replaced since its footer was read.

    Rows are read more than once, so a file replaced in between would mix one person's values with another's address.

    Raises:
        RetryableError: a file was replaced.
    """
    for file in files.files:
        if replaced(file.version, _version(file)):
            raise RetryableError(
                f"{file.name} was replaced or changed while it was read; nothing was sent from it. The next attempt "
                "reads the new one. To fix: start the export after the task that writes the segment has finished."
            )


def _version(file: SegmentFile) -> dict[str, str]:
    try:
        return version(file.path)
    except Exception as error:  # noqa: BLE001 - each store's library has errors of its own
        raise meaning(error, file.name) from None


def cause(files: SegmentFiles, suppression: Sequence[tuple[StoragePath, str]], error: Exception) -> SegexportError:
    """The error to raise for one of the engine's.

    Args:
        files: the segment.
        suppression: the suppression files and their names.
        error: the engine's.
    """
    try:
        unchanged(files)
        for file in files.files:
            _read(file.path, file.name, list(file.types))
        for place, name in suppression:
            _read(place, name, None)
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
    with opened(path, name) as (parquet, _):
        for batch in parquet.iter_batches(ROWS, columns=columns, use_threads=False):
            batch.validate(full=True)


def _read_by_engine(files: SegmentFiles) -> None:
    """Let the engine read each file on its own, in the file's own types first."""
    reads = [Read(f"value_{number}", column) for number, column in enumerate(files.types)]
    counts = ", ".join(f"count({read.name})" for read in reads)
    with engine(MEMORY) as sql:
        for file in files.files:
            own = SegmentFiles((file,), {}, {}, {**files.types, **file.types})
            try:
                sql.rows(f"select {counts} from {relation(sql, own, reads)}")
            except duckdb.Error as error:
                raise _unread(file, error) from None
            try:
                sql.rows(f"select {counts} from {relation(sql, SegmentFiles((file,), {}, {}, files.types), reads)}")
            except duckdb.Error:
                raise outside_common_type(files) from None


def _unread(file: SegmentFile, error: duckdb.Error) -> InvalidSegment:
    if "crypt" in str(error).lower():
        return encrypted(file.name)
    return InvalidSegment(
        f"The rows of {file.name} cannot be read ({type(error).__name__}): the engine does not understand the file. "
        "To fix: write it again with a current version of its writer."
    )


def outside_common_type(files: SegmentFiles) -> InvalidSegment:
    """The error for a value that the common type of two files' columns does not hold exactly."""
    pairs = [
        f"column {column!r} is {first[1]} in {first[0]} and {other[1]} in {other[0]}"
        for column, first, other in mixed(files)
    ]
    return InvalidSegment(
        f"Files of one segment have different types, and a value fits no type that holds both exactly: "
        f"{'; '.join(pairs)}. To fix: write every file of the segment with the same type."
    )
