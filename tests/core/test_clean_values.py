"""Columns of every type in fields of every type."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from core.made import cleaned, outcomes, values, written

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(tmp_path, field, column):
    """What a custom field is sent of a column, and the rows that do not fit."""
    emails = [f"p{n}@example.com" for n in range(len(column))]
    path = written(tmp_path / "x.parquet", {"email": emails, "it": column})
    with cleaned(path, **{field: "it"}) as (sql, _):
        misfits = {row for row, (_, reason, _) in outcomes(sql).items() if reason == "invalid_value"}
        return values(sql, "custom_0"), misfits


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, -5, None, 2**63 - 1], pa.int64()), ["1", "-5", None, "9223372036854775807"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([5.0, 0.1, None, -0.5, 1e20]), ["5", "0.1", None, "-0.5", "1e+20"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([Decimal("5.00"), Decimal("5.10")], pa.decimal128(10, 2)), ["5", "5.10"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([dt.date(2026, 3, 1), dt.date(1, 1, 1)]), ["2026-03-01", "0001-01-01"]),
        (pa.array([NOON.replace(tzinfo=None)], pa.timestamp("us")), ["2026-03-01T12:00:00Z"]),
        (pa.array(["", " x ", None, "0"]), [None, "x", None, "0"]),
    ],
)
def test_any_single_value_as_text(tmp_path, column, expected):
    """The same value reads the same in every run: whole numbers bare, times in UTC."""
    assert sent(tmp_path, "note", column) == (expected, set())


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "+05:30"])
def test_times_of_every_unit_and_zone(tmp_path, monkeypatch, zone):
    """A zone in the file is honoured, a time without one is UTC, and the machine's zone plays no part."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    paths = []
    for unit, parts in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items():
        column = pa.array([int(NOON.timestamp()) * parts, None]).cast(pa.timestamp(unit, tz=zone))
        people = {"email": [f"{unit}@example.com", f"{unit}-none@example.com"], "it": column}
        paths.append(written(tmp_path / f"{unit}.parquet", people))
    with cleaned(*paths, note="it", since="it") as (sql, _):
        assert values(sql, "custom_0") == ["2026-03-01T12:00:00Z", None] * 4
        assert values(sql, "custom_1") == ["2026-03-01", None] * 4


STREAMED = """
from airflow_provider_segexport.ports.engine import engine

with engine() as sql:
    moment = "select strftime(make_timestamptz(0), '%H') as hour"
    print(sql.one(moment)[0], *(row["hour"] for batch in sql.stream(moment) for row in batch.to_pylist()))
"""


def test_the_machine_s_zone_plays_no_part_in_a_stream():
    """What is sent is streamed, by a cursor of its own. A process of its own, for a zone is asked for once."""
    told = subprocess.run(
        [sys.executable, "-c", STREAMED],
        env=os.environ | {"TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["00", "00"]


def test_files_with_and_without_a_zone(tmp_path):
    """One segment may hold both."""
    berlin = dt.datetime(2026, 3, 1, 13, tzinfo=ZoneInfo("Europe/Berlin"))
    aware = {"email": ["a@example.com"], "it": pa.array([berlin], pa.timestamp("us", tz="Europe/Berlin"))}
    naive = {"email": ["b@example.com"], "it": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms"))}
    one, two = written(tmp_path / "1.parquet", aware), written(tmp_path / "2.parquet", naive)
    with cleaned(one, two, note="it") as (sql, _):
        assert values(sql, "custom_0") == ["2026-03-01T12:00:00Z"] * 2


def test_a_number_that_is_none_is_missing(tmp_path):
    """NaN is how data frames write that there is nothing; infinity is a value, and no number of JSON."""
    column = pa.array([float("nan"), 2.5, float("inf"), float("-inf")])
    for field in ("points", "note"):
        assert sent(tmp_path, field, column) == ([None, "2.5"], {2, 3})


def test_text_in_a_number_field(tmp_path):
    """Digits stay as they are written, also where no machine number holds them; nothing is guessed."""
    texts = [
        "12345678901234567890",
        " 5.0 ",
        "-0.25",
        "1e3",
        "",
        None,
        "007",
        "1,5",
        "1_000",
        "+5",
        ".5",
        "nan",
        "1e999",
    ]
    kept = ["12345678901234567890", "5", "-0.25", "1e3", None, None]
    assert sent(tmp_path, "points", pa.array(texts)) == (kept, set(range(6, 13)))


def test_text_in_a_boolean_field(tmp_path):
    """True and false in any case; yes and 1 are guesses."""
    texts = ["TRUE", "false", "", None, "yes", "1"]
    assert sent(tmp_path, "vip", pa.array(texts)) == (["true", "false", None, None], {4, 5})


def test_text_in_a_date_field(tmp_path):
    """Only ISO dates, for 01/02 is two days; a date that no calendar has is refused."""
    texts = ["2026-03-01", "", None, "2026-02-30", "01/02/2026", "20260301", "soon"]
    assert sent(tmp_path, "since", pa.array(texts)) == (["2026-03-01", None, None], {3, 4, 5, 6})


def test_a_misfit_names_the_field(tmp_path):
    """The report says which of the vendor's fields could not hold the value."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "it": ["many"]})
    with cleaned(path, points="it") as (sql, _):
        assert outcomes(sql) == {0: ("rejected", "invalid_value", "points")}
