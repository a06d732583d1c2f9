"""What a Parquet file's footer says, and whether the mapped columns are in it without a doubt."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.column_types import known_zone
from airflow_provider_segexport.segment_files.parquet_reading import opened, version
from airflow_provider_segexport.storage.paths import StoragePath

MOST_NAMES = 10
MOST_CHARS = 60
"""How many column names an error shows, and how much of each."""

INVISIBLE = re.compile(r"[\s\ufeff\u200b-\u200f\u2060\u00ad\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Footer:
    """A footer.

    Attributes:
        version: differs when the file is replaced.
        group_bytes: uncompressed bytes of the largest row group, all columns.
    """

    rows: int
    schema: pa.Schema
    names: tuple[str, ...]
    version: Mapping[str, str]
    group_bytes: int


def read(path: StoragePath, name: str) -> Footer:
    """Read a footer.

    Raises:
        RetryableError: the disk or the store failed in a way that may pass.
        InvalidSegment: the file is missing, may not be read, or is no Parquet file that can be read.
    """
    with opened(path, name) as (parquet, watched):
        # Nothing of single columns is asked: Arrow 26 ends the process if one of them is encrypted.
        metadata, schema = parquet.metadata, parquet.schema_arrow
        groups = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
        return Footer(metadata.num_rows, schema, tuple(schema.names), version(path, watched), max(groups, default=0))


def types(footer: Footer, wanted: Sequence[str], file: str) -> dict[str, pa.DataType]:
    """The wanted columns' types.

    Raises:
        InvalidSegment: a wanted column is missing, or more than one column could be meant.
    """
    numbers = {name: number for number, name in enumerate(footer.names)}
    missing = [column for column in wanted if column not in numbers]
    if missing:
        raise InvalidSegment(_missing(footer.names, missing, file))
    unambiguous(footer.names, wanted, file)
    kinds = {column: footer.schema.field(numbers[column]).type for column in wanted}
    for column, kind in kinds.items():
        if pa.types.is_timestamp(kind) and kind.tz and not known_zone(kind.tz):
            raise InvalidSegment(
                f"Column {column!r} of {file} is in the time zone {shown(kind.tz)}, which is not known. To fix: write "
                "the column in UTC, in a zone of the IANA database such as 'Europe/Berlin', or with an offset such as "
                "'+02:00'."
            )
    return kinds


def _missing(names: Sequence[str], missing: Sequence[str], file: str) -> str:
    """The error's text: the nearest of the columns that there are, in a form that shows invisible characters."""
    many = f" and {len(missing) - MOST_NAMES} more" if len(missing) > MOST_NAMES else ""
    lacking = f"{', '.join(map(shown, missing[:MOST_NAMES]))}{many}"
    alike = [name for name in names if any(_visible(name) == _visible(column) for column in missing)]
    if alike:
        like = ", ".join(map(shown, alike[:MOST_NAMES]))
        return (
            f"{file} has no column {lacking}, which the export maps. It has {like}, which differs only in case or in "
            "characters that cannot be seen. To fix: rename the column, or map it by its exact name."
        )
    if len(names) <= MOST_NAMES:
        return (
            f"{file} has no column {lacking}, which the export maps. Its columns: "
            f"{', '.join(map(shown, names)) or 'none'}. To fix: map a column that the file has."
        )
    return (
        f"{file} has no column {lacking}, which the export maps. The nearest of its {counted(len(names), 'column')}: "
        f"{', '.join(map(shown, nearest(names, missing)))}. To fix: map a column that the file has."
    )


def nearest(names: Sequence[str], missing: Sequence[str]) -> list[str]:
    """The names that are most like those that are missing."""
    short: dict[str, str] = {}
    for name in names:
        short.setdefault(name[:MOST_CHARS].lower(), name)
    close: dict[str, None] = {}
    each = max(1, MOST_NAMES // len(missing))
    for column in missing[:MOST_NAMES]:
        like = difflib.get_close_matches(column[:MOST_CHARS].lower(), short, n=each, cutoff=0.0)
        close |= dict.fromkeys(short[name] for name in like)
    return list(close)[:MOST_NAMES]


def shown(name: str) -> str:
    """A column's name in an error: invisible characters escaped, and never long."""
    return repr(name if len(name) <= MOST_CHARS else f"{name[:MOST_CHARS]}…")


def _visible(name: str) -> str:
    return INVISIBLE.sub("", name).lower()


def unambiguous(names: Sequence[str], wanted: Sequence[str], file: str) -> None:
    """Check that each wanted column has no namesake, for the engine does not tell columns apart by case.

    Raises:
        InvalidSegment: two columns could be meant.
    """
    counts = Counter(name.lower() for name in names)
    renamed = _renamed(counts)
    for column in wanted:
        low = column.lower()
        if counts[low] > 1 or low in renamed:
            alike = {name for name in names if name.lower() in {low, renamed.get(low)}}
            raise InvalidSegment(
                f"{file} has more than one column {', '.join(map(shown, sorted(alike)))}, but for upper and lower "
                f"case, so {shown(column)} is ambiguous. To fix: rename or leave out one of them."
            )


def _renamed(counts: Counter[str]) -> dict[str, str]:
    """Names that the engine may give to columns without a name of their own, and the name that they have.

    Of columns with one name it keeps the first, and calls the others `name_1`, `name_2` and so on; if such a column is
    there already, that one is renamed in turn. A column without a name becomes `C` and its number.
    """
    renamed: dict[str, str] = {}
    repeated = [(name, count) for name, count in counts.items() if count > 1]
    if "" in counts:
        repeated += [(f"c{number}", 1) for number in range(counts.total()) if f"c{number}" in counts]
        renamed |= {f"c{number}": "" for number in range(counts.total())}
    while repeated:
        name, count = repeated.pop()
        for number in range(1, count + 1):
            made = f"{name}_{number}" if name else ""
            if made and made not in renamed:
                renamed[made] = name
                repeated += [(made, 1)] if made in counts else []
    return renamed
