"""Arrow and Parquet files in a run folder, written whole or not at all where the disk is local."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import IO, Any, Self, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from airflow_provider_segexport.ports.places import Place, half_of, on_disk

UNLIKE = frozenset({"email", "contact_id"})
"""Columns with as many values as rows: a dictionary of them is given up after all the work of making it."""


class Whole:
    """A file that appears under its name when it is closed without an error, and not before."""

    def __init__(self, place: Place) -> None:
        self._path = on_disk(place)
        self._half: pathlib.Path | None = None
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._half = half_of(self._path)
        self.file: IO[Any] = place.open("wb") if self._half is None else self._half.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        if self._half is None or self._path is None:
            return
        if error is None:
            self._half.replace(self._path)
        else:
            self._half.unlink(missing_ok=True)


class ArrowFile(Whole):
    """An Arrow IPC file whose record batches can be read one by one by number."""

    def __init__(self, place: Place, schema: pa.Schema) -> None:
        super().__init__(place)
        self._writer = pa.ipc.new_file(self.file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        self._schema = schema

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one record batch."""
        self._writer.write_batch(batch.cast(self._schema))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        super().__exit__(kind, error, trace)


class Values(Sequence[Any]):
    """A column as a Python sequence; its values are made when the first is asked for, and often none is."""

    def __init__(self, column: pa.Array) -> None:
        self._column = column

    @cached_property
    def _values(self) -> list[Any]:
        values: list[Any] = self._column.to_pylist()
        return values

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._values[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._values == list(other)

    def __hash__(self) -> int:
        return id(self)

    def joined(self, mark: str) -> bytes:
        """Texts with a mark between them, without a Python object of each."""
        one = pa.ListArray.from_arrays([0, len(self._column)], self._column)
        text: bytes = pc.binary_join(one, mark)[0].as_buffer().to_pybytes()
        return text


class ArrowReader:
    """Random access to an Arrow IPC file's record batches, with all columns or those that are named."""

    def __init__(self, place: Place, columns: Sequence[str] | None = None) -> None:
        path = on_disk(place)
        self._file: Any = place.open("rb") if path is None else pa.OSFile(str(path))
        numbers: list[int] | None = None
        if columns is not None:
            schema = pa.ipc.open_file(self._file).schema
            numbers = [schema.get_field_index(column) for column in columns]
        # A thread pool for three columns of a batch costs more than it saves.
        self._reader = pa.ipc.open_file(
            self._file, options=pa.ipc.IpcReadOptions(included_fields=numbers, use_threads=False)
        )

    def __len__(self) -> int:
        return int(self._reader.num_record_batches)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._reader.schema

    def batch(self, number: int) -> pa.RecordBatch:
        """One record batch by its number from 0."""
        return self._reader.get_batch(number)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for number in range(len(self)):
            yield self.batch(number)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def write_parquet(place: Place, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write a stream as one Parquet file, and tell its rows."""
    rows = 0
    alike = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in UNLIKE]
    with (
        Whole(place) as out,
        pq.ParquetWriter(out.file, schema, compression="zstd", use_dictionary=alike or False) as writer,
    ):
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch.cast(schema))
                rows += batch.num_rows
    return rows
