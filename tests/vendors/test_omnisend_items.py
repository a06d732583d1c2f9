"""Omnisend: what a row becomes as an item, and what is left out of it."""

from __future__ import annotations

import pyarrow as pa
import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import InvalidFieldMapping


@pytest.fixture
def account(sim, tmp_path):
    return VendorHarness(sim, "omnisend", tmp_path)


def sent(account):
    """The items of all batches, as the vendor got them."""
    return [item for call in account.upserts() for item in call["body"]["items"]]


def upserted(account, columns, **options):
    """Export columns; what the vendor holds of p0."""
    rows = len(next(iter(columns.values())))
    account.report = account.export(account.segment({"email": people(rows), **columns}), **options)
    assert account.report["counts"]["delivered"] == rows
    return account.members()["p0@example.com"]


def test_nobodys_consent_is_touched(account):
    """No item has channels or consent, and none asks for the welcome message that is sent by default."""
    account.sim.seed("omnisend", [{"email": "p1@example.com", "status": "unsubscribed"}])
    upserted(account, {"phone": ["+37061234567", None, "+12025550100"]}, field_mapping={"phone": "phone"})
    identifiers = [identifier for item in sent(account) for identifier in item["identifiers"]]
    assert {("email", False), ("phone", False)} == {
        (identifier["type"], identifier["sendWelcomeMessage"]) for identifier in identifiers
    }
    assert {"type", "id", "sendWelcomeMessage"} == {key for identifier in identifiers for key in identifier}
    members = account.members()
    assert "unsubscribed" == members["p1@example.com"]["status"]
    assert "nonSubscribed" == members["p0@example.com"]["status"]
    assert [0, 0] == [account.facts("mails"), account.facts("consent_upgraded")]


def test_every_field_has_its_place(account):
    """Neutral fields go where the vendor has them; the tag travels in the item itself."""
    columns = {
        "first_name": ["Ann"],
        "last_name": ["O'Neill"],
        "gender": ["Female"],
        "postcode": [90001],
        "address": ["1234 Main St"],
        "city": ["Łódź"],
        "state": ["CA"],
        "country": ["us"],
        "phone": ["+1 (202) 555-0100"],
        "birthdate": ["1990-02-28"],
    }
    account.audience = "seg high_value"
    contact = upserted(account, columns, field_mapping={name: name for name in columns})
    assert ("seg high_value",) == tuple(contact["tags"])
    assert ("+12025550100",) == tuple(contact["phones"])
    assert contact["fields"] == {
        "firstName": "Ann",
        "lastName": "O'Neill",
        "gender": "f",
        "postalCode": "90001",
        "address": "1234 Main St",
        "city": "Łódź",
        "state": "CA",
        "countryCode": "US",
        "birthdate": "1990-02-28",
    }
    assert {} == account.report["warnings"]


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("gender", "m", {"gender": "m"}),
        ("gender", " MALE ", {"gender": "m"}),
        ("gender", "diverse", {}),
        ("gender", "", {}),
        ("birthdate", "1999-02-30", {}),
        ("birthdate", "28.02.1990", {}),
        ("country", "Lithuania", {"country": "Lithuania"}),
        ("country", "lt", {"countryCode": "LT"}),
        ("country", "LTU", {"country": "LTU"}),
        ("country", "UK", {"countryCode": "GB"}),
        ("country", "el", {"countryCode": "GR"}),
        ("country", "XX", {"country": "XX"}),
    ],
)
def test_what_a_field_cannot_hold_is_left_out_of_its_row(account, field, given, expected):
    """The row arrives without it, and the report counts it by field; nothing is guessed."""
    contact = upserted(account, {field: [given]}, field_mapping={field: field})
    assert expected == contact["fields"]
    left_out = {"left_out_invalid_value": 1}
    assert ({} if expected or not given else {field: left_out}) == account.report["warnings"]


@pytest.mark.parametrize("given", ["12345", "0612345678", "+37", "+0123456789", "call me", "00370612345"])
def test_a_phone_that_is_not_international_is_left_out(account, given):
    """No country is guessed; the identifier goes, not the row."""
    contact = upserted(account, {"phone": [given, "+370 612-34567"]}, field_mapping={"phone": "phone"})
    assert () == tuple(contact["phones"])
    assert ("+37061234567",) == tuple(account.members()["p1@example.com"]["phones"])
    assert {"phone": {"left_out_invalid_value": 1}} == account.report["warnings"]
    assert [1, 2] == sorted(len(item["identifiers"]) for item in sent(account))


def test_custom_properties_keep_the_type_of_their_column(account):
    """Segments at the vendor compare text, numbers and switches differently. Nothing is created beforehand."""
    columns = {
        "orders": [7],
        "spent": [12.5],
        "vip": pa.array([True]),
        "since": pa.array(["2024-05-06"]).cast(pa.date32()),
        "tier": ["gold"],
        "empty": pa.array([None], pa.string()),
    }
    contact = upserted(account, columns, custom_fields={f"my_{name}": name for name in columns})
    assert contact["fields"] == {
        "my_orders": 7,
        "my_spent": 12.5,
        "my_vip": True,
        "my_since": "2024-05-06",
        "my_tier": "gold",
    }


@pytest.mark.parametrize("name", ["favourite shop", "x" * 129, "größe", "a-b", ""])
def test_a_custom_property_that_cannot_exist(account, name):
    """Names are letters, digits and underscore."""
    with pytest.raises(InvalidFieldMapping, match=r"1 to 128 of letters, digits and _"):
        account.export(account.segment({"email": people(1), "x": ["y"]}), custom_fields={name: "x"})


def test_there_is_no_field_for_a_full_name(account):
    """It is not cut in two by guessing: the error says what the vendor takes."""
    with pytest.raises(InvalidFieldMapping, match=r"has no field for `full_name`.*first_name, last_name.*custom_field"):
        account.export(account.segment({"email": people(1), "n": ["Ann Lee"]}), field_mapping={"full_name": "n"})
