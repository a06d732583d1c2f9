"""Field mapping held against vendor and files, before any row is read."""

from __future__ import annotations

import pyarrow as pa
import pytest
from core.factories import PLAIN, TARGET, inspected, matching_of, written

from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.stages import map_fields
from airflow_provider_segexport.storage.plan import FieldMapping


def refused(message, mapping):
    with pytest.raises(InvalidFieldMapping, match=message):
        map_fields.required_columns(PLAIN, mapping)


def test_the_columns_that_matching_names_each_once():
    """A column may feed several fields, and is read once."""
    mapping = FieldMapping({"email": "mail", "first_name": "who"}, {"note": "who", "points": "ltv"})
    assert map_fields.required_columns(PLAIN, mapping) == ["mail", "who", "ltv"]


def test_mistakes_in_names_are_errors_before_a_file_is_opened():
    """A name that the vendor or the provider does not know is an error that lists the known ones."""
    refused("names no column for `email`", FieldMapping({"first_name": "a"}))
    refused("no field 'e-mail'. To fix: use one of email, first_name", FieldMapping({"email": "a", "e-mail": "a"}))
    refused("Plainmail has no field for `city`; it accepts: email, ", FieldMapping({"email": "a", "city": "a"}))
    refused("empty column name", FieldMapping({"email": "a", "gender": ""}))
    refused(
        "full_name and first_name both feed 'name'", FieldMapping({"email": "a", "full_name": "a", "first_name": "b"})
    )


def test_custom_fields_that_cannot_be():
    """A name that the vendor would not take, or that something else feeds already, is refused."""
    refused(
        "'points!' cannot exist at Plainmail: it takes 1 to 20 letters", FieldMapping({"email": "a"}, {"points!": "a"})
    )
    refused("'abcdefghijklmnopqrstu' cannot exist", FieldMapping({"email": "a"}, {"abcdefghijklmnopqrstu": "a"}))
    refused("Two fields are mapped to 'NOTE'", FieldMapping({"email": "a"}, {"note": "a", "NOTE": "b"}))
    refused("Two fields are mapped to 'Gender'", FieldMapping({"email": "a", "gender": "b"}, {"Gender": "a"}))


@pytest.fixture
def files(tmp_path):
    table = pa.table(
        {
            "email": ["a@example.com"],
            "tags": pa.array([["x"]]),
            "home": pa.array([{"city": "x"}]),
            "n": [1],
            "born": ["2000-01-01"],
            "ok": [True],
        }
    )
    return inspected(written(tmp_path / "x.parquet", table), wanted=table.column_names)


def test_a_column_of_a_wrong_type(files):
    """The error names the column, its type and what the field takes."""
    with pytest.raises(InvalidSegment, match="Column 'n' is int64, and `first_name` takes text"):
        map_fields.resolve_types(PLAIN, FieldMapping({"email": "email", "first_name": "n"}), files)
    with pytest.raises(InvalidSegment, match="Column 'ok' is bool, and `email` takes text"):
        map_fields.resolve_types(PLAIN, FieldMapping({"email": "ok"}), files)


@pytest.mark.parametrize(("column", "type_name"), [("tags", "list<"), ("home", "struct<")])
def test_a_list_or_struct_column(files, column, type_name):
    """A custom field takes a single value."""
    with pytest.raises(InvalidSegment, match=f"Column '{column}' is {type_name}.*a single value"):
        map_fields.resolve_types(PLAIN, FieldMapping({"email": "email"}, {"note": column}), files)


def test_a_column_that_does_not_fit_the_vendor_s_field(files):
    """A number cannot feed a field that the vendor holds as a date."""
    with pytest.raises(InvalidFieldMapping, match="'n' is integer, and the vendor's field 'since' holds a date"):
        matching_of(files, FieldMapping({"email": "email"}, {"since": "n"}))


def test_two_names_of_one_field(files):
    """A vendor that knows a field by name and by key still has one of it."""
    with pytest.raises(InvalidFieldMapping, match="Two fields are mapped to 'postcode'"):
        matching_of(files, FieldMapping({"email": "email", "postcode": "n"}, {"post code": "born"}))


def test_custom_fields_that_the_audience_lacks(files):
    """Each is named with the type to make it of."""
    mapping = FieldMapping({"email": "email"}, {"note": "born", "level": "n", "member": "ok"})
    matched = map_fields.resolve_types(PLAIN, mapping, files)
    assert map_fields.missing_custom_fields(PLAIN, mapping, matched, files, TARGET) == {
        "level": "number",
        "member": "boolean",
    }
