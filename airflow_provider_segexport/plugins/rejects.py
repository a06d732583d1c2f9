"""The rejects as a file for a spreadsheet: `rejects.parquet -> lines`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq

from airflow_provider_segexport.ports.places import Place

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run."""

LINES = 5000


def lines(place: Place) -> Iterator[str]:
    """The file as CSV, with a header; a cell that looks like a formula is made text."""
    with place.open("rb") as file:
        found = pq.ParquetFile(file)
        yield _line(found.schema_arrow.names)
        if not found.num_row_groups:  # up to pyarrow 19, `iter_batches` breaks there
            return
        for batch in found.iter_batches(batch_size=LINES):
            columns = [column.to_pylist() for column in batch.columns]
            yield "".join(_line(row) for row in zip(*columns, strict=True))


def _line(values: Any) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
