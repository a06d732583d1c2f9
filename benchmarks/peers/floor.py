"""The least that DuckDB and requests need for the same calls: no plan, ledger, journal, results or report.

Usage: python floor.py SEGMENT SERVER. DuckDB reads the columns, lowers and de-duplicates the addresses and builds the
JSON of a thousand rows per call; four threads send the calls, each over a connection of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import duckdb
import requests

ROWS = 1000
THREADS = 4
CUSTOM_FIELDS = {
    "Gender": "gender",
    "Postcode": "postcode",
    "City": "city",
    "Country": "country",
    "Birthdate": "birthdate",
    "loyalty_tier": "loyalty_tier",
    "orders": "orders",
}
PAIRS = " || ".join(
    f"""coalesce(',{{"Key":"[{key}]","Value":' || to_json({column}::varchar) || '}}', '')"""
    for key, column in CUSTOM_FIELDS.items()
)
ITEMS = f"""
    select '{{"EmailAddress":' || to_json(address)
        || ',"Name":' || to_json(concat_ws(' ', first_name, last_name))
        || ',"CustomFields":[' || substr({PAIRS}, 2) || '],"ConsentToTrack":"Unchanged"}}' as item
    from (
        select *, lower(trim(email)) as address from read_parquet(?)
        qualify row_number() over (partition by lower(trim(email)) order by file_row_number) = 1
    )
    where regexp_full_match(address, '[^@\\s]+@[^@\\s]+\\.[^@\\s]+')
"""


def bodies(segment: str) -> Iterator[bytes]:
    """Yield the body of each call."""
    with duckdb.connect() as connection:
        connection.execute(ITEMS.replace("read_parquet(?)", "read_parquet(?, file_row_number = true)"), [segment])
        while rows := connection.fetchmany(ROWS):
            yield b'{"Subscribers":[' + ",".join(item for (item,) in rows).encode() + b'],"Resubscribe":false}'


def main() -> None:
    """Read, build and send the segment."""
    segment, server = sys.argv[1:]
    local = threading.local()
    free = threading.Semaphore(2 * THREADS)

    def send(body: bytes) -> None:
        try:
            session = local.__dict__.setdefault("session", requests.Session())
            headers = {"content-type": "application/json"}
            session.post(f"{server}/peer/import.json", data=body, headers=headers, timeout=60).raise_for_status()
        finally:
            free.release()

    with ThreadPoolExecutor(THREADS) as threads:
        sent = []
        for body in bodies(segment):
            free.acquire()
            sent.append(threads.submit(send, body))
        for call in sent:
            call.result()


if __name__ == "__main__":
    main()
