"""Writes the rejects as CSV for a spreadsheet: `rejects.parquet -> lines`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.sealing import verify

FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\u2212\ufe63\ufe62\ufe66\ufe6b|%;,\t\r\n")
"""Characters that begin a formula in some spreadsheet or locale, full-width forms and minus signs too, or that begin
another cell where a locale separates cells by them."""

SEPARATOR = re.compile(r"[;,\t\r\n|]\s*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212\ufe63\ufe62\ufe66\ufe6b]")
"""A formula behind a separator: a spreadsheet of another locale splits the line there, quotes or not."""

LINES = 5000
"""Rows read at a time."""


def lines(path: StoragePath) -> Iterator[str]:
    """Return the file as CSV, with a header; a cell that looks like a formula becomes text.

    Raises:
        DamagedState: the file cannot be read. It is raised before the first line is returned.
    """
    verify(path, bare=True)
    file = path.open("rb")
    try:
        rejects = pq.ParquetFile(file)
        header = _line(rejects.schema_arrow.names)
    except pa.ArrowException:
        file.close()
        raise DamagedState(str(path), "it is not the Parquet file that was written") from None
    return _lines(file, rejects, header)


def _lines(file: IO[Any], rejects: pq.ParquetFile, header: str) -> Iterator[str]:
    with file:
        yield header
        if not rejects.num_row_groups:  # up to pyarrow 19, `iter_batches` breaks there
            return
        for batch in rejects.iter_batches(batch_size=LINES):
            columns = [column.to_pylist() for column in batch.columns]
            yield "".join(_line(row) for row in zip(*columns, strict=True))


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", quoting=csv.QUOTE_ALL).writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """Return a value for a cell, with a single quote before it if a spreadsheet could run it.

    Blanks and invisible characters before a formula do not count, because spreadsheets drop them.
    """
    if not isinstance(value, str):
        return value
    visible = "".join(char for char in value if char.isprintable() and not char.isspace())
    risky = visible[:1] in FORMULA if visible else bool(value)
    return f"'{value}" if risky or value[:1] in FORMULA or SEPARATOR.search(value) else value
