"""Writes Arrow and Parquet files atomically with checksums, and reads Arrow files by record batch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import count
from operator import eq
from types import TracebackType
from typing import IO, Any, Self, overload

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.storage import local_copies
from airflow_provider_segexport.storage.arrow import int_array, raw_bytes
from airflow_provider_segexport.storage.durable import make_folder, replace
from airflow_provider_segexport.storage.opening import check_regular
from airflow_provider_segexport.storage.parquet_tables import row_groups
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, temp_name
from airflow_provider_segexport.storage.private import private_file
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.storage.sealing import EMPTY, SEAL, context_of, seal

DISTINCT_COLUMNS = frozenset({"email", "contact_id"})
"""Columns with as many distinct values as rows. Parquet would build a dictionary of them and then discard it."""

ROW_GROUP_ROWS, ROW_GROUP_BYTES = 32_768, 8 * 1024 * 1024
"""A row group of a Parquet file is written when it has these rows or bytes. A million rows of a ledger take 0.21 s in
groups of 32,768, 0.26 s in groups of 8,192, and 0.19 s in one group, which takes much memory (2026-11)."""


def _with_seal(schema: pa.Schema) -> pa.Schema:
    """Return the schema with a placeholder for the file's checksum."""
    return schema.with_metadata({**(schema.metadata or {}), SEAL: EMPTY})


class AtomicFile:
    """A file that gets its name and checksum when it is closed without an error.

    A file for object storage is written to a temporary folder first, because its checksum is known only at its end.

    Args:
        path: the file.
        context: the text that its checksum starts from (`sealing.context_of`); empty for the end of `path`.
    """

    def __init__(self, path: StoragePath, context: str = "") -> None:
        self._target = path
        self._context = context or context_of(path)
        self._cleanup = ExitStack()
        self._path = as_local_path(path)
        if self._path is not None:
            make_folder(self._path.parent)
            self._temp = private_file(temp_name(self._path))
        else:
            self._temp = self._cleanup.enter_context(scratch("upload")) / path.name
        # A file of Arrow, because a Python file takes a Python call for each buffer of a batch.
        self.file: IO[Any] = pa.OSFile(str(self._temp), "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
            if error is None:
                seal(self._temp, self._context)
                self._publish()
        finally:
            self._temp.unlink(missing_ok=True)
            self._cleanup.close()

    def _publish(self) -> None:
        """Give the complete file its name, or store it."""
        if self._path is not None:
            replace(self._temp, self._path)
            return
        local_copies.store(self._target, self._temp)


class ArrowFileWriter(AtomicFile):
    """An Arrow IPC file whose record batches can be read by number."""

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
        try:
            self._writer.close()
        except BaseException as failure:  # the disk is full: the temporary file is deleted, as after any other error
            super().__exit__(type(failure), failure, failure.__traceback__)
            raise
        super().__exit__(kind, error, trace)


class LazyBatch:
    """A record batch of a file that is read on access, and read again after `release`.

    A thousand batches may wait for their jobs at the vendor, and most of them are never read again.

    Args:
        read: returns the record batch with the given columns.
        parts: groups of columns that are read together. The first group is also read for the number of rows.
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
        """The number of rows."""
        if self._rows is None:
            self._part(self._first)
        return self._rows or 0

    def _part(self, part: tuple[str, ...]) -> pa.RecordBatch:
        batch = self._held.get(part)  # one lookup, because another thread may release the batch at any moment
        if batch is None:
            batch = self._held[part] = self._read(part)
            self._rows = batch.num_rows
        return batch

    def release(self) -> None:
        """Release the memory of the batch."""
        self._held = {}
        self._lists = {}

    def _column(self, column: str) -> pa.Array:
        return self._part(self._part_of[column]).column(column)

    def values(self, column: str, without: str = "") -> list[Any]:
        """Return a column as Python objects, created on first access. The suffix `without` is cut off each text."""
        objects = self._lists.get(column)
        if objects is None:
            objects = self._column(column).to_pylist()
            if without:
                objects = [text.removesuffix(without) for text in objects]
            self._lists[column] = objects
        return objects

    def take(self, column: str, indexes: Sequence[int]) -> pa.Array:
        """Return some entries of a column, without creating Python objects."""
        array = self._column(column)
        is_whole = len(indexes) == len(array) and all(map(eq, indexes, count()))
        return array if is_whole else array.take(int_array(indexes))

    def raw_bytes(self, column: str) -> memoryview:
        """Return the concatenated texts of a column, without a copy."""
        return raw_bytes(self._column(column))


class LazyColumn(Sequence[Any]):
    """A column of a `LazyBatch` as a Python sequence.

    Args:
        stored: the batch that the column belongs to.
        column: name of the column.
        without: suffix that is removed from each text; empty for none.
    """

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
        """Return some entries as an Arrow array."""
        return self._stored.take(self._column, indexes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return id(self)


class ArrowReader:
    """Random access to the record batches of an Arrow IPC file, with all or some columns. Threads may share it."""

    def __init__(self, path: StoragePath, columns: Sequence[str] | None = None) -> None:
        self._target = path
        self._columns = tuple(columns) if columns is not None else None
        local = local_copies.local_of(path)
        check_regular(local)
        self._file: Any = path.open("rb") if local is None else pa.OSFile(str(local))
        self._one_at_a_time = threading.Lock()
        self._readers: dict[tuple[str, ...] | None, pa.RecordBatchFileReader] = {}
        self._reader = self._of(self._columns)

    def _of(self, columns: tuple[str, ...] | None) -> pa.RecordBatchFileReader:
        """Return a reader of some columns. It uses no thread pool, which takes longer than it saves for few columns."""
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
        """The schema of the file."""
        return self._reader.schema

    def batch(self, number: int, columns: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """Return a record batch by its number from 0, with the given columns or the reader's own.

        Any thread may call it. A closed file is opened again.
        """
        columns = columns or self._columns
        with self._one_at_a_time:
            if not self._file.closed:
                return self._of(columns).get_batch(number)
        with closing(ArrowReader(self._target, columns)) as reopened:
            return reopened.batch(number)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for number in range(len(self)):
            yield self.batch(number)

    def close(self) -> None:
        """Close the file after the current read."""
        with self._one_at_a_time:
            self._file.close()


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the file's types. Without a difference it is not cast, which would take as long."""
    return batch if batch.schema.equals(schema) else batch.cast(schema)


def write_parquet(
    path: StoragePath,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    context: str = "",
    *,
    metadata: Callable[[], Mapping[bytes, bytes]] = dict,
) -> int:
    """Write a stream as one Parquet file, and return its number of rows.

    Args:
        path: the file.
        batches: the rows.
        schema: the columns.
        context: the text that the checksum starts from (`sealing.context_of`), if the file gets its final name later.
        metadata: called after the last batch; returns entries of the file's metadata that depend on the rows.
    """
    rows, schema = 0, _with_seal(schema)
    repetitive = [
        field.name for field in schema if pa.types.is_string(field.type) and field.name not in DISTINCT_COLUMNS
    ]
    with (
        AtomicFile(path, context) as out,
        pq.ParquetWriter(out.file, schema, compression="zstd", use_dictionary=repetitive or False) as writer,
    ):
        parts = (_cast(batch, schema) for batch in batches)
        for group in row_groups(parts, schema, ROW_GROUP_ROWS, ROW_GROUP_BYTES):
            writer.write_table(group)
            rows += group.num_rows
        if entries := metadata():
            writer.add_key_value_metadata(dict(entries))
    return rows
