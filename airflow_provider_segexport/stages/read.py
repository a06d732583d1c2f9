"""Proves that a segment's files can be read: `files -> SegmentFiles`. No row is read yet."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.contract import ColumnType
from airflow_provider_segexport.errors import BadSegment, TryAgain
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.segment import SegmentFile, SegmentFiles


def inspect(places: Sequence[tuple[Place, str]], wanted: Sequence[str]) -> SegmentFiles:
    """Read every file's footer. The wanted columns must be in all of them, with one type."""
    files: list[SegmentFile] = []
    columns: dict[str, ColumnType | None] = {}
    words: dict[str, str] = {}
    first_row = 0
    for place, name in places:
        rows, schema = _footer(place, name)
        here = {field.name: column_type(field.type) for field in schema}
        missing = [column for column in wanted if column not in here]
        if missing:
            raise BadSegment(
                f"{name} has no column {', '.join(map(repr, missing))}, which data matching names. "
                f"It has: {', '.join(here) or 'none'}."
            )
        _unmistakable(schema.names, wanted, name)
        for column in wanted:
            if empty_type(schema.field(column).type):
                continue  # nothing is in it, so it fits any type
            if columns.setdefault(column, here[column]) != here[column]:
                raise BadSegment(
                    f"Column {column!r} is {schema.field(column).type} in {name} and {words[column]} in an earlier "
                    "file. Files of one segment need one type for each matched column."
                )
            words.setdefault(column, str(schema.field(column).type))
        files.append(SegmentFile(place, name, rows, first_row))
        first_row += rows
    nothing: dict[str, ColumnType | None] = dict.fromkeys(wanted, "text")
    return SegmentFiles(tuple(files), {**nothing, **columns}, {**dict.fromkeys(wanted, "null"), **words})


def _unmistakable(names: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """The engine does not tell columns apart by case: a matched one must have no namesake."""
    counted = Counter(name.lower() for name in names)
    twice = {name for name in wanted if counted[name.lower()] > 1}
    if twice:
        alike = sorted({name for name in names if name.lower() in {one.lower() for one in twice}})
        raise BadSegment(
            f"{file} has more than one column {', '.join(map(repr, alike))}, but for upper and lower case. "
            "Leave one of them."
        )


def _footer(place: Place, name: str) -> tuple[int, pa.Schema]:
    try:
        with place.open("rb") as file:
            parquet = pq.ParquetFile(file, pre_buffer=False)
            return parquet.metadata.num_rows, parquet.schema_arrow
    except pa.ArrowException as error:
        raise BadSegment(
            f"{name} is not a readable Parquet file ({type(error).__name__}): it is cut short, still being written, "
            "or something else. Write it again."
        ) from error
    except OSError as error:
        if error.errno is None:  # Arrow's own, of a footer that makes no sense
            words = f"{name} is not a readable Parquet file: its footer is damaged. Write it again."
            raise BadSegment(words) from error
        raise BadSegment(f"{name} cannot be opened: {error.strerror}.") from error


def empty_type(kind: pa.DataType) -> bool:
    """The type of a column in which every value is null, as pandas writes it."""
    return bool(pa.types.is_null(kind))


def column_type(kind: pa.DataType) -> ColumnType | None:
    """The type in data matching's words; None where no field takes it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks: list[tuple[ColumnType, bool]] = [
        ("text", pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)),
        ("integer", pa.types.is_integer(kind)),
        ("decimal", pa.types.is_floating(kind) or pa.types.is_decimal(kind)),
        ("boolean", pa.types.is_boolean(kind)),
        ("date", pa.types.is_date(kind)),
        ("timestamp", pa.types.is_timestamp(kind)),
    ]
    return next((name for name, holds in checks if holds), None)


@contextmanager
def readable(files: SegmentFiles) -> Iterator[None]:
    """What the engine says of broken pages and bad bytes inside a file, in words for the reader of the log."""
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.InternalException):
        raise  # a mistake of ours, not of the file's
    except duckdb.OutOfMemoryException:
        raise TryAgain("The worker's memory or disk is full: the segment could not be sorted out.") from None
    except duckdb.Error as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise TryAgain("The worker's disk is full: the segment could not be sorted out.") from None
        names = ", ".join(file.name for file in files.files[:3])
        raise BadSegment(
            f"The rows of {names} cannot be read ({type(error).__name__}): a page is damaged, or text is not UTF-8. "
            "Write the segment again."
        ) from None  # the engine's own words quote values
