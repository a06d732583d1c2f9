"""Builds one SQL relation of all rows of a segment's files, with column names and row numbers that no file influences.

DuckDB's reader gets a schema, so it binds only the mapped columns, each under an internal name and with the segment's
type. Any other column is neither read nor visible to SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from airflow_provider_segexport.segment_files.column_types import NO_TYPE, Conversion, conversion, is_converted
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal, quoted
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles

NO_COLUMN = "segexport reads no column"
"""Name of a column that no file has, for a schema without columns. With an empty schema the reader would return all
columns, and the name of one could be that of a column that DuckDB adds."""


@dataclass(frozen=True, slots=True)
class Read:
    """One column of the relation.

    Attributes:
        name: name of the column in the relation; not `row`.
        column: name of the column in the files.
        as_date: read a timestamp as its date in the column's own time zone. Otherwise it is read in UTC.
    """

    name: str
    column: str
    as_date: bool = False


def relation(engine: Engine, files: SegmentFiles, reads: Sequence[Read]) -> str:
    """Return SQL of all rows: `row`, numbered over all files from 0, and the requested columns.

    Args:
        engine: the engine that reads the files.
        files: the files of the segment, in reading order.
        reads: the columns to read.
    """
    parts = (_part(engine, list(alike), reads, files) for _, alike in _alike(files, reads))
    return f"({' union all '.join(parts)})"


def _alike(files: SegmentFiles, reads: Sequence[Read]) -> Iterator[tuple[object, Iterator[SegmentFile]]]:
    """Group consecutive files whose columns are read in the same way."""
    return groupby(
        files.files, lambda file: (_conversions(file, reads, files), set(file.partitions), _not_read(file, files))
    )


def _not_read(file: SegmentFile, files: SegmentFiles) -> set[str]:
    """Return the columns that hold only nulls in a file, and whose type there the reader cannot convert.

    Other columns without a value are read, so that the file needs no scan of its own.
    """
    return {column for column in file.empty if not is_converted(file.types[column], files.types[column])}


def _conversions(file: SegmentFile, reads: Sequence[Read], files: SegmentFiles) -> list[Conversion]:
    conversions = []
    for read in reads:
        wide = files.types.get(read.column, NO_TYPE)
        kind = NO_TYPE if read.column in file.empty else file.types.get(read.column, wide)
        conversions.append(conversion(kind, wide, as_date=read.as_date))
    return conversions


def _part(engine: Engine, alike: Sequence[SegmentFile], reads: Sequence[Read], files: SegmentFiles) -> str:
    """Return SQL of the rows of files that are read in the same way.

    The reader accepts a name once, so a column that is requested twice is read once.
    """
    conversions = _conversions(alike[0], reads, files)
    types = {read.column: conversion.type for read, conversion in zip(reads, conversions, strict=True)}
    sources = {column: _from_path(alike, column) for column in types if column in alike[0].partitions}
    sources |= {column: f"null::{types[column]}" for column in types if column in _not_read(alike[0], files)}
    types = {column: kind for column, kind in types.items() if column not in sources} or {NO_COLUMN: "varchar"}
    names = {column: f"c{number}" for number, column in enumerate(types)}
    schema = ", ".join(
        f"{literal(column)}: {{name: '{names[column]}', type: '{kind}', default_value: null}}"
        for column, kind in types.items()
    )
    values = "".join(
        f", {conversion.sql.replace('{}', sources.get(read.column) or names[read.column])} as {quoted(read.name)}"
        for read, conversion in zip(reads, conversions, strict=True)
    )
    first_rows = [file.first_row for file in alike]
    scan = engine.scan([file.path for file in alike], f", schema=map {{{schema}}}")
    return f"""select list_extract({first_rows}::bigint[], file_index::bigint + 1) + file_row_number as row{values}
        from {scan}"""


def _from_path(files: Sequence[SegmentFile], column: str) -> str:
    """Return SQL of a column that only the paths of the files have."""
    values = [file.partitions[column] for file in files]
    listed = ", ".join("null" if value is None else literal(value) for value in values)
    return f"list_extract([{listed}]::varchar[], file_index::bigint + 1)"


def mixed_types(files: SegmentFiles) -> Iterator[tuple[str, tuple[str, pa.DataType], tuple[str, pa.DataType]]]:
    """Yield columns with more than one type: the column, and names and types of the first two files that differ."""
    for column in files.types:
        kinds = [(file, NO_TYPE if column in file.empty else file.types.get(column, NO_TYPE)) for file in files.files]
        typed = [(file.name, kind) for file, kind in kinds if kind != NO_TYPE]
        other = next((file for file in typed if file[1] != typed[0][1]), None)
        if other is not None:
            yield column, typed[0], other
