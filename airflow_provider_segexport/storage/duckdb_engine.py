"""Runs SQL in DuckDB with bounded memory; larger data spills into a private temporary folder."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import pyarrow as pa

from airflow_provider_segexport.storage.local_copies import readable
from airflow_provider_segexport.storage.opening import check_regular
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path
from airflow_provider_segexport.storage.scratch import scratch

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.literal_names import LiteralNames

MEMORY = "128MB"
BATCH_ROWS = 8_192

PLAIN_PATH = re.compile(r"/[\w./ =+,@:%~()'&#!$;-]*")
"""Local paths that DuckDB reads literally. It may take any other path for a pattern, now or in a later version."""

DATABASE = "engine"
"""The name of the database that holds an engine's tables. It is detached when the engine is closed."""

Content: TypeAlias = pa.Table | pa.RecordBatchReader

_idle: dict[int, list[duckdb.DuckDBPyConnection]] = {}
"""Instances that no engine uses, by process id, because a forked child must not use those of its parent."""


def quoted(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Iterable[str]) -> str:
    """Return texts as comma-separated SQL literals, sorted."""
    return ", ".join(map(literal, sorted(texts)))


def hashed(text: str) -> str:
    """Return SQL of a text's 64-bit hash, which is the same in all versions of DuckDB and on all machines."""
    # The same half of the MD5 as `md5_number_lower`, in half of its time.
    return f"(md5_number({text}) >> 64)::ubigint"


class Engine:
    """Runs SQL and returns results as Arrow record batches.

    Args:
        instance: of DuckDB, used by no other engine.
    """

    def __init__(self, instance: duckdb.DuckDBPyConnection) -> None:
        self._instance = instance
        instance.execute(f"attach ':memory:' as {DATABASE}")
        self._connection = self._session()
        self._names: LiteralNames | None = None

    def _session(self) -> duckdb.DuckDBPyConnection:
        """Return a new connection to the engine's database."""
        session = self._instance.cursor()
        session.execute(f"use {DATABASE}")
        return session

    def close(self) -> None:
        """Delete the engine's data."""
        self._connection.close()
        self._instance.execute(f"detach {DATABASE}")

    @property
    def is_reusable(self) -> bool:
        """Whether another engine may use the instance. An instance keeps a file system that was registered with it."""
        return self._names is None

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        with self._storage_errors():
            self._connection.execute(sql, list(values))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return a small result."""
        with self._storage_errors():
            rows: list[tuple[Any, ...]] = self._connection.execute(sql, list(values)).fetchall()
        return rows

    def single_row(self, sql: str) -> tuple[Any, ...]:
        """Return a result of one row."""
        return self.rows(sql)[0]

    def stream(self, sql: str, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield a result of any size in record batches. Other statements may run between them."""
        with self._storage_errors(), self._session() as session:
            yield from session.sql(sql).to_arrow_reader(rows)

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        """Raise the OSError of a file that could not be opened, instead of DuckDB's error that quotes it."""
        try:
            yield
        except duckdb.Error:
            failure = self._names.take_failure() if self._names is not None else None
            if failure is None:
                raise
            raise failure from None

    def table(self, name: str, content: Content) -> None:
        """Create or replace a table from an Arrow table or a stream of record batches."""
        self._read(content, f"create or replace table {quoted(name)} as select * from incoming")

    def append(self, name: str, content: Content, sql: str) -> None:
        """Insert rows into a table.

        Args:
            name: the table.
            content: the relation `incoming` of `sql`.
            sql: a select of the rows to insert.
        """
        self._read(content, f"insert into {quoted(name)} {sql}")

    def _read(self, content: Content, sql: str) -> None:
        self._connection.register("incoming", content)
        self.run(sql)
        self._connection.unregister("incoming")

    def address(self, path: StoragePath) -> str:
        """Return a file name for SQL that DuckDB opens as exactly this file.

        A plain local path is used as it is. For any other path the name holds a number, because DuckDB might read the
        path as a pattern.
        """
        path = readable(path)
        check_regular(path)
        local = as_local_path(path)
        if local is not None and PLAIN_PATH.fullmatch(absolute := str(local.absolute())):
            return absolute
        if self._names is None:
            from airflow_provider_segexport.storage.literal_names import LiteralNames  # noqa: PLC0415 - imports fsspec

            self._names = LiteralNames()
            self._connection.register_filesystem(self._names)
        return self._names.add(path)

    def scan(self, paths: Sequence[StoragePath], options: str = "") -> str:
        """Return an SQL table function that reads Parquet files, without columns from the names of folders."""
        names = ", ".join(literal(self.address(path)) for path in paths)
        return f"read_parquet([{names}], hive_partitioning=false{options})"


@contextmanager
def engine(memory: str = MEMORY) -> Iterator[Engine]:
    """Open an empty engine, and delete its data, which is personal, at the end.

    A DuckDB instance is kept for the next engine of the process, which gets a database of its own in it: opening one
    costs 20 to 30 ms of CPU, and a run opens six to nine (docs/decisions/0044-one-instance-for-many-engines.md).

    Args:
        memory: DuckDB's memory limit, such as `128MB`.
    """
    pa.default_memory_pool().release_unused()  # 60 MiB after sending, which the engine can use
    with scratch("spill") as spill:
        instance = _idle_instance(memory, spill) or _new_instance(memory, spill)
        try:
            opened = Engine(instance)
            yield opened
            opened.close()
        except BaseException:
            instance.close()
            raise
        if opened.is_reusable:
            _idle.setdefault(os.getpid(), []).append(instance)
        else:
            instance.close()


def _new_instance(memory: str, spill: pathlib.Path) -> duckdb.DuckDBPyConnection:
    instance = duckdb.connect(
        config={
            "memory_limit": memory,
            # One thread makes results the same on every machine, as the insertion order is preserved. More would hardly
            # help, because the vendors' rate limits bound an export and not the CPU.
            "threads": 1,
            "temp_directory": str(spill),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    # Joins keep the order of their left side. With swapped sides, rows would come in the order of a hash table.
    instance.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
    # The machine's time zone has no effect. `global`, because each cursor is a session of its own.
    instance.execute("set global TimeZone = 'UTC'")
    return instance


def _idle_instance(memory: str, spill: pathlib.Path) -> duckdb.DuckDBPyConnection | None:
    """Return an instance that no engine uses; None if there is none."""
    try:
        instance = _idle[os.getpid()].pop()
    except (KeyError, IndexError):
        return None
    try:
        instance.execute(f"set global temp_directory = {literal(str(spill))}")
        instance.execute(f"set global memory_limit = {literal(memory)}")
    except duckdb.Error:  # data has spilled into its former folder, and DuckDB does not let it change then
        instance.close()
        return None
    return instance
