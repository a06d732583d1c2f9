"""Columns of every type in fields of every type."""

from __future__ import annotations

import datetime as dt
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from core import factories
from core.factories import TARGET, cleaned, inspected, matching_of, outcomes, shared, values, written

from airflow_provider_segexport.stages import clean
from airflow_provider_segexport.storage.plan import FieldMapping
from airflow_provider_segexport.vendor_field import VendorField

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)


def sent(tmp_path, field, column):
    """The texts that a custom field is sent for a column, and the rows that do not fit."""
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
        (pa.array([5.0, 0.1, None, -0.5, 1e20]), ["5", "0.1", None, "-0.5", "100000000000000000000"]),
        (pa.array([0.1], pa.float32()), ["0.1"]),
        (pa.array([Decimal("5.00"), Decimal("5.10")], pa.decimal128(10, 2)), ["5", "5.1"]),
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
from airflow_provider_segexport.storage.duckdb_engine import engine

with engine() as sql:
    moment = "select strftime(make_timestamptz(0), '%H') as hour"
    print(sql.single_row(moment)[0], *(row["hour"] for batch in sql.stream(moment) for row in batch.to_pylist()))
"""


def test_the_machine_s_zone_plays_no_part_in_a_stream():
    """Values are streamed by a second cursor. The test needs a new process, because a time zone is read only once."""
    completed = subprocess.run(
        [sys.executable, "-c", STREAMED],
        env=os.environ | {"TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == ["00", "00"]


def test_files_with_and_without_a_zone(tmp_path):
    """One segment may hold both."""
    berlin = dt.datetime(2026, 3, 1, 13, tzinfo=ZoneInfo("Europe/Berlin"))
    aware = {"email": ["a@example.com"], "it": pa.array([berlin], pa.timestamp("us", tz="Europe/Berlin"))}
    naive = {"email": ["b@example.com"], "it": pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms"))}
    first, two = written(tmp_path / "1.parquet", aware), written(tmp_path / "2.parquet", naive)
    with cleaned(first, two, note="it") as (sql, _):
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
    expected = ["12345678901234567890", "5", "-0.25", "1000", None, None]
    assert sent(tmp_path, "points", pa.array(texts)) == (expected, set(range(6, 13)))


def test_text_in_a_boolean_field(tmp_path):
    """True and false in any case; yes and 1 are guesses."""
    texts = ["TRUE", "false", "", None, "yes", "1"]
    assert sent(tmp_path, "vip", pa.array(texts)) == (["true", "false", None, None], {4, 5})


def test_text_in_a_date_field(tmp_path):
    """Only ISO dates, for 01/02 is two days; a date that no calendar has is refused."""
    texts = ["2026-03-01", "", None, "2026-02-30", "01/02/2026", "20260301", "soon", "infinity", "epoch", "26-03-01"]
    assert sent(tmp_path, "since", pa.array(texts)) == (["2026-03-01", None, None], set(range(3, 10)))


def test_a_misfit_names_the_field(tmp_path):
    """The report says which of the vendor's fields could not hold the value."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "it": ["many"]})
    with cleaned(path, points="it") as (sql, _):
        assert outcomes(sql) == {0: ("rejected", "invalid_value", "points")}


@pytest.mark.parametrize("field", ["points", "wide"])
@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()], ids=str)
def test_floats_travel_as_plain_decimals(tmp_path, monkeypatch, field, kind):
    """The text has no exponent, and read back as the same type it is the same number, in the fewest digits."""
    wide = {**TARGET.fields, "wide": VendorField("wide")}
    monkeypatch.setattr(factories, "TARGET", replace(TARGET, fields=wide))
    monkeypatch.setattr(factories, "PLAIN", replace(factories.PLAIN, max_custom_chars=400))
    rand = random.Random(7)
    numbers = [0.0, -0.0, 1.0, 12.5, 1e-7, 1e15, 1e16, 123456789.125, 5e-45, 3e38, 2.0**53 + 2]
    column = pa.array([*numbers, *(rand.uniform(-1, 1) * 10.0 ** rand.randint(-30, 30) for _ in range(200))], kind)
    path = written(tmp_path / "x.parquet", {"email": [f"p{n}@example.com" for n in range(len(column))], "it": column})
    mapping = FieldMapping({"email": "email"}, {field: "it"})
    files = inspected(path, wanted=["email", "it"])
    clean.clean(shared(), files, matching_of(files, mapping, factories.PLAIN, factories.TARGET))
    texts = values(shared(), "custom_0")
    assert len(texts) == len(column)
    plain = re.compile(r"(0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\.[0-9]*[1-9])")
    assert [text for text in texts if not plain.fullmatch(text)] == []
    back = pa.array([float(text) for text in texts]).cast(kind)
    assert back.equals(pa.array([number + 0.0 for number in column.to_pylist()]).cast(kind))
    assert max(len(text.strip("-0.").replace(".", "").strip("0")) for text in texts) <= (
        17 if kind == pa.float64() else 9
    )


def test_a_decimal_column_has_no_zeros_at_its_end(tmp_path):
    """The scale of a column is no part of a value, and zeros before the point are."""
    column = pa.array([Decimal(text) for text in ("12.500000000", "100", "-0", "1200.000000001")], pa.decimal128(38, 9))
    assert sent(tmp_path, "points", column) == (["12.5", "100", "0", "1200.000000001"], set())


def test_numbers_as_text_lose_their_exponent(tmp_path):
    """A number field takes the same number by any spelling of JSON; an exponent beyond a double's is refused."""
    texts = ["1.50", "1E+2", "-1e-7", "1.25e1", "-0.0", "0e7", "0e999999999", "1e-999999999", "1e400"]
    expected = ["1.5", "100", "-0.0000001", "12.5", "0", "0"]
    assert sent(tmp_path, "points", pa.array(texts)) == (expected, {6, 7, 8})


@pytest.mark.parametrize("number", [1e300, 1e-300, -1e31])
@pytest.mark.parametrize("spelt", [float, str])
def test_a_plain_decimal_that_is_longer_than_the_field(tmp_path, number, spelt):
    """The number is measured as it is sent, without an exponent: the row is rejected before anything is sent."""
    path = written(tmp_path / "x.parquet", {"email": ["a@example.com"], "it": pa.array([spelt(number)])})
    with cleaned(path, points="it") as (sql, _):
        assert outcomes(sql) == {0: ("rejected", "value_too_long", "points")}


FIELDS = {
    "day": VendorField("day", "date", earliest="1900-01-01", latest="2076-06-06"),
    "moment": VendorField("moment", "datetime"),
    "price": VendorField("price", "number", decimals=2),
    "count": VendorField("count", "number", decimals=0),
    "level": VendorField("level", options=("Gold", "Silver", "gold")),
    "interests": VendorField("interests", options=("Sport, outdoors", "Music", "Art"), separator="||"),
}


@pytest.mark.parametrize(
    ("field", "column", "expected", "misfits"),
    [
        (
            "day",
            pa.array([dt.date(1899, 12, 31), dt.date(1900, 1, 1), dt.date(2076, 6, 6), dt.date(2076, 6, 7), None]),
            ["1900-01-01", "2076-06-06", None],
            {0, 3},
        ),
        ("day", pa.array(["1899-12-31", " 1900-01-01", "2076-06-07"]), ["1900-01-01"], {0, 2}),
        (
            "day",
            pa.array([dt.datetime(9999, 12, 31, 23, tzinfo=UTC), dt.datetime(2026, 3, 1, 23, tzinfo=UTC)]),
            ["2026-03-01"],
            {0},
        ),
        ("moment", pa.array([dt.date(2026, 3, 1), None]), ["2026-03-01T00:00:00Z", None], set()),
        ("moment", pa.array([NOON], pa.timestamp("us", "UTC")), ["2026-03-01T12:00:00Z"], set()),
        (
            "moment",
            pa.array(["2026-03-01", "2026-03-01T14:30+02:00", "2026-03-01 12:00:00", "soon", "2026-02-30T10:00"]),
            ["2026-03-01T00:00:00Z", "2026-03-01T12:30:00Z", "2026-03-01T12:00:00Z"],
            {3, 4},
        ),
        (
            "price",
            pa.array([1.005, 12.5, -0.001, 1e40, 3.14159, None]),
            ["1.01", "12.5", "0", "3.14", None],
            {3},
        ),
        ("price", pa.array(["2.675", "1e3", "many"]), ["2.68", "1000"], {2}),
        ("count", pa.array([1.5, 2.4]), ["2", "2"], set()),
        (
            "level",
            pa.array(["gold", "SILVER", " Gold ", "Bronze", "", None]),
            ["gold", "Silver", "Gold", None, None],
            {3},
        ),
        ("level", pa.array([1, None]), [None], {0}),
        (
            "interests",
            pa.array(["Music", "art||Sport, outdoors", "Music||", "Music||Chess", "||", "Sport, Music"]),
            ["Music", "Sport, outdoors||Art", "Music"],
            {3, 4, 5},
        ),
    ],
)
def test_what_a_field_accepts_is_known_before_sending(  # noqa: PLR0917 - a row of the table is four of them
    tmp_path, monkeypatch, field, column, expected, misfits
):
    """A value that the vendor's field would drop is found in the segment: dates, digits and options."""
    monkeypatch.setattr(factories, "TARGET", replace(TARGET, fields=FIELDS))
    path = written(tmp_path / "x.parquet", {"email": [f"p{n}@example.com" for n in range(len(column))], "it": column})
    mapping = FieldMapping({"email": "email"}, {field: "it"})
    files = inspected(path, wanted=["email", "it"])
    clean.clean(shared(), files, matching_of(files, mapping, factories.PLAIN, factories.TARGET))
    refused = {row: (reason, label) for row, (_, reason, label) in outcomes(shared()).items()}
    assert values(shared(), "custom_0") == expected
    assert refused == dict.fromkeys(misfits, ("invalid_value", field))


def test_a_date_that_no_calendar_of_four_digits_holds(tmp_path):
    """The largest dates of Parquet have years of seven digits, or are infinite."""
    column = pa.array([2**31 - 1, -(2**31) + 1, 4_000_000, 0], pa.int32()).cast(pa.date32())
    for field in ("since", "note"):
        assert sent(tmp_path, field, column) == (["1970-01-01"], {0, 1, 2})


@pytest.mark.parametrize("field", ["since", "note"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_timestamp_that_no_calendar_holds(tmp_path, field, zone):
    """The smallest number is NumPy's NaT, and the largest is DuckDB's infinity."""
    column = pa.array([-(2**63), 2**63 - 1, 0], pa.timestamp("us", zone))
    values, misfits = sent(tmp_path, field, column)
    assert ([value[:10] for value in values], misfits) == (["1970-01-01"], {0, 1})
