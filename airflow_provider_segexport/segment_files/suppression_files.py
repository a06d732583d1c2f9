"""Reads suppression lists: `Parquet file -> batches of entries`, each a row number and one or more cells as bytes.

Texts come as bytes too: one that is not UTF-8 is an entry that is not understood, and no error of the whole file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.parquet_reading import opened
from airflow_provider_segexport.storage.arrow import from_numpy
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.trimming import trimmed

BATCH_ROWS = 131_072
MOST_NAMES = 10
"""How many column names an error shows."""

EMAIL = "email"
KINDS = ("hash", "sha256", "sha1", "md5")
HASHES = frozenset(
    {*KINDS, "hashedemail", *(f"{EMAIL}{kind}" for kind in KINDS), *(f"{kind}{EMAIL}" for kind in KINDS)}
)
"""Names of columns that are read, without case, spaces, hyphens and underscores."""

INDEX = "__index_level_"
"""How pandas names the column of a DataFrame's index."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file that hold entries.

    Attributes:
        names: as the file has them.
        binary: whether each holds bytes and no text, so that a digest may be in it as it is.
    """

    names: tuple[str, ...]
    binary: tuple[bool, ...]


def chosen(schema: pa.Schema, file: str) -> Columns:
    """Return the columns to read: `email`, columns of hashes, or the only column that there is.

    Raises:
        InvalidSegment: no column or more than one column could be meant, or the column cannot hold addresses.
    """
    names = [name for name in schema.names if not name.startswith(INDEX)]
    known = [name for name in names if _key(name) == EMAIL or _key(name) in HASHES]
    keys = [_key(name) for name in known]
    if len(set(keys)) < len(keys) or any(schema.names.count(name) > 1 for name in known):
        raise InvalidSegment(
            f"The suppression file {file} has the columns {_shown(known)}, and more than one of them could be meant. "
            "To fix: leave one column `email`."
        )
    if not known and len(names) != 1:
        raise InvalidSegment(
            f"The suppression file {file} has the columns {_shown(names)}, and none of them is known to hold "
            "addresses. To fix: name the column `email`, or `hash`, `sha256`, `sha1` or `md5` if it holds hashes; or "
            "leave it as the only column."
        )
    kinds = {name: _plain(schema.field(name).type) for name in known or names}
    for name, kind in kinds.items():
        if not (_is_text(kind) or _is_binary(kind) or pa.types.is_null(kind)):
            raise InvalidSegment(
                f"Column {name!r} of the suppression file {file} is {kind}, which cannot hold addresses. To fix: write "
                "addresses or hashes, as text or binary, into a column `email`."
            )
    return Columns(tuple(kinds), tuple(_is_binary(kind) for kind in kinds.values()))


def entries(path: StoragePath, file: str) -> Iterator[tuple[Columns, pa.Table]]:
    """Yield the entries of a file: `row` from 0, and a cell `cell_0`, `cell_1`, ... for each column that is read."""
    with opened(path, f"The suppression file {file}") as (parquet, _):
        columns = chosen(parquet.schema_arrow, file)
        first = 0
        for batch in parquet.iter_batches(BATCH_ROWS, columns=list(columns.names)):
            yield columns, _table(batch, columns.names, first)
            first += batch.num_rows


def _table(batch: pa.RecordBatch, names: Sequence[str], first: int) -> pa.Table:
    rows = from_numpy(np.arange(first, first + batch.num_rows, dtype=np.int64))
    cells = {f"cell_{at}": _as_bytes(batch.column(name)) for at, name in enumerate(names)}
    return pa.table({"row": rows, **cells})


def _as_bytes(column: pa.Array) -> pa.Array:
    """The bytes of a column, mostly without a copy."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.binary())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type):
        return column.view(pa.binary())
    if pa.types.is_large_string(column.type):
        return column.view(pa.large_binary())
    return column if _is_binary(column.type) else column.cast(pa.string()).view(pa.binary())


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    ) and not isinstance(kind, pa.BaseExtensionType)


def _key(name: str) -> str:
    """A column's name without what spellings differ in."""
    return trimmed(name).lower().translate({ord(sign): None for sign in "-_ "})


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return (", ".join(repr(name[:60]) for name in names[:MOST_NAMES]) or "none") + more
