"""Text columns with dates in a form of their own: read as dates, or rejected, never guessed."""

from __future__ import annotations

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

FORMATS = ["%d.%m.%Y", "%m/%d/%Y", "%Y%m%d", "%d %b %Y", "%d-%B-%Y", "%Y-%j", "%A, %d %B %Y", "%d.%m.%Y %H:%M:%S"]


def dates_of(tmp_path, texts, text_format):
    """Return the dates by row, and the rows that are rejected."""
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
        ("%d.%m.", "names no whole date"),
        ("%Y-%m", "names no whole date"),
        ("%H:%M", "names no whole date"),
        ("dd.MM.yyyy", "names no whole date"),
        ("%d.%m.%Y %z", "a code that exports do not read"),
        ("%d.%m.%Y %Q", "a code that exports do not read"),
        ("%D", "a code that exports do not read"),
        ("%s", "a code that exports do not read"),
        ("%d.%m.%Y%", "a code that exports do not read"),
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


def test_a_format_of_another_column_or_type_is_refused(tmp_path):
    file = tmp_path / "segment.parquet"
    day = pa.array([date(1990, 1, 1) + timedelta(days=1)])
    pq.write_table(pa.table({"email": ["a@example.com"], "born": day, "other": ["x"]}), file)
    files = read.read_schemas(list(find_files(str(file), local_path)), ["email", "born", "other"])
    fields = {"email": "email", "birthdate": "born"}
    with pytest.raises(InvalidFieldMapping, match="'other', which feeds no field"):
        date_columns.with_dates(FieldMapping(fields, date_formats={"other": "%Y-%m-%d"}), files)
    with pytest.raises(InvalidSegment, match=r"'born' is date32.*describes text"):
        date_columns.with_dates(FieldMapping(fields, date_formats={"born": "%Y-%m-%d"}), files)
