"""Reads the footer of a Parquet file, and checks that each mapped column is in it exactly once."""

from __future__ import annotations

import base64
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.column_types import is_known_zone
from airflow_provider_segexport.segment_files.parquet_reading import file_version, open_parquet
from airflow_provider_segexport.storage.paths import StoragePath

MAX_NAMES_SHOWN = 10
"""Column names that an error shows."""

MAX_NAME_CHARS = 60
"""Characters of a column name that an error shows."""

ARROW_SCHEMA = b"ARROW:schema"
"""Key under which Arrow stores the schema of what it has written into a footer."""

INVISIBLE = re.compile(r"[\s\ufeff\u200b-\u200f\u2060\u00ad\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Footer:
    """The footer of a Parquet file.

    Attributes:
        rows: number of rows.
        schema: the columns with their types.
        names: the names of the columns, in the file's order.
        version: properties of the file that change when it is replaced.
        group_bytes: uncompressed bytes of the largest row group, all columns.
    """

    rows: int
    schema: pa.Schema
    names: tuple[str, ...]
    version: Mapping[str, str]
    group_bytes: int


def read_footer(path: StoragePath, name: str) -> Footer:
    """Read a footer.

    Raises:
        RetryableError: the disk or the store failed; a retry may succeed.
        InvalidSegment: the file is missing, is not readable by this user, or is not a readable Parquet file.
    """
    with open_parquet(path, name) as (parquet, watched):
        # Metadata of single columns is not read: Arrow 26 ends the process if a column is encrypted.
        metadata = parquet.metadata
        schema = _with_zones(parquet.schema_arrow, (metadata.metadata or {}).get(ARROW_SCHEMA, b""))
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        rows = sum(group.num_rows for group in groups)
        if rows != metadata.num_rows:  # rows are numbered by it
            raise InvalidSegment(
                f"{name} is damaged: its footer counts {counted(metadata.num_rows, 'row')}, and its row groups have "
                f"{rows:,}. To fix: write the file again."
            )
        largest = max((group.total_byte_size for group in groups), default=0)
        return Footer(rows, schema, tuple(schema.names), watched.opened or file_version(path, watched), largest)


def _with_zones(schema: pa.Schema, written: bytes) -> pa.Schema:
    """Return a file's schema with the time zones of dictionaries of timestamps, which Arrow reads as UTC.

    Args:
        schema: the schema as Arrow reads it.
        written: the schema that Arrow stored in the footer, in Base64; empty if another program wrote the file.
    """
    zoned = [at for at, kind in enumerate(schema.types) if pa.types.is_timestamp(kind) and kind.tz == "UTC"]
    if not zoned or not written:
        return schema
    original = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(written)))  # Arrow has read it before
    for at in zoned if original.names == schema.names else ():
        kind = original.types[at]
        if pa.types.is_dictionary(kind) and pa.types.is_timestamp(kind.value_type) and kind.value_type.tz:
            schema = schema.set(at, schema.field(at).with_type(pa.timestamp(schema.types[at].unit, kind.value_type.tz)))
    return schema


def column_types(footer: Footer, wanted: Sequence[str], file: str) -> dict[str, pa.DataType]:
    """Return the types of the wanted columns.

    Args:
        footer: the file's footer.
        wanted: names of the columns.
        file: the file's name, for errors.

    Raises:
        InvalidSegment: a wanted column is missing or ambiguous.
    """
    numbers = {name: number for number, name in enumerate(footer.names)}
    missing = [column for column in wanted if column not in numbers]
    if missing:
        raise InvalidSegment(_missing(footer.names, missing, file))
    check_unambiguous(footer.names, wanted, file)
    kinds = {column: footer.schema.field(numbers[column]).type for column in wanted}
    for column, kind in kinds.items():
        if pa.types.is_timestamp(kind) and kind.tz and not is_known_zone(kind.tz):
            raise InvalidSegment(
                f"Column {column!r} of {file} is in the time zone {quote_name(kind.tz)}, which is not known. To fix: "
                "write the column in UTC, in a zone of the IANA database such as 'Europe/Berlin', or with an offset "
                "such as '+02:00'."
            )
    return kinds


def _missing(names: Sequence[str], missing: Sequence[str], file: str) -> str:
    """Return the message for missing columns. It shows similar columns, with invisible characters escaped."""
    more = f" and {len(missing) - MAX_NAMES_SHOWN} more" if len(missing) > MAX_NAMES_SHOWN else ""
    missing_names = f"{', '.join(map(quote_name, missing[:MAX_NAMES_SHOWN]))}{more}"
    alike = [name for name in names if any(_visible(name) == _visible(column) for column in missing)]
    if alike:
        # In ASCII, because one letter may be written in two ways, such as é and e with an accent.
        like = ", ".join(ascii(name) for name in alike[:MAX_NAMES_SHOWN])
        wanted = ", ".join(ascii(name) for name in missing[:MAX_NAMES_SHOWN])
        return (
            f"{file} has no column {wanted}{more}, which the export maps. It has {like}, which differs only in case "
            "or in characters that cannot be seen. To fix: rename the column, or map it by its exact name."
        )
    if len(names) <= MAX_NAMES_SHOWN:
        return (
            f"{file} has no column {missing_names}, which the export maps. Its columns: "
            f"{', '.join(map(quote_name, names)) or 'none'}. To fix: map a column that the file has."
        )
    return (
        f"{file} has no column {missing_names}, which the export maps. The nearest of its "
        f"{counted(len(names), 'column')}: {', '.join(map(quote_name, nearest_names(names, missing)))}. "
        "To fix: map a column that the file has."
    )


def nearest_names(names: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Return the names that are most similar to the missing names."""
    short: dict[str, str] = {}
    for name in names:
        short.setdefault(name[:MAX_NAME_CHARS].lower(), name)
    close: dict[str, None] = {}
    per_column = max(1, MAX_NAMES_SHOWN // len(missing))
    for column in missing[:MAX_NAMES_SHOWN]:
        like = difflib.get_close_matches(column[:MAX_NAME_CHARS].lower(), short, n=per_column, cutoff=0.0)
        close |= dict.fromkeys(short[name] for name in like)
    return list(close)[:MAX_NAMES_SHOWN]


def quote_name(name: str) -> str:
    """Return a column's name in quotes for an error: truncated, with invisible characters escaped."""
    return repr(name if len(name) <= MAX_NAME_CHARS else f"{name[:MAX_NAME_CHARS]}…")


def _visible(name: str) -> str:
    return INVISIBLE.sub("", unicodedata.normalize("NFKC", name)).lower()


def check_unambiguous(names: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """Check that the name of each wanted column is unique without case, because DuckDB ignores the case of names.

    Args:
        names: names of the file's columns.
        wanted: names of the columns to read.
        file: the file's name, for errors.

    Raises:
        InvalidSegment: a wanted column is ambiguous.
    """
    counts = Counter(name.lower() for name in names)
    renamed = _renamed(counts)
    for column in wanted:
        low = column.lower()
        if counts[low] > 1 or low in renamed:
            alike = {name for name in names if name.lower() in {low, renamed.get(low)}}
            raise InvalidSegment(
                f"{file} has more than one column {', '.join(map(quote_name, sorted(alike)))}, but for upper and lower "
                f"case, so {quote_name(column)} is ambiguous. To fix: rename or leave out one of them."
            )


def _renamed(counts: Counter[str]) -> dict[str, str]:
    """Return the names that DuckDB may invent for columns, each with the column's real name.

    Of several columns with the same name DuckDB renames all but the first to `name_1`, `name_2` and so on. If a column
    of that name exists, DuckDB renames that column in turn. A column with an empty name becomes `C` and its number.
    """
    renamed: dict[str, str] = {}
    repeated = [(name, count) for name, count in counts.items() if count > 1]
    if "" in counts:
        repeated += [(f"c{number}", 1) for number in range(counts.total()) if f"c{number}" in counts]
        renamed |= {f"c{number}": "" for number in range(counts.total())}
    while repeated:
        name, count = repeated.pop()
        for number in range(1, count + 1):
            invented = f"{name}_{number}" if name else ""
            if invented and invented not in renamed:
                renamed[invented] = name
                repeated += [(invented, 1)] if invented in counts else []
    return renamed
