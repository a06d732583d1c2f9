"""Values arrive at the vendor as they stand in the segment, or are named as rejected: none is dropped silently."""

from __future__ import annotations

import datetime as dt
import re

import pyarrow as pa
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.http.client import Sender
from airflow_provider_segexport.vendors.responses import send_json


def post(account, path, body):
    """Make a custom field as an administrator does at the vendor."""
    target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))

    def operation():
        return (yield send_json("POST", f"{target.base_url}/{path.format(target.audience)}", body))

    response = account.call(operation())
    assert response.status in {200, 201}, response.body


def test_campaign_monitor_drops_no_value(sim, tmp_path):
    """Dates, numbers and options that the vendor would ignore are rejected; all others are stored."""
    account = VendorHarness(sim, "campaign_monitor", tmp_path)
    fields = {"Started": ("Date", []), "Rating": ("Number", []), "Tier": ("MultiSelectOne", ["Gold", "Silver"])}
    fields["Hobbies"] = ("MultiSelectMany", ["Music", "Art"])
    for name, (kind, options) in fields.items():
        post(account, "lists/{}/customfields.json", {"FieldName": name, "DataType": kind, "Options": options})
    columns = {
        "email": people(6),
        "started": [dt.date(1899, 12, 31), *[dt.date(1984, 2, 29)] * 5],
        "rating": [1.5, 1e-7, 1e20, 12.5, -0.0, 1.0],
        "tier": ["Gold", "gold", "Silver", "Bronze", None, "Gold"],
        "hobbies": ["Music", "art||music", "Music", "Music", "Music", "Chess"],
    }
    report = account.export(
        account.segment(columns), mode="upsert", custom_fields={name: name.lower() for name in fields}
    )
    assert (report["counts"]["delivered"], report["counts"]["rejected"]) == (3, 3)
    rejects = {row["file_row"]: (row["reason"], row["field"]) for row in account.rejects()}
    assert rejects == {row: ("invalid_value", field) for row, field in ((0, "Started"), (3, "Tier"), (5, "Hobbies"))}
    stored = {email: member["fields"] for email, member in account.members().items()}
    assert stored["p1@example.com"]["Rating"] == "0.0000001"
    assert stored["p1@example.com"]["Tier"] == "Gold"
    assert sorted(stored["p1@example.com"]["Hobbies"]) == ["Art", "Music"]
    assert stored["p2@example.com"]["Rating"] == "100000000000000000000"
    assert stored["p4@example.com"]["Rating"] == "0"
    again = account.export(
        account.segment(columns), "again", mode="upsert", custom_fields={name: name.lower() for name in fields}
    )
    assert (again["counts"]["unchanged"], again["counts"]["rejected"]) == (3, 3)


def test_constant_contact_takes_the_decimals_and_times_of_its_fields(sim, tmp_path):
    """A number is rounded to the field's decimal places, and a datetime field gets a time."""
    account = VendorHarness(sim, "constant_contact", tmp_path)
    numbers = {"Price": {"integer": False, "decimal_places": 2, "allow_negative": True}, "Visits": {"integer": True}}
    for label, metadata in numbers.items():
        post(account, "contact_custom_fields", {"label": label, "type": "number", "metadata": metadata})
    post(account, "contact_custom_fields", {"label": "Seen", "type": "datetime"})
    columns = {
        "email": people(2),
        "price": [1.005, -3.14159],
        "visits": [2.5, 7.0],
        "seen": [dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC), None],
    }
    custom = {"Price": "price", "Visits": "visits", "Seen": "seen"}
    assert account.export(account.segment(columns), custom_fields=custom)["counts"]["delivered"] == 2
    stored = {email: member["fields"] for email, member in account.members().items()}
    assert [stored[email]["cf:Price"] for email in people(2)] == ["1.01", "-3.14"]
    assert [stored[email]["cf:Visits"] for email in people(2)] == ["3", "7"]
    assert stored["p0@example.com"]["cf:Seen"] == "2026-03-01T12:30:00Z"


def test_a_number_has_no_exponent_at_any_vendor(account, monkeypatch):
    """The plain decimal is in the request, without a trailing zero."""
    bodies = []
    call = Sender._call

    def listening(sender, session, request):
        bodies.append(request.body or b"")
        return call(sender, session, request)

    monkeypatch.setattr(Sender, "_call", listening)
    plain = {1e-3: "0.001", 1e16: "10000000000000000", 12.5: "12.5", 2.0**53 + 2: "9007199254740994"}
    columns = {"email": people(len(plain)), "it": list(plain)}
    account.export(account.segment(columns), custom_fields={account.row.custom[1]: "it"}, create_custom_fields=True)
    sent = b"".join(bodies).decode()
    assert [number for number in plain.values() if not re.search(rf'[:"]{re.escape(number)}[",}}]', sent)] == []
    assert not re.search(r"[0-9][eE][+-]?[0-9]+[,}\"]", sent.replace("example.com", ""))


def test_a_phone_in_national_form_arrives_in_e164(account):
    """Where the vendor has a phone; a second export finds the rows unchanged, another region changes theirs alone."""
    if not {"phone", "country"} <= {rule.field for rule in account.vendor.fields}:
        pytest.skip("the vendor has no field for phone or country")
    columns = {
        "email": people(4),
        "phone": ["0170 1234567", "0664 1234567", "+491701234567", "0170 1234567 ext. 5"],
        "land": [None, "Austria", None, "DE"],
    }
    mapping = {"email": "email", "phone": "phone", "country": "land"}
    options = {"mode": "upsert", "field_mapping": mapping, "create_custom_fields": True}
    report = account.export(account.segment(columns), default_region="DE", **options)
    assert report["counts"]["delivered"] == 4
    assert [counts["converted_to_e164"] for counts in report["warnings"].values() if "converted_to_e164" in counts] == [
        2
    ]
    members = account.members().values()
    stored = {number for number in ("+491701234567", "+436641234567") if number in str(list(members))}
    assert stored == {"+491701234567", "+436641234567"}
    again = account.export(account.segment(columns), "again", default_region="DE", **options)
    assert again["counts"]["unchanged"] == 4
    other = account.export(account.segment(columns), "other", default_region="FR", **options)
    assert other["counts"]["unchanged"] == 3


def test_dates_as_text_arrive_as_dates(account):
    """In each vendor's own form, also in a custom field that the export creates; a wrong text is never a date."""
    columns = {
        "email": people(3),
        "born": ["31.12.1990", "1.2.1991", None],
        "joined": ["12/25/2024 5:06 pm", None, "01/02/2025 00:00 am"],
    }
    name = account.row.custom[1]
    has_birthdate = any(rule.field == "birthdate" for rule in account.vendor.fields)
    options = {
        "field_mapping": {"email": "email", **({"birthdate": "born"} if has_birthdate else {})},
        "custom_fields": {name: "joined"},
        "date_formats": {**({"born": "%d.%m.%Y"} if has_birthdate else {}), "joined": "%m/%d/%Y %I:%M %p"},
        "create_custom_fields": True,
    }
    report = account.export(account.segment(columns), mode="upsert", **options)
    assert report["counts"]["delivered"] == 2
    assert report["reasons"] == {"rejected": {"invalid_value": 1}}
    stored = str(list(account.members().values()))
    assert "31.12.1990" not in stored
    assert re.search(r"2024[-/]12[-/]25", stored)


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.int32(), pa.bool_(), pa.date32(), pa.timestamp("us", "UTC")], ids=str
)
def test_a_column_of_nothing_but_nulls_feeds_a_text_field_whatever_its_type(sim, tmp_path, kind):
    """A writer gives such a column any type, and the next day it has names."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    nulls = pa.array([None] * 3, kind)
    report = account.day(1, people(3), columns={"first": nulls})
    assert report["counts"]["delivered"] == 3
    report = account.day(2, people(3), first=dict.fromkeys(people(3), "Ada"))
    assert report["counts"]["delivered"] == 3


def test_a_single_number_in_a_column_that_feeds_a_text_field_is_refused(sim, tmp_path):
    """As before: how to write a number as text is the author's choice."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    with pytest.raises(InvalidSegment, match="Column 'first' is double, and `first_name` takes text"):
        account.day(1, people(3), columns={"first": pa.array([None, None, 1.0])})
    assert not account.upserts()


def test_a_column_of_nothing_but_nulls_feeds_a_custom_field_whatever_its_type(account):
    """The field holds dates since the day before, from a column or from text with a date format."""
    dates = pa.array([dt.date(2024, 12, 25)] * 3)
    nulls = pa.array([None] * 3, pa.float64())
    options = {"mode": "upsert", "custom_fields": {account.row.custom[1]: "it"}, "create_custom_fields": True}
    report = account.day(1, people(3), columns={"it": dates}, **options)
    assert report["counts"]["delivered"] == 3
    for day, formats in enumerate([{}, {"it": "%d.%m.%Y"}], 2):
        report = account.day(
            day, people(4), columns={"it": pa.concat_arrays([nulls, nulls[:1]])}, date_formats=formats, **options
        )
        assert report["counts"]["rejected"] == 0, formats
    with pytest.raises((InvalidSegment, InvalidFieldMapping), match="'it' is "):
        account.day(4, people(3), columns={"it": pa.array([1.5, None, None])}, date_formats={"it": "%Y"}, **options)
