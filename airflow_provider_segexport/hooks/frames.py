"""Writes a frame to a Parquet file, which is then exported: `frame -> Parquet with the mapped columns`."""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import math
import pathlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidSegment, SegexportError
from airflow_provider_segexport.hooks import arguments
from airflow_provider_segexport.hooks.consent_arguments import proof_columns
from airflow_provider_segexport.hooks.numpy_scalars import scalar
from airflow_provider_segexport.storage.duckdb_engine import quoted
from airflow_provider_segexport.storage.parquet_tables import row_groups
from airflow_provider_segexport.storage.private import private_file
from airflow_provider_segexport.storage.scratch import scratch

if TYPE_CHECKING:
    import pandas as pd

MAX_SUGGESTED_NAMES = 10
"""Column names that an error shows at most, because a frame may have thousands."""

VIEWS = {"string_view": pa.string(), "binary_view": pa.binary()}
"""Arrow's view types, with the plain type for the same values."""

ROW_GROUP_ROWS = 131_072
"""Rows of a Parquet row group. A stream of small batches is collected up to this number, so that memory stays low."""


@contextmanager
def as_file(given: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Replace a frame in the arguments by the path of a Parquet file, which is deleted at the end.

    Args:
        given: the arguments of `hook.export`.

    Yields:
        The arguments, and a hash of the file's content; the hash is empty if the segment is no frame.

    Raises:
        InvalidSegment: a column is missing, or contains values that Parquet cannot store.
    """
    frame = given["segment"]
    if not hasattr(frame, "__arrow_c_stream__") and not _is_pandas(frame) and not _is_lazy(frame):
        yield dict(given), ""
        return
    with scratch("frame") as folder:
        path = private_file(folder / "segment.parquet")
        write_frame(frame, _mapped_columns(given), path)
        with path.open("rb") as file:
            content = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        yield {**given, "segment": str(path)}, f"{_type_name(frame)} {content}"


def _mapped_columns(given: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that an export reads."""
    columns: list[str] = []
    for name in ("field_mapping", "custom_fields"):
        if not arguments.is_empty(given[name]):
            columns += arguments.mapping(given[name], name).values()
    consent_column = given["consent_column"]
    if isinstance(consent_column, str) and not arguments.is_empty(consent_column):
        columns.append(arguments.text(consent_column, "consent_column"))
    columns += proof_columns(given)
    return list(dict.fromkeys(columns))


def write_frame(frame: Any, columns: Sequence[str], path: pathlib.Path) -> None:
    """Write a frame's columns as Parquet.

    Args:
        frame: a pandas DataFrame, a LazyFrame of Polars, or anything with the Arrow C stream protocol.
        columns: names of the columns to write.
        path: path of the file.

    Raises:
        InvalidSegment: a column is missing, exists twice, or contains values that Parquet cannot store.
    """
    try:
        reader = _from_pandas(frame, columns) if _is_pandas(frame) else _from_stream(frame, columns)
        schema = pa.schema([field.with_type(_file_type(field.type)) for field in reader.schema])
        with pq.ParquetWriter(path, schema) as out:
            for table in row_groups(reader, reader.schema, ROW_GROUP_ROWS):
                out.write_table(_without_views(table).cast(schema), ROW_GROUP_ROWS)
    except (pa.ArrowException, duckdb.Error) as error:  # their texts may quote a value
        raise InvalidSegment(
            f"The {_type_name(frame)} cannot be read as columns ({type(error).__name__}); its mapped columns are: "
            f"{', '.join(map(repr, columns))}. To fix: give each of them one type that Parquet has, or write the "
            "segment to Parquet and pass its path."
        ) from None


def _file_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in the file. View types are replaced, because not every Parquet reader supports them."""
    if pa.types.is_dictionary(kind):
        return _file_type(kind.value_type) if _is_view(kind.value_type) else kind
    return VIEWS.get(str(kind), kind)


def _is_view(kind: pa.DataType) -> bool:
    return str(kind) in VIEWS


def _without_views(table: pa.Table) -> pa.Table:
    """Replace dictionaries of views, which Polars writes for Categorical and Enum, because Arrow cannot cast them."""
    for number, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type) and _is_view(column.type.value_type):
            kind = _file_type(column.type)
            chunks = [
                pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(kind)).cast(kind)
                for chunk in column.chunks
            ]
            table = table.set_column(number, table.field(number).with_type(kind), pa.chunked_array(chunks, kind))
    return table


def _from_stream(frame: Any, columns: Sequence[str]) -> pa.RecordBatchReader:
    """Return a stream of the given columns only."""
    if _is_lazy(frame):
        frame = _collected(frame, columns)
    names = getattr(frame, "columns", None)
    if names is None and hasattr(frame, "to_frame"):
        raise InvalidSegment(f"A {_type_name(frame)} is a single column. To fix: pass `series.to_frame()`.")
    if isinstance(names, list) and all(isinstance(name, str) for name in names):  # Polars and DuckDB relations
        _check_columns(columns, names, frame)
        if isinstance(frame, duckdb.DuckDBPyRelation):
            frame = frame.project(", ".join(map(quoted, columns)))
        elif hasattr(frame, "select"):
            frame = frame.select(list(columns))
    reader = _reader(frame)
    _check_columns(columns, reader.schema.names, frame)
    schema = pa.schema([reader.schema.field(name) for name in columns])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(list(columns)) for batch in reader))


def _reader(frame: Any) -> pa.RecordBatchReader:
    """Return a frame's rows as a stream.

    PyArrow's own objects do not pass its C interface, where PyArrow 18 to 24 crash at views of text (tried 2026-11-28).
    """
    if isinstance(frame, pa.RecordBatchReader):
        return frame
    if isinstance(frame, pa.RecordBatch):
        frame = pa.Table.from_batches([frame])
    return frame.to_reader() if isinstance(frame, pa.Table) else pa.RecordBatchReader.from_stream(frame)


def _collected(frame: Any, columns: Sequence[str]) -> Any:
    """Run the query of a LazyFrame for the given columns."""
    try:
        _check_columns(columns, frame.collect_schema().names(), frame)
        return frame.select(list(columns)).collect()
    except SegexportError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "polars":
            raise
        raise InvalidSegment(  # the error's text is left out, because it may quote a value
            f"The query of the {_type_name(frame)} failed ({type(error).__name__}). To fix: run `frame.collect()` in "
            "the task that makes it, and correct the query."
        ) from None


def _from_pandas(frame: pd.DataFrame, columns: Sequence[str]) -> pa.RecordBatchReader:
    _check_columns(columns, [str(name) for name in frame.columns], frame)
    names = [str(name) for name in frame.columns]  # a name may be a number
    table = pa.table({name: _arrow_column(name, frame.iloc[:, names.index(name)]) for name in columns})
    return table.to_reader()


def _arrow_column(name: str, series: Any) -> pa.Array | pa.ChunkedArray:
    """Return a pandas column as Arrow; a column with several types as text."""
    try:
        try:
            column = pa.array(series, from_pandas=True)
        except (pa.ArrowException, TypeError, OverflowError):  # pyarrow's own errors, and Python's from its conversions
            column = pa.array([_value_as_text(name, value) for value in series], pa.string())
    except UnicodeEncodeError:  # the error's text quotes the value
        raise InvalidSegment(
            f"Column {name!r} of the DataFrame contains text that is not Unicode: half of a surrogate pair, as from a "
            "file that was read with errors='surrogateescape'. To fix: replace such characters, for example with "
            f"frame[{name!r}].str.encode('utf-8', 'replace').str.decode('utf-8')."
        ) from None
    _check_dates(name, series, column)
    return column


def _check_dates(name: str, series: Any, column: pa.Array | pa.ChunkedArray) -> None:
    """Check that times of several zones, which Arrow converts to the zone of the first, keep their dates.

    Raises:
        InvalidSegment: one has another date in that zone, so a birthdate would be a day early or late.
    """
    if series.dtype != object or not pa.types.is_timestamp(column.type):
        return
    local = (value and value.date() for value in column.to_pylist())
    own = (value.date() if isinstance(value, dt.datetime) else value for value in series)
    if any(
        day is not None and isinstance(before, dt.date) and before != day
        for before, day in zip(own, local, strict=True)
    ):
        raise InvalidSegment(
            f"Column {name!r} of the DataFrame contains times of several time zones, so their dates are ambiguous. To "
            f"fix: give them one zone, such as frame[{name!r}] = pandas.to_datetime(frame[{name!r}], utc=True)"
            ".dt.tz_convert('Europe/Berlin'); or, for a date, keep only the dates."
        )


def _value_as_text(name: str, value: Any) -> str | None:
    """Return a scalar as text; None for a null."""
    value = scalar(value)
    is_nan = (isinstance(value, float) and math.isnan(value)) or (isinstance(value, Decimal) and value.is_nan())
    if value is None or type(value).__name__ in {"NAType", "NaTType"} or is_nan:
        return None
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | Decimal():
            plain = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
            return plain.removesuffix(".0")
        case dt.date():
            return value.isoformat()
        case _:
            pass
    raise InvalidSegment(
        f"Column {name!r} of the DataFrame contains a value of type {type(value).__name__} among others. To fix: "
        f"give the column one type, such as frame[{name!r}] = frame[{name!r}].astype('string')."
    )


def _check_columns(columns: Sequence[str], names: Sequence[str], frame: Any) -> None:
    """Check that each column exists exactly once.

    Raises:
        InvalidSegment: a column is missing, or exists several times.
    """
    occurrences = Counter(names)
    for column in columns:
        if occurrences[column] > 1:
            raise InvalidSegment(
                f"The {_type_name(frame)} has column {column!r} {counted(occurrences[column], 'time')}. To fix: rename "
                "or drop all but one."
            )
        if not occurrences[column]:
            index = getattr(getattr(frame, "index", None), "names", ())
            if column in index:
                raise InvalidSegment(
                    f"The {_type_name(frame)} has {column!r} as its index, and no such column. To fix: pass "
                    "`frame.reset_index()`."
                )
            nearest = difflib.get_close_matches(column, occurrences, n=MAX_SUGGESTED_NAMES, cutoff=0.0)
            raise InvalidSegment(
                f"The {_type_name(frame)} has no column {column!r}. Nearest of its "
                f"{counted(len(occurrences), 'column')}: {', '.join(map(repr, nearest)) or 'none'}. To fix: correct "
                "the name in the mapping, or add it."
            )


def _is_pandas(frame: Any) -> bool:
    """Return whether a frame is a pandas DataFrame, or one of a subclass, such as a GeoDataFrame."""
    libraries = {kind.__module__.partition(".")[0] for kind in type(frame).__mro__}
    return "pandas" in libraries and hasattr(frame, "columns")


def _is_lazy(frame: Any) -> bool:
    """Return whether a frame is a Polars LazyFrame, whose query is run for the given columns only."""
    return hasattr(frame, "collect_schema") and hasattr(frame, "collect")


def _type_name(frame: Any) -> str:
    return type(frame).__name__
