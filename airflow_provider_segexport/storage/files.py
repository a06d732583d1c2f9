"""Arrow and Parquet files in a run folder, written whole or not at all where the disk is local."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import count
from operator import eq
from types import TracebackType
from typing import IO, Any, Self, overload

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.storage.arrow import int_array, raw_bytes
from airflow_provider_segexport.storage.durable import COPY_BYTES, make_folder, replace
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, temp_name, translate_storage_errors
from airflow_provider_segexport.storage.private import private_file
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.storage.sealing import EMPTY, SEAL, context_of, seal

DISTINCT_COLUMNS = frozenset({"email", "contact_id"})
"""Columns with as many values as rows: a dictionary of them is given up after all the work of making it."""


def _with_seal(schema: pa.Schema) -> pa.Schema:
    """The schema with room for the file's checksum."""
    return schema.with_metadata({**(schema.metadata or {}), SEAL: EMPTY})


class AtomicFile:
    """A file that appears under its name when it is closed without an error, with its checksum, and not before.

    On its way to object storage it lies in a folder for temporary files, because its checksum is known at its end.
    """

    def __init__(self, path: StoragePath, context: str = "") -> None:
        self._place = path
        self._context = context or context_of(path)
        self._aside = ExitStack()
        self._path = as_local_path(path)
        if self._path is not None:
            make_folder(self._path.parent)
            self._half = private_file(temp_name(self._path))
        # Arrow's own file: through one of Python's, each of a batch's buffers is a call.
        else:
            self._half = self._aside.enter_context(scratch("upload")) / path.name
        self.file: IO[Any] = pa.OSFile(str(self._half), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()
        try:
            if error is None:
                seal(self._half, self._context)
                self._appear()
        finally:
            self._half.unlink(missing_ok=True)
            self._aside.close()

    def _appear(self) -> None:
        if self._path is not None:
            replace(self._half, self._path)
            return
        with self._half.open("rb") as source, translate_storage_errors(self._place), self._place.open("wb") as file:
            shutil.copyfileobj(source, file, COPY_BYTES)


class ArrowFileWriter(AtomicFile):
    """An Arrow IPC file whose record batches can be read one by one by number."""

    def __init__(self, path: StoragePath, schema: pa.Schema) -> None:
        super().__init__(path)
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._schema = _with_seal(schema)
        self._writer = pa.ipc.new_file(self.file, self._schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one record batch."""
        self._writer.write_batch(_cast(batch, self._schema))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        super().__exit__(kind, error, trace)


class LazyBatch:
    """A record batch of a file, in memory while it is needed: let go of, it is read again when it is asked for.

    A thousand batches may wait for their jobs at the vendor, and most of them are never looked at again.

    Args:
        read: reads the columns that it is told.
        parts: columns that are needed together; the first part is read for the number of rows too.
    """

    def __init__(self, read: Callable[[tuple[str, ...]], pa.RecordBatch], *parts: tuple[str, ...]) -> None:
        self._read = read
        self._part_of = {column: part for part in parts for column in part}
        self._first = parts[0]
        self._rows: int | None = None
        self._held: dict[tuple[str, ...], pa.RecordBatch] = {}
        self._lists: dict[str, list[Any]] = {}

    @property
    def rows(self) -> int:
        """How many there are."""
        if self._rows is None:
            self._part(self._first)
        return self._rows or 0

    def _part(self, part: tuple[str, ...]) -> pa.RecordBatch:
        found = self._held.get(part)  # another thread may let go at any moment
        if found is None:
            found = self._held[part] = self._read(part)
            self._rows = found.num_rows
        return found

    def release(self) -> None:
        """Keep nothing of it in memory."""
        self._held = {}
        self._lists = {}

    def _column(self, column: str) -> pa.Array:
        return self._part(self._part_of[column]).column(column)

    def values(self, column: str, without: str = "") -> list[Any]:
        """A column as Python objects, made when the first is asked for; texts without what they all end with."""
        found = self._lists.get(column)
        if found is None:
            found = self._column(column).to_pylist()
            if without:
                found = [text.removesuffix(without) for text in found]
            self._lists[column] = found
        return found

    def take(self, column: str, indexes: Sequence[int]) -> pa.Array:
        """Some entries of a column, without a Python object of each."""
        found = self._column(column)
        in_order = len(indexes) == len(found) and all(map(eq, indexes, count()))
        return found if in_order else found.take(int_array(indexes))

    def raw_bytes(self, column: str) -> memoryview:
        """The texts of a column one behind the other, as they lie in memory: to join them would copy them."""
        return raw_bytes(self._column(column))


class LazyColumn(Sequence[Any]):
    """A column of a stored batch as a Python sequence; of texts that all end alike, without their ends."""

    def __init__(self, stored: LazyBatch, column: str, without: str = "") -> None:
        self._stored = stored
        self._column = column
        self._without = without

    def __len__(self) -> int:
        return self._stored.rows

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...

    def __getitem__(self, index: int | slice) -> Any:
        return self._stored.values(self._column, self._without)[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stored.values(self._column, self._without))

    def take(self, indexes: Sequence[int]) -> pa.Array:
        """Some entries as a column."""
        return self._stored.take(self._column, indexes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return id(self)


class ArrowReader:
    """Random access to an Arrow IPC file's record batches, with all columns or those that are named."""

    def __init__(self, place: StoragePath, columns: Sequence[str] | None = None) -> None:
        self._place = place
        self._columns = tuple(columns) if columns is not None else None
        path = as_local_path(place)
        self._file: Any = place.open("rb") if path is None else pa.OSFile(str(path))
        self._one_at_a_time = threading.Lock()
        self._readers: dict[tuple[str, ...] | None, pa.RecordBatchFileReader] = {}
        self._reader = self._of(self._columns)

    def _of(self, columns: tuple[str, ...] | None) -> pa.RecordBatchFileReader:
        """A reader of some columns. A thread pool for three columns of a batch costs more than it saves."""
        if columns not in self._readers:
            options = pa.ipc.IpcReadOptions(use_threads=False)
            if columns is not None:
                schema = pa.ipc.open_file(self._file).schema
                options.included_fields = [schema.get_field_index(column) for column in columns]
            self._readers[columns] = pa.ipc.open_file(self._file, options=options)
        return self._readers[columns]

    def __len__(self) -> int:
        return int(self._reader.num_record_batches)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._reader.schema

    def batch(self, number: int, columns: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """One record batch by its number from 0, with the reader's columns or with these.

        Any thread may ask, and a closed file is opened again for it.
        """
        columns = columns or self._columns
        with self._one_at_a_time:
            if not self._file.closed:
                return self._of(columns).get_batch(number)
        with closing(ArrowReader(self._place, columns)) as again:
            return again.batch(number)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for number in range(len(self)):
            yield self.batch(number)

    def close(self) -> None:
        """Close the file, when nobody reads in it."""
        with self._one_at_a_time:
            self._file.close()


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the file's own types; a cast that changes nothing costs as much as one that does."""
    return batch if batch.schema.equals(schema) else batch.cast(schema)


def write_parquet(path: StoragePath, batches: Iterable[pa.RecordBatch], schema: pa.Schema, context: str = "") -> int:
    """Write a stream as one Parquet file, and tell its rows.

    Args:
        path: the file.
        batches: its content.
        schema: its columns.
        context: what its checksum starts from (`sealing.context_of`), if the file gets its name later.
    """
    rows, schema = 0, _with_seal(schema)
    alike = [field.name for field in schema if pa.types.is_string(field.type) and field.name not in DISTINCT_COLUMNS]
    with (
        AtomicFile(path, context) as out,
        pq.ParquetWriter(out.file, schema, compression="zstd", use_dictionary=alike or False) as writer,
    ):
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(_cast(batch, schema))
                rows += batch.num_rows
    return rows
