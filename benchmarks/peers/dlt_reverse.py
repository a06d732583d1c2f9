"""Reverse ETL with dlt: a resource of Arrow batches, and a custom destination that posts them.

Usage: python dlt_reverse.py SEGMENT SERVER HOME. It reads Arrow, stages Parquet, and sends a thousand rows per
call with orjson: the fastest way in its documentation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import requests
from pandas_loop import COLUMNS, CUSTOM, PLAIN, ROWS

segment, server, home = sys.argv[1:]
os.environ.update(DLT_DATA_DIR=home, RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")

import dlt  # noqa: E402 - reads its configuration when it is imported
from dlt.common import json  # noqa: E402

session = requests.Session()


@dlt.resource(name="people", write_disposition="append")
def people() -> Iterator[pa.Table]:
    """Yield the cleaned segment with the first row of each address."""
    seen: set[str] = set()
    for batch in pq.ParquetFile(segment).iter_batches(65_536, columns=COLUMNS):
        emails = pc.utf8_lower(pc.utf8_trim_whitespace(batch.column("email")))
        good = pc.fill_null(pc.match_substring_regex(emails, f"^{PLAIN}$"), fill_value=False)
        table = pa.Table.from_batches([batch]).set_column(0, "email", emails).filter(good)
        first = [email not in seen and not seen.add(email) for email in table.column("email").to_pylist()]
        yield table.filter(pa.array(first))


@dlt.destination(batch_size=ROWS, loader_file_format="parquet", name="list", naming_convention="direct")
def send(items: pa.RecordBatch, table: Any) -> None:
    """Send one call."""
    del table
    body = {"Subscribers": [subscriber(row) for row in items.to_pylist()], "Resubscribe": False}
    session.post(f"{server}/peer/import.json", data=json.dumpb(body), timeout=60).raise_for_status()


def subscriber(row: dict[str, Any]) -> dict[str, Any]:
    """Return one subscriber."""
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    custom = [{"Key": key, "Value": str(row[column])} for key, column in CUSTOM.items() if row[column] is not None]
    return {"EmailAddress": row["email"], "Name": name, "CustomFields": custom, "ConsentToTrack": "Unchanged"}


if __name__ == "__main__":
    dlt.pipeline("bench", destination=send, pipelines_dir=home).run(people())
