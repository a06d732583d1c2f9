"""A typical script: pandas for the file, one dictionary for each row, requests for the calls.

Usage: python pandas_loop.py SEGMENT SERVER. It reuses its connection and sends a thousand rows per call.
"""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
import requests

COLUMNS = [
    "email",
    "first_name",
    "last_name",
    "gender",
    "postcode",
    "city",
    "country",
    "birthdate",
    "loyalty_tier",
    "orders",
]
CUSTOM = {
    "Gender": "gender",
    "Postcode": "postcode",
    "City": "city",
    "Country": "country",
    "Birthdate": "birthdate",
    "loyalty_tier": "loyalty_tier",
    "orders": "orders",
}
PLAIN = r"[^@\s]+@[^@\s]+\.[^@\s]+"
ROWS = 1000


def subscriber(row: dict[str, Any]) -> dict[str, Any]:
    """Return one subscriber."""
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if isinstance(part, str))
    custom = [{"Key": key, "Value": str(row[column])} for key, column in CUSTOM.items() if not pd.isna(row[column])]
    return {"EmailAddress": row["email"], "Name": name, "CustomFields": custom, "ConsentToTrack": "Unchanged"}


def main() -> None:
    """Read, clean and send the segment."""
    segment, server = sys.argv[1:]
    people = pd.read_parquet(segment, columns=COLUMNS)
    people["email"] = people["email"].str.strip().str.lower()
    people = people[people["email"].str.fullmatch(PLAIN, na=False)].drop_duplicates("email")
    with requests.Session() as session:
        for start in range(0, len(people), ROWS):
            rows = people.iloc[start : start + ROWS].to_dict("records")
            body = {"Subscribers": [subscriber(row) for row in rows], "Resubscribe": False}
            session.post(f"{server}/peer/import.json", json=body, timeout=60).raise_for_status()


if __name__ == "__main__":
    main()
