"""The columnar engine: one DuckDB of bounded memory that spills into a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import duckdb
import pyarrow as pa

from airflow_provider_segexport.storage.paths import StoragePath, as_local_path
from airflow_provider_segexport.storage.scratch import scratch

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.literal_names import LiteralNames

MEMORY = "128MB"
BATCH_ROWS = 8_192

PLAIN = re.compile(r"/[\w./ =+,@:%~()'&#!$;-]*")
"""Local paths that the engine takes as they are. Others may be patterns to it, today or in a later version."""

Content: TypeAlias = pa.Table | pa.RecordBatchReader


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def listed(texts: Iterable[str]) -> str:
    """Texts as a list in SQL, without its brackets."""
    return ", ".join(map(literal, sorted(texts)))


def hashed(text: str) -> str:
    """SQL of a text's hash, stable over versions and machines."""
    # The half of md5 that `md5_number_lower` tells, in half its time.
    return f"(md5_number({text}) >> 64)::ubigint"


class Engine:
    """Runs SQL; results leave as Arrow record batches."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._names: LiteralNames | None = None

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """Run a statement for its effect."""
        self._connection.execute(sql, list(values))

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """A small result."""
        found: list[tuple[Any, ...]] = self._connection.execute(sql, list(values)).fetchall()
        return found

    def one(self, sql: str) -> tuple[Any, ...]:
        """A result of one row."""
        return self.rows(sql)[0]

    def stream(self, sql: str, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """A result of any size, a record batch at a time. Other statements may run meanwhile."""
        with self._connection.cursor() as cursor:
            yield from cursor.sql(sql).to_arrow_reader(rows)

    def table(self, name: str, content: Content) -> None:
        """A table from an Arrow table, or from a stream of record batches."""
        self._read(content, f"create or replace table {quoted(name)} as select * from incoming")

    def append(self, name: str, content: Content, sql: str) -> None:
        """Rows into a table, from what `sql` names `incoming`."""
        self._read(content, f"insert into {quoted(name)} {sql}")

    def _read(self, content: Content, sql: str) -> None:
        self._connection.register("incoming", content)
        self.run(sql)
        self._connection.unregister("incoming")

    def address(self, place: StoragePath) -> str:
        """Return a name for SQL that reaches this place and no other.

        An ordinary local path is its own name. Any other name becomes a number: the engine would take it for a pattern.
        """
        path = as_local_path(place)
        if path is not None and PLAIN.fullmatch(absolute := str(path.absolute())):
            return absolute
        if self._names is None:
            from airflow_provider_segexport.storage.literal_names import LiteralNames  # noqa: PLC0415 - brings fsspec

            self._names = LiteralNames()
            self._connection.register_filesystem(self._names)
        return self._names.add(place)

    def scan(self, places: Sequence[StoragePath], options: str = "") -> str:
        """Return an SQL table function that reads Parquet files: their own columns, none from the names of folders."""
        names = ", ".join(literal(self.address(place)) for place in places)
        return f"read_parquet([{names}], hive_partitioning=false{options})"


@contextmanager
def engine(memory: str = MEMORY, threads: int = 1) -> Iterator[Engine]:
    """An engine for one run. What it spills is removed with it: it holds personal data.

    One thread: with 32k-row batches and the insertion order kept, a result is the same on every machine, and the
    vendors' limits, not the CPU, set the pace of an export.
    """
    pa.default_memory_pool().release_unused()  # 60 MiB after a send: room for what comes now
    with scratch("spill") as spill:
        yield from _connected(memory, threads, str(spill))


def _connected(memory: str, threads: int, spill: str) -> Iterator[Engine]:
    """The engine, until it is done with."""
    connection = duckdb.connect(
        config={
            "memory_limit": memory,
            "threads": threads,
            "temp_directory": spill,
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    try:
        # Joins keep the order of their left side: swapped, a result would come in the order of a hash table.
        connection.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
        # The machine's zone plays no part. Globally: a stream's cursor is a session of its own.
        connection.execute("set global TimeZone = 'UTC'")
        yield Engine(connection)
    finally:
        connection.close()
