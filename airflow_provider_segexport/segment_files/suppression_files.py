"""Reads the entries of suppression lists from Parquet files: a row number, and one or more cells as bytes.

Texts are read as bytes, too. Text that is not UTF-8 then makes one entry unreadable, and not the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.parquet_reading import check_not_replaced, open_parquet, small_batches
from airflow_provider_segexport.storage.arrow import from_numpy
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.trimming import trimmed

BATCH_ROWS = 131_072
BATCH_BYTES = 32 << 20
"""Rows and bytes at which a chunk is complete."""

MAX_ENTRY_BYTES = 100_000
"""Maximum bytes of an entry that is read. A longer entry counts as not understood."""

TOO_LONG = NOT_READ = b"?"
"""Replaces an entry that is too long, or that is in a column that is not read. It is neither an address nor a hash."""

MAX_NAMES_SHOWN = 10
"""Column names that an error shows."""

EMAIL = "email"
HASHES = re.compile(
    r"(?=.*(hash|hem|sha1|sha256|md5))(email(address)?|hash(ed)?|hem|sha1|sha256|md5|hex|lower(case)?)+"
)
"""Names of columns with hashes of addresses, compared without case, spaces, hyphens and underscores."""

ALIKE = re.compile(r"hash|^hem|sha\d|md5|digest|mail(addr(ess)?)?\d*$")
"""Part of the name of another column that may hold addresses or hashes, compared in the same way."""

BINARIES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)

INDEX = "__index_level_"
"""Beginning of the name of the column in which pandas writes a DataFrame's index."""


@dataclass(frozen=True, slots=True)
class EntryColumns:
    """The columns of a file that hold entries.

    Attributes:
        names: names of the columns in the file.
        binary: for each cell, whether it holds bytes and not text, so that it may hold raw digests.
        unread: other columns, which may hold addresses or hashes by their names.
        mail: those of `unread` that are about mail by their names. If there is one, each row has one more cell, which
            is not understood if the row has a value only in such a column.
    """

    names: tuple[str, ...]
    binary: tuple[bool, ...]
    unread: tuple[str, ...] = ()
    mail: tuple[str, ...] = ()


def select_columns(schema: pa.Schema, file: str) -> EntryColumns:
    """Return the columns to read: `email` and columns of hashes, or else the only column of the file.

    Raises:
        InvalidSegment: no column is recognised, the choice is ambiguous, or the column's type cannot hold addresses.
    """
    names = [name for name in schema.names if not name.startswith(INDEX)]
    recognised = [name for name in names if _key(name) == EMAIL or HASHES.fullmatch(_key(name))]
    keys = [_key(name) for name in recognised]
    if len(set(keys)) < len(keys) or any(schema.names.count(name) > 1 for name in recognised):
        raise InvalidSegment(
            f"The suppression file {file} has the columns {_shown(recognised)}, which are ambiguous. "
            "To fix: keep one of them, named `email`."
        )
    if not recognised and len(names) != 1:
        raise InvalidSegment(
            f"The suppression file {file} has the columns {_shown(names)}, and none of them is recognised. "
            "To fix: name the column `email`, or `hash`, `sha256`, `sha1` or `md5` if it holds hashes; or make it the "
            "only column."
        )
    kinds = {name: _plain(schema.field(name).type) for name in recognised or names}
    for name, kind in kinds.items():
        if not (_is_text(kind) or _is_binary(kind) or pa.types.is_null(kind)):
            raise InvalidSegment(
                f"Column {name!r} of the suppression file {file} is {kind}, which cannot hold addresses. To fix: write "
                "addresses or hashes, as text or binary, into a column `email`."
            )
    unread = _unread(schema, kinds)
    mail = tuple(name for name in unread if "mail" in _key(name) and schema.names.count(name) == 1)
    binary = [_is_binary(kind) for kind in kinds.values()]
    return EntryColumns(tuple(kinds), tuple([*binary, False] if mail else binary), unread, mail)


def _unread(schema: pa.Schema, read: Collection[str]) -> tuple[str, ...]:
    """Return the columns that are not read, and that may hold addresses or hashes by their names and types."""
    kinds = {field.name: _plain(field.type) for field in schema if field.name not in read}
    return tuple(
        name for name, kind in kinds.items() if ALIKE.search(_key(name)) and (_is_text(kind) or _is_binary(kind))
    )


def read_entries(path: StoragePath, file: str) -> Iterator[tuple[EntryColumns, pa.Table]]:
    """Yield a file's entries in chunks: `row` from 0, and `cell_0`, `cell_1`, ... for the columns that are read.

    Raises:
        RetryableError: the disk or the store failed, or the file was replaced; a retry may succeed.
        InvalidSegment: the file cannot be read, or no column can hold the entries.
    """
    name = f"The suppression file {file}"
    with open_parquet(path, name) as (parquet, watched):
        columns = select_columns(parquet.schema_arrow, file)
        cells = (_cells(batch, columns) for batch in small_batches(parquet, columns=[*columns.names, *columns.mail]))
        first = 0
        for chunk in _chunks(cells):
            rows = from_numpy(np.arange(first, first + len(chunk[0]), dtype=np.int64))
            yield columns, pa.table({"row": rows, **{f"cell_{at}": column for at, column in enumerate(chunk)}})
            first += len(rows)
    check_not_replaced(path, name, watched.opened)


def _cells(batch: pa.RecordBatch, columns: EntryColumns) -> list[pa.Array]:
    """Return the cells of a batch's rows, by column."""
    read = [_as_bytes(batch.column(name)) for name in columns.names]
    if not columns.mail:
        return read
    has_value = [any(values) for values in zip(*map(_have_values, read), strict=True)]
    others = [_as_bytes(batch.column(name)) for name in columns.mail]
    has_other = [any(values) for values in zip(*map(_have_values, others), strict=True)]
    unclear = [NOT_READ if other and not own else None for own, other in zip(has_value, has_other, strict=True)]
    return [*read, pa.array(unclear, pa.binary())]


def _have_values(column: pa.Array) -> list[bool]:
    """Return for each cell whether it is neither null nor blank."""
    return [cell is not None and bool(trimmed(cell.decode(errors="replace"))) for cell in column.to_pylist()]


def _chunks(batches: Iterable[Sequence[pa.Array]]) -> Iterator[list[pa.ChunkedArray]]:
    """Yield the columns of batches in chunks of `BATCH_ROWS` or `BATCH_BYTES`, without entries that are too long."""
    held: list[list[pa.Array]] = []
    rows = size = 0
    for batch in batches:
        held.append([_without_long(column) for column in batch])
        rows += len(batch[0])
        size += sum(column.nbytes for column in held[-1])
        if rows >= BATCH_ROWS or size >= BATCH_BYTES:
            yield [pa.chunked_array(columns) for columns in zip(*held, strict=True)]
            held, rows, size = [], 0, 0
    if held:
        yield [pa.chunked_array(columns) for columns in zip(*held, strict=True)]


def _without_long(column: pa.Array) -> pa.Array:
    if column.nbytes <= MAX_ENTRY_BYTES:
        return column
    if pa.types.is_fixed_size_binary(column.type):
        if column.type.byte_width <= MAX_ENTRY_BYTES:
            return column
        column = column.cast(pa.binary())
    cells = [cell.as_py() for cell in column]
    return pa.array([TOO_LONG if cell and len(cell) > MAX_ENTRY_BYTES else cell for cell in cells], column.type)


def _as_bytes(column: pa.Array) -> pa.Array:
    """Return a column as binary, usually without a copy."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.binary())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        return column.view(pa.binary())
    if pa.types.is_large_string(column.type):
        return column.view(pa.large_binary())
    if pa.types.is_binary_view(column.type):
        return column.cast(pa.binary())
    return column if _is_binary(column.type) else column.cast(pa.string()).view(pa.binary())


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return not isinstance(kind, pa.BaseExtensionType) and any(is_binary(kind) for is_binary in BINARIES)


def _key(name: str) -> str:
    """Return a column's name without case, spaces, hyphens and underscores."""
    return trimmed(name).lower().translate({ord(sign): None for sign in "-_ "})


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return (", ".join(repr(name[:60]) for name in names[:MAX_NAMES_SHOWN]) or "none") + more
