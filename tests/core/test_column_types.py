"""A column's values are read exactly, also where its type differs between the files of a segment."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from core.factories import cleaned, inspected, shared, values, written
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import column_types
from airflow_provider_segexport.segment_files.rows import Read, relation
from airflow_provider_segexport.stages import read

D = decimal.Decimal
BERLIN = ZoneInfo("Europe/Berlin")

NEEDS_19 = pytest.mark.skipif(int(pa.__version__.partition(".")[0]) < 19, reason="pyarrow 18 cannot write this type")

EXACT = [
    (pa.decimal128(38, 0), [D(12)], pa.decimal128(38, 2), [D("12.75")], ["12", "12.75"]),
    (pa.decimal128(38, 2), [D("12.75")], pa.decimal128(38, 0), [D(12)], ["12.75", "12"]),
    (pa.decimal128(5, 4), [D("1.2345")], pa.decimal128(10, 1), [D("123456789.5")], ["1.2345", "123456789.5"]),
    (pa.int64(), [2**63 - 1], pa.decimal128(10, 2), [D("0.25")], [str(2**63 - 1), "0.25"]),
    (pa.float32(), [0.1], pa.float64(), [0.1], ["0.1", "0.1"]),
    (pa.float64(), [0.1], pa.float32(), [0.1], ["0.1", "0.1"]),
    (pa.float32(), [0.1], pa.int32(), [5], ["0.1", "5"]),
    (pa.int64(), [2**53], pa.float64(), [0.5], [str(2**53), "0.5"]),
    (pa.decimal128(15, 2), [D("1234567890123.45")], pa.float64(), [0.5], ["1234567890123.45", "0.5"]),
    (pa.int8(), [-128], pa.int64(), [2**62], ["-128", str(2**62)]),
    (pa.uint64(), [2**64 - 1], pa.int8(), [-1], [str(2**64 - 1), "-1"]),
    (pa.uint32(), [2**32 - 1], pa.int32(), [-1], [str(2**32 - 1), "-1"]),
    (pa.string(), ["a"], pa.large_string(), ["b"], ["a", "b"]),
    pytest.param(pa.string_view(), ["a"], pa.string(), ["b"], ["a", "b"], marks=NEEDS_19),
    (pa.dictionary(pa.int8(), pa.string()), ["a"], pa.string(), ["b"], ["a", "b"]),
    (pa.null(), [None], pa.decimal128(38, 2), [D("0.25")], [None, "0.25"]),
    (pa.float64(), [0.5], pa.null(), [None], ["0.5", None]),
]


@pytest.mark.parametrize(("first_type", "first", "other", "second", "expected"), EXACT)
def test_types_that_differ_are_read_exactly(tmp_path, first_type, first, other, second, expected):  # noqa: PLR0917
    """The type that holds both is used, and no digit changes."""
    for number, (kind, content) in enumerate([(first_type, first), (other, second), (first_type, first)]):
        table = pa.table({"email": [f"{number}@example.com"], "it": pa.array(content, kind)})
        written(tmp_path / f"{number}.parquet", table)
    with cleaned(tmp_path, note="it") as (sql, _):
        read_values = [
            None if text is None else D(text) if text not in {"a", "b"} else text for text in values(sql, "custom_0")
        ]
        expected = [None if text is None else D(text) if text not in {"a", "b"} else text for text in expected]
        assert [*expected, expected[0]] == read_values
        assert [0, 1, 2] == values(sql, "row")


REFUSED = [
    (pa.int64(), [1], pa.bool_(), [True]),
    (pa.string(), ["1"], pa.int64(), [1]),
    (pa.decimal128(20, 2), [D("0.25")], pa.float64(), [0.5]),
    (pa.date32(), [dt.date(2026, 1, 1)], pa.string(), ["2026-01-01"]),
    (pa.date32(), [dt.date(2026, 1, 1)], pa.timestamp("us", "UTC"), [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]),
    (pa.timestamp("us"), [dt.datetime(2026, 1, 1)], pa.int64(), [1]),  # noqa: DTZ001 - naive on purpose
    (pa.bool_(), [True], pa.float64(), [1.0]),
    (pa.list_(pa.field("element", pa.int8())), [[1]], pa.int8(), [1]),
]


@pytest.mark.parametrize(("first_type", "first", "other", "second"), REFUSED)
def test_types_without_a_common_one_are_refused(tmp_path, first_type, first, other, second):
    """The error names both files and both types."""
    for number, (kind, content) in enumerate([(first_type, first), (other, second)]):
        table = pa.table({"email": [f"{number}@example.com"], "it": pa.array(content, kind)})
        written(tmp_path / f"{number}.parquet", table)
    with pytest.raises(InvalidSegment) as caught:
        inspected(tmp_path, wanted=["email", "it"])
    for text in ("0.parquet", "1.parquet", str(first_type), str(other), "To fix"):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("first_type", "first", "other", "second"),
    [
        (pa.int64(), [2**53 + 1], pa.float64(), [0.5]),
        (pa.decimal128(38, 0), [D(10**37)], pa.decimal128(38, 2), [D("0.25")]),
    ],
)
def test_a_value_outside_the_common_type_is_refused(tmp_path, first_type, first, other, second):
    """Where only values can tell whether the common type holds them, one that it does not hold stops the run."""
    for number, (kind, content) in enumerate([(first_type, first), (other, second)]):
        table = pa.table({"email": [f"{number}@example.com"], "it": pa.array(content, kind)})
        written(tmp_path / f"{number}.parquet", table)
    files = inspected(tmp_path, wanted=["email", "it"])
    with (
        pytest.raises(InvalidSegment) as caught,
        read.translate_read_errors(files),
        cleaned(tmp_path, note="it") as (sql, _),
    ):
        values(sql, "custom_0")
    for text in ("0.parquet", "1.parquet", str(first_type), str(other), "'it'", "To fix"):
        assert text in str(caught.value)
    assert str(first[0]) not in str(caught.value)


NULLS = [pa.int32(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("ns", "UTC"), pa.list_(pa.int8())]
VALUES = [
    (pa.string(), "many", "many"),
    (pa.int64(), 2**53 + 1, str(2**53 + 1)),
    (pa.timestamp("us"), dt.datetime(2026, 1, 1), "2026-01-01T00:00:00Z"),  # noqa: DTZ001 - naive on purpose
    (pa.bool_(), True, "true"),
    (pa.decimal128(38, 2), D("0.25"), "0.25"),
]


@pytest.mark.parametrize("empty", [*NULLS, float("nan")], ids=str)
@pytest.mark.parametrize(("kind", "value", "text"), VALUES, ids=[str(kind) for kind, _, _ in VALUES])
def test_a_column_without_a_value_in_a_file_has_no_say_in_its_type(tmp_path, empty, kind, value, text):
    """A writer gives such a column any type; the files that have values decide, in any order."""
    nothing = pa.array([empty] * 3) if isinstance(empty, float) else pa.nulls(3, empty)
    for number, content in enumerate([nothing, pa.array([None, value, None], kind), nothing]):
        table = pa.table({"email": [f"{number}{row}@example.com" for row in range(3)], "it": content})
        written(tmp_path / f"{number}.parquet", table)
    assert inspected(tmp_path, wanted=["email", "it"]).types["it"] == kind
    with cleaned(tmp_path, note="it") as (sql, _):
        assert [*[None] * 4, text, *[None] * 4] == values(sql, "custom_0")


def test_many_files_with_and_without_a_value_are_read_by_one_scan(tmp_path):
    """A scan for each file would make planning slow."""
    for number in range(20):
        empty, filled = pa.nulls(1, [pa.null(), pa.int32(), pa.bool_()][number % 3]), pa.array(["x"])
        table = pa.table({"email": [f"{number}@example.com"], "it": filled if number % 2 else empty})
        written(tmp_path / f"{number:02d}.parquet", table)
    sql = relation(shared(), inspected(tmp_path, wanted=["email", "it"]), [Read("it", "it")])
    assert 1 == sql.count("read_parquet")
    assert 10 == len(shared().rows(f"select it from {sql} where it is not null"))


def test_files_without_a_value_in_a_column_may_have_any_types(tmp_path):
    """Also a file without a row; the column then is text, which feeds any field."""
    for number, (kind, rows) in enumerate([(pa.int32(), 1), (pa.bool_(), 1), (pa.string(), 0)]):
        people = [f"{number}@example.com"] * rows
        written(tmp_path / f"{number}.parquet", {"email": pa.array(people, "string"), "it": pa.nulls(rows, kind)})
    with cleaned(tmp_path, vip="it") as (sql, _):
        assert [None, None] == values(sql, "custom_0")


NUMBERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
NUMBERS += [pa.float32(), pa.float64(), pa.decimal128(5, 2), pa.decimal128(15, 0), pa.decimal128(38, 9)]
OTHERS = [pa.string(), pa.bool_(), pa.date32(), pa.timestamp("ms"), pa.timestamp("us", "Asia/Tokyo"), pa.null()]
ANY_TYPE = st.sampled_from(NUMBERS + OTHERS)


@given(ANY_TYPE, ANY_TYPE)
def test_the_common_type_does_not_depend_on_the_order(first_type, other):
    """Files may come in any order; a zone is that of the column, and plays no part in the type."""
    wide, turned = column_types.common_type(first_type, other), column_types.common_type(other, first_type)
    if wide is not None and pa.types.is_timestamp(wide):
        assert bool(wide.tz) == bool(turned.tz)
    else:
        assert wide == turned
    assert column_types.common_type(first_type, first_type) == column_types.value_type(first_type)


MIDNIGHT = dt.datetime(1990, 5, 1, tzinfo=BERLIN)
ZONES = [
    ("Europe/Berlin", MIDNIGHT),
    ("America/Los_Angeles", dt.datetime(1990, 5, 1, 23, 59, tzinfo=ZoneInfo("America/Los_Angeles"))),
    ("Pacific/Kiritimati", dt.datetime(1990, 5, 1, tzinfo=ZoneInfo("Pacific/Kiritimati"))),
    ("+05:45", dt.datetime(1990, 5, 1, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=45)))),
    ("-11:00", dt.datetime(1990, 5, 1, 23, tzinfo=dt.timezone(dt.timedelta(hours=-11)))),
    ("UTC", dt.datetime(1990, 5, 1, tzinfo=dt.UTC)),
    (None, dt.datetime(1990, 5, 1, 23, 59)),  # noqa: DTZ001 - naive on purpose
]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(("zone", "moment"), ZONES)
def test_a_timestamp_gives_the_date_of_its_own_zone(tmp_path, unit, zone, moment):
    """A birthdate is a day where the column says it was; without a zone, the day as it is written."""
    table = pa.table({"email": ["a@example.com"], "born": pa.array([moment], pa.timestamp(unit, tz=zone))})
    with cleaned(written(tmp_path / "x.parquet", table), fields={"birthdate": "born"}) as (sql, _):
        assert ["1990-05-01"] == values(sql, "birthdate")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize(("zone", "moment"), ZONES)
def test_a_dictionary_of_timestamps_keeps_its_zone(tmp_path, unit, zone, moment):
    """Arrow reads it as UTC, but stores the zone in the footer; pandas writes a category so."""
    born = pa.array([moment], pa.timestamp(unit, tz=zone)).dictionary_encode()
    path = written(tmp_path / "x.parquet", pa.table({"email": ["a@example.com"], "born": born}))
    with cleaned(path, fields={"birthdate": "born"}) as (sql, _):
        assert ["1990-05-01"] == values(sql, "birthdate")


def test_each_file_has_its_own_zone(tmp_path):
    """Files of one segment may be in different zones, or in none."""
    for number, (zone, moment) in enumerate(ZONES):
        table = pa.table({"email": [f"{number}@example.com"], "born": pa.array([moment], pa.timestamp("us", tz=zone))})
        written(tmp_path / f"{number}.parquet", table)
    with cleaned(tmp_path, fields={"birthdate": "born"}, note="born") as (sql, _):
        assert ["1990-05-01"] * len(ZONES) == values(sql, "birthdate")
        utc = [moment.replace(tzinfo=moment.tzinfo or dt.UTC).astimezone(dt.UTC) for _, moment in ZONES]
        assert [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in utc] == values(sql, "custom_0")


DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize("int96", [False, pytest.param(True, marks=NEEDS_19)])  # 18 writes -1 ns as 0 days and -1 ns
@pytest.mark.parametrize("zone", [None, "UTC", "-00:00"])
def test_the_last_nanoseconds_of_a_day_are_in_that_day(tmp_path, zone, int96):
    """An end of a day in pandas is 23:59:59.999999999, which no rounding moves to the next day."""
    moments = [DAY_NS - 1, DAY_NS, -1, -999, -1_001, 0, -DAY_NS, -DAY_NS - 1, None]
    days = ["1970-01-01", "1970-01-02", *["1969-12-31"] * 3, "1970-01-01", "1969-12-31", "1969-12-30", None]
    table = pa.table(
        {
            "email": [f"{number}@example.com" for number in range(len(moments))],
            "born": pa.array(moments, pa.timestamp("ns", tz=zone)),
        }
    )
    path = written(tmp_path / "x.parquet", table, use_deprecated_int96_timestamps=int96)
    with cleaned(path, fields={"birthdate": "born"}, note="born") as (sql, _):
        assert days == values(sql, "birthdate")
        seconds = [
            "1970-01-01T23:59:59Z",
            "1970-01-02T00:00:00Z",
            *["1969-12-31T23:59:59Z"] * 3,
            "1970-01-01T00:00:00Z",
        ]
        assert [*seconds, "1969-12-31T00:00:00Z", "1969-12-30T23:59:59Z", None] == values(sql, "custom_0")


@pytest.mark.parametrize(
    "zone",
    [
        *("Mars/Base", "posixrules", "right/UTC", "localtime", "../../etc/passwd"),
        *("+25:00", "-24:00", "+15:00", "+01:60", "+99:99"),
    ],
)
def test_an_unknown_zone_is_refused(tmp_path, zone):
    """A zone that the engine does not know leaves the date open, also if this machine's Python knows it."""
    table = pa.table({"email": ["a@example.com"], "born": pa.array([0], pa.timestamp("us", tz=zone))})
    path = written(tmp_path / "x.parquet", table)
    with pytest.raises(InvalidSegment, match=rf"'born' .*x\.parquet.*'{re.escape(zone)}'.*To fix"):
        inspected(path, wanted=["email", "born"])


@NEEDS_19
def test_ids_and_json_are_text(tmp_path):
    """Types that Arrow adds to Parquet's have a text of their own."""
    table = pa.table(
        {
            "email": ["a@example.com"],
            "id": pa.array([bytes(range(16))], pa.uuid()),
            "more": pa.array(['{"a":1}'], pa.json_(pa.string())),
        }
    )
    with cleaned(written(tmp_path / "x.parquet", table), fields={"full_name": "id"}, note="more") as (sql, _):
        assert [("00010203-0405-0607-0809-0a0b0c0d0e0f", '{"a":1}')] == sql.rows(
            "select full_name, custom_0 from clean_rows"
        )


def test_a_decimal_that_the_engine_does_not_hold_is_refused(tmp_path):
    """More than 38 digits would be rounded."""
    table = pa.table({"email": ["a@example.com"], "it": pa.array([D("0.25")], pa.decimal256(50, 2))})
    assert {"email": "text", "it": None} == inspected(
        written(tmp_path / "x.parquet", table), wanted=["email", "it"]
    ).columns
