"""Reads the rejects of a run, as rows or as CSV for a spreadsheet: `rejects.parquet -> rows, lines`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.parquet_tables import batches
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.sealing import verify

OPERATORS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\u2212\ufe63\ufe62\ufe66\ufe6b")
"""Characters that begin a formula in some spreadsheet or locale, full-width forms and minus signs too."""

SEPARATORS = frozenset(";,|")
"""Characters that separate cells in some locale. A spreadsheet splits a line there, quotes or not."""

RISKY_STARTS = OPERATORS | SEPARATORS | frozenset("%\t\r\n")
"""Characters at the beginning of a text that make it a formula, or begin another cell."""

BREAKS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029")
"""Characters at which a program may begin a new cell or line."""

FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
"""Letters and a Braille pattern that look like a blank."""

MAYBE_INNER_FORMULA = re.compile(
    f"[{re.escape(''.join(sorted(SEPARATORS | BREAKS)))}][^A-Za-z0-9]*[{re.escape(''.join(sorted(OPERATORS)))}]"
)
"""Matches every text with a formula behind a separator, and some others."""

CHUNK_ROWS = 5000
"""Rows read at a time."""

NOT_PARQUET = "it is not the Parquet file that was written"


def any_rows(path: StoragePath) -> bool:
    """Return whether the file has rows. True for a damaged file, too, so that its download shows the damage."""
    try:
        with open_file(path) as file:
            return bool(pq.ParquetFile(file).metadata.num_rows)
    except FileNotFoundError:
        return False
    except (OSError, ValueError, pa.ArrowException):
        return True


class RejectsFile:
    """The rejects of one run, verified and opened. Each of its generators closes the file at its end."""

    def __init__(self, path: StoragePath) -> None:
        """Open the file.

        Raises:
            DamagedState: it cannot be read.
        """
        verify(path, bare=True)
        self._path = path
        self._file: IO[Any] = open_file(path)
        try:
            self._parquet = pq.ParquetFile(self._file)
            self.names: list[str] = self._parquet.schema_arrow.names
            self.count: int = self._parquet.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            self._file.close()
            if getattr(error, "errno", None):  # the disk or the store, and not the content
                raise
            raise DamagedState(str(path), NOT_PARQUET) from None

    def close(self) -> None:
        """Close the file, also if a generator has not reached its end."""
        self._file.close()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows, each by column."""
        for columns in self._parts():
            for values in zip(*columns, strict=True):
                yield dict(zip(self.names, values, strict=True))

    def lines(self) -> Iterator[str]:
        """Yield the file as CSV, with a header; a cell that looks like a formula becomes text."""
        yield csv_line(self.names)
        for columns in self._parts():
            yield "".join(csv_line(row) for row in zip(*columns, strict=True))

    def _parts(self) -> Iterator[list[list[Any]]]:
        """Yield the columns of some thousand rows at a time."""
        with self._file:
            try:
                for batch in batches(self._parquet, CHUNK_ROWS):
                    yield [column.to_pylist() for column in batch.columns]
            except pa.ArrowException:  # of a file without a checksum, as version 1 wrote it
                raise DamagedState(str(self._path), NOT_PARQUET) from None


def csv_line(values: Iterable[Any]) -> str:
    """Return the values as a line of CSV; a cell that looks like a formula becomes text."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return a value for a cell, with a single quote before each formula that a spreadsheet could run.

    A formula begins the text, or comes after a separator, where a spreadsheet of another locale begins a new cell.
    Blanks and invisible characters before a formula do not count, because spreadsheets drop them.
    """
    if not isinstance(value, str):
        return value
    visible = "".join(filter(_is_visible, value))
    risky = visible[:1] in RISKY_STARTS if visible else bool(value)
    text = _quoted_inside(value) if MAYBE_INNER_FORMULA.search(value) else value
    return f"'{text}" if risky or value[:1] in RISKY_STARTS else text


def _quoted_inside(text: str) -> str:
    """Return a text with a single quote before each formula behind a separator. Double quotes between do not count."""
    out: list[str] = []
    begins_cell = False
    for char in text:
        if char in SEPARATORS or char in BREAKS:
            begins_cell = True
        elif begins_cell and _is_visible(char) and char != '"':
            out.append("'" if char in OPERATORS else "")
            begins_cell = False
        out.append(char)
    return "".join(out)


def _is_visible(char: str) -> bool:
    return char.isprintable() and not char.isspace() and char not in FILLERS
