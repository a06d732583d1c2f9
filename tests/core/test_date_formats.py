"""Text columns with dates in a form of their own: read as dates, or rejected, never guessed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from core.factories import PLAIN, matching_of, shared

from airflow_provider_segexport import date_formats, field_values
from airflow_provider_segexport.errors import InvalidArgument, InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.hooks import arguments
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.stages import clean, date_columns, read
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.plan import FieldMapping

STRICT = replace(PLAIN, fields=tuple(replace(rule, drop_invalid=False) for rule in PLAIN.fields))
"""A vendor that rejects the row of a value that does not fit."""

FORMATS = [
    *("%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d%m%Y", "%m%d%Y", "%d %b %Y", "%d-%B-%Y", "%d%b%Y", "%Y-%j", "%Y%j"),
    *("%A, %d %B %Y", "%d.%m.%Y %H:%M:%S", "%Y%m%d%H%M%S", "%m/%d/%Y %I:%M:%S %p", "%Y\u5e74%m\u6708%d\u65e5"),
    *("%Y-%m-%dT%H:%M:%S.%f", "%d'%m\"%Y", "(%d)+[%m]*%Y$", "100%% %d\\\\%m\\\\%Y", "%d\u00a0%m %Y"),
]


def dates_of(tmp_path, texts, text_format):
    """Return the dates by row, and the rows that are rejected."""
    text_format = date_formats.check(text_format, "born")
    file = tmp_path / "segment.parquet"
    emails = [f"p{number}@example.com" for number in range(len(texts))]
    pq.write_table(pa.table({"email": emails, "born": pa.array(texts, pa.string())}), file)
    mapping = FieldMapping({"email": "email", "birthdate": "born"}, date_formats={"born": text_format})
    files = read.read_schemas(list(find_files(str(file), local_path)), ["email", "born"])
    files = date_columns.with_dates(mapping, files)
    sql, resolved = shared(), matching_of(files, mapping, STRICT)
    clean.clean(sql, files, resolved)
    [column] = resolved.columns
    value = field_values.value(column, "%Y-%m-%d")
    rejected = [row for (row,) in sql.rows("select row from not_sent order by row")]
    dates = dict(sql.rows(f"select row, {value} from read_rows"))
    return [dates[row] for row in range(len(texts))], rejected


@pytest.mark.parametrize("text_format", FORMATS)
def test_what_python_writes_is_read_back(tmp_path, text_format):
    random = Random(text_format)
    moments = [
        datetime(1900, 1, 1, 23, 59, 59, tzinfo=UTC) + timedelta(days=random.randrange(73_000)) for _ in range(99)
    ]
    dates, rejected = dates_of(tmp_path, [moment.strftime(text_format) for moment in moments], text_format)
    assert [moment.date().isoformat() for moment in moments] == dates
    assert [] == rejected


def rewritten(text, moment, text_format):
    """Return a text and what Python writes for the date that was read of it, without leading zeros and upper case."""
    texts = (text.strip(" \u00a0\ufeff"), moment.strftime(text_format))
    return [re.sub(r"\s+", " ", re.sub(r"(?<!\d)0+(?=\d)", "", each)).lower() for each in texts]


@pytest.mark.parametrize("text_format", [each for each in FORMATS if "%H" not in each and "%I" not in each])
def test_no_date_is_read_that_the_text_does_not_say(tmp_path, text_format):
    """Texts that lack a digit, have one more or another one: `1990123` with `%Y%m%d` is no date."""
    random = Random(text_format)
    texts = []
    for _ in range(300):
        text = (datetime(1900, 1, 1, tzinfo=UTC) + timedelta(days=random.randrange(73_000))).strftime(text_format)
        index = random.randrange(len(text))
        texts.append(text[:index] + random.choice(["", *"0123456789 ./-\ufeff"]) + text[index + random.randrange(2) :])
    dates, _ = dates_of(tmp_path, texts, text_format)
    read = [(text, datetime.fromisoformat(day)) for text, day in zip(texts, dates, strict=True) if day]
    assert 10 < len(read) < 300
    for text, moment in read:
        left, right = rewritten(text, moment, text_format)
        assert right == left


def test_a_missing_zero_beside_digits_is_no_date(tmp_path):
    """A number column has lost it: `1121990` is the 11th of February or the 1st of December."""
    assert [0] == dates_of(tmp_path, ["1121990", "01121990"], "%d%m%Y")[1]
    assert [0, 1] == dates_of(tmp_path, ["1990123", "199011"], "%Y%m%d")[1]
    assert [0, 1] == dates_of(tmp_path, ["199012", "19901", "1990012"], "%Y%j")[1]
    assert [0] == dates_of(tmp_path, ["199012319:30", "1990123109:30"], "%Y%m%d%H:%M")[1]


def test_a_day_that_its_year_lacks_is_no_date(tmp_path):
    texts = ["1990-366", "1992-366", "1900-366", "2000-366", "1992-367", "1992-0", "1992-7"]
    dates, rejected = dates_of(tmp_path, texts, "%Y-%j")
    assert [None, "1992-12-31", None, "2000-12-31", None, None, "1992-01-07"] == dates
    assert [0, 2, 4, 5] == rejected


def test_a_day_of_the_week_that_is_not_the_date_s_is_rejected(tmp_path):
    texts = [
        "Monday, 31 December 1990",
        "MONDAY, 31 december 1990",
        "Sunday, 31 December 1990",
        "Mon, 31 December 1990",
    ]
    assert [2, 3] == dates_of(tmp_path, texts, "%A, %d %B %Y")[1]


def test_names_and_blanks_of_newer_unicode_locales(tmp_path):
    """`Sept` in British English, and a narrow blank before PM, of Java and browsers."""
    texts = [
        "1 Sep 1990",
        "1 Sept 1990",
        "1 SEPT 1990",
        "1 September 1990",
        "1 Sepp 1990",
        "1 Septe 1990",
        "1 Augt 1990",
    ]
    dates, rejected = dates_of(tmp_path, texts, "%d %b %Y")
    assert ["1990-09-01"] * 3 == dates[:3]
    assert [3, 4, 5, 6] == rejected
    assert ["1990-09-01"] * 2 == dates_of(tmp_path, ["01sept1990", "1Sep1990"], "%d%b%Y")[0]
    assert ["1990-09-01"] == dates_of(tmp_path, ["1990 1 Sept"], "%Y %d %b")[0]
    texts = [f"9/1/1990,{blank}11:59:59{blank}PM" for blank in (" ", "\u202f", "\u00a0", "\u2009 \t", "\u3000")]
    texts += ["9/1/1990, 11:59:59PM", "9/1/1990,\u200b11:59:59 PM"]
    dates, rejected = dates_of(tmp_path, texts, "%m/%d/%Y, %I:%M:%S %p")
    assert ["1990-09-01"] * 5 == dates[:5]
    assert [5, 6] == rejected


def test_fractions_of_seconds_have_up_to_nine_digits(tmp_path):
    """SQL Server writes seven, Java nine, PostgreSQL as many as needed."""
    texts = [f"1990-12-31 23:59:59.{'9' * digits}" for digits in range(11)]
    dates, rejected = dates_of(tmp_path, texts, "%Y-%m-%d %H:%M:%S.%f")
    assert [0, 10] == rejected
    assert {"1990-12-31"} == set(dates[1:10])
    texts = ["31.12.1990 11:59:59,1234567 PM", "31.12.1990 11:59:59,1 PM"]
    assert [] == dates_of(tmp_path, texts, "%d.%m.%Y %I:%M:%S,%f %p")[1]


def test_what_does_not_have_the_format_is_rejected(tmp_path):
    """Also what another format would read, a year of two digits, and the message that DuckDB reads as 1900."""
    invalid_texts = [
        "1990-12-31",
        "12/31/1990",
        "31.12.90",
        "30.02.1990",
        "31.12.1990 10:00",
        "0.0.0000",
        "epoch",
        "infinity",
    ]
    invalid_texts += ["today", "31.12.19900", "-31.12.1990", "\u0663\u0661.12.1990", "x" * 100_000]
    valid_texts = ["31.12.1990", " 1.2.1990\u00a0", "\t01.02.1990\r"]
    dates, rejected = dates_of(tmp_path, [*valid_texts, None, "", "  ", *invalid_texts], "%d.%m.%Y")
    assert ["1990-12-31", "1990-02-01", "1990-02-01", None, None, None] == dates[:6]
    assert list(range(6, 6 + len(invalid_texts))) == rejected


def test_day_and_month_are_not_mixed_up(tmp_path):
    """The named format counts, although another one would read the text, too."""
    assert ["1990-03-04"] == dates_of(tmp_path, ["04.03.1990"], "%d.%m.%Y")[0]
    assert ["1990-04-03"] == dates_of(tmp_path, ["04.03.1990"], "%m.%d.%Y")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%d.%m.%y", "a year of two digits"),
        ("%d.%m.", "lacks the year, month or day"),
        ("%Y-%m", "lacks the year, month or day"),
        ("%H:%M", "lacks the year, month or day"),
        ("dd.MM.yyyy", "lacks the year, month or day"),
        ("%d.%m.%Y %z", "a code that exports do not read"),
        ("%d.%m.%Y %Q", "a code that exports do not read"),
        ("%D", "a code that exports do not read"),
        ("%s", "a code that exports do not read"),
        ("%d.%m.%Y%", "a code that exports do not read"),
        ("%d.%m.%Y %d.%m.%Y", "a part of the date or time twice"),
        ("%d.%m.%Y (%j)", "a part of the date or time twice"),
        ("%d. %b %m %Y", "a part of the date or time twice"),
        ("%d.%m.%Y %I:%M", "has one of %I and %p without the other"),
        ("%d.%m.%Y %H:%M %p", "has one of %I and %p without the other"),
        ("%d.%m.\x00%Y", "longer than 100 characters or not printable"),
        ("%d.%m.\ud800%Y", "longer than 100 characters or not printable"),
        ("%d.%m.%Y" + "x" * 100, "longer than 100 characters or not printable"),
    ],
)
def test_a_format_that_is_no_date_is_refused(text, message):
    with pytest.raises(InvalidArgument, match=rf"column 'born'.*{message}\. To fix|column 'born'.*{message}.*To fix"):
        arguments.date_formats({"born": text}, "date_formats")


@pytest.mark.parametrize("formats", [{"born": ""}, {"born": 5}, ["born"], "born"])
def test_what_is_no_mapping_of_formats_is_refused(formats):
    with pytest.raises(InvalidArgument, match="`date_formats`"):
        arguments.date_formats(formats, "date_formats")


def test_the_sign_that_only_writing_knows_is_left_out():
    assert "%d.%m.%Y" == date_formats.check("%-d.%-m.%Y", "born")
    assert "100%%-%d.%m.%Y" == date_formats.check("100%%-%d.%m.%Y", "born")


def test_blanks_around_a_format_are_left_out():
    """The texts are trimmed, too, so no text would have the format."""
    assert {"born": "%d.%m. %Y"} == arguments.date_formats({"born": "\ufeff %d.%m.\u202f %Y\u00a0\r\n"}, "date_formats")


def test_a_format_of_another_column_or_type_is_refused(tmp_path):
    file = tmp_path / "segment.parquet"
    day = pa.array([date(1990, 1, 1) + timedelta(days=1)])
    pq.write_table(pa.table({"email": ["a@example.com"], "born": day, "other": ["x"]}), file)
    files = read.read_schemas(list(find_files(str(file), local_path)), ["email", "born", "other"])
    fields = {"email": "email", "birthdate": "born"}
    with pytest.raises(InvalidFieldMapping, match="'other', which feeds no field"):
        date_columns.with_dates(FieldMapping(fields, date_formats={"other": "%Y-%m-%d"}), files)
    with pytest.raises(InvalidSegment, match=r"'born' is date32.*describes text. To fix: leave the column out"):
        date_columns.with_dates(FieldMapping(fields, date_formats={"born": "%Y-%m-%d"}), files)


@pytest.mark.parametrize("values", [pa.array([19901231]), pa.array([b"19901231"]), pa.array([True])])
def test_a_format_of_a_column_that_is_neither_text_nor_date_is_refused(tmp_path, values):
    pq.write_table(pa.table({"email": ["a@example.com"], "born": values}), tmp_path / "segment.parquet")
    files = read.read_schemas(list(find_files(str(tmp_path / "segment.parquet"), local_path)), ["email", "born"])
    mapping = FieldMapping({"email": "email", "birthdate": "born"}, date_formats={"born": "%Y%m%d"})
    with pytest.raises(InvalidSegment, match=r"describes text\. To fix: write the column as text"):
        date_columns.with_dates(mapping, files)
