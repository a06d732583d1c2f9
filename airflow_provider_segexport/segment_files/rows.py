"""The rows of a segment's files as one SQL relation, under names and numbers that no file can influence.

The reader is given a schema, so it binds only the columns that are mapped, each under an internal name and with the
segment's type for it. A column of any other name is neither read nor visible to SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from airflow_provider_segexport.segment_files.column_types import NO_TYPE, Reading, reading
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal, quoted
from airflow_provider_segexport.storage.plan import SegmentFile, SegmentFiles

NO_COLUMN = "segexport reads no column"
"""Without any column in its schema the reader would show all, and one could be named like the engine's own."""


@dataclass(frozen=True, slots=True)
class Read:
    """One column of the relation.

    Attributes:
        name: in the relation; not `row`.
        column: in the files.
        as_date: a timestamp is read as its date, in the column's own zone, and otherwise in UTC.
    """

    name: str
    column: str
    as_date: bool = False


def relation(engine: Engine, files: SegmentFiles, reads: Sequence[Read]) -> str:
    """SQL of all rows: `row`, which counts over the files from 0, and the columns asked for."""
    parts = (_part(engine, list(alike), reads, files) for _, alike in _alike(files, reads))
    return f"({' union all '.join(parts)})"


def _alike(files: SegmentFiles, reads: Sequence[Read]) -> Iterator[tuple[object, Iterator[SegmentFile]]]:
    """Neighbouring files whose columns are read in the same way."""
    return groupby(files.files, lambda file: (_readings(file, reads, files), set(file.partitions)))


def _readings(file: SegmentFile, reads: Sequence[Read], files: SegmentFiles) -> list[Reading]:
    ways = []
    for read in reads:
        wide = files.types.get(read.column, NO_TYPE)
        ways.append(reading(file.types.get(read.column, wide), wide, as_date=read.as_date))
    return ways


def _part(engine: Engine, alike: Sequence[SegmentFile], reads: Sequence[Read], files: SegmentFiles) -> str:
    """SQL of the rows of files that are read in the same way.

    The reader takes a name once, so a column that is asked for twice is read once.
    """
    ways = _readings(alike[0], reads, files)
    types = {read.column: way.type for read, way in zip(reads, ways, strict=True)}
    sources = {column: _from_path(alike, column) for column in types if column in alike[0].partitions}
    types = {column: kind for column, kind in types.items() if column not in sources} or {NO_COLUMN: "varchar"}
    names = {column: f"c{number}" for number, column in enumerate(types)}
    schema = ", ".join(
        f"{literal(column)}: {{name: '{names[column]}', type: '{kind}', default_value: null}}"
        for column, kind in types.items()
    )
    values = "".join(
        f", {way.sql.replace('{}', sources.get(read.column) or names[read.column])} as {quoted(read.name)}"
        for read, way in zip(reads, ways, strict=True)
    )
    first_rows = [file.first_row for file in alike]
    scan = engine.scan([file.path for file in alike], f", schema=map {{{schema}}}")
    return f"""select list_extract({first_rows}::bigint[], file_index::bigint + 1) + file_row_number as row{values}
        from {scan}"""


def _from_path(files: Sequence[SegmentFile], column: str) -> str:
    """SQL of a column that only the paths of the files have."""
    values = [file.partitions[column] for file in files]
    listed = ", ".join("null" if value is None else literal(value) for value in values)
    return f"list_extract([{listed}]::varchar[], file_index::bigint + 1)"


def mixed(files: SegmentFiles) -> Iterator[tuple[str, tuple[str, pa.DataType], tuple[str, pa.DataType]]]:
    """Columns with more than one type: the column, and the names and types of the first two files that differ."""
    for column in files.types:
        typed = [(file.name, file.types[column]) for file in files.files if file.types.get(column, NO_TYPE) != NO_TYPE]
        other = next((file for file in typed if file[1] != typed[0][1]), None)
        if other is not None:
            yield column, typed[0], other
