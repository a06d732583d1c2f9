"""Phone numbers in E.164."""

from __future__ import annotations

import re
from dataclasses import replace

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_segexport import phone_number
from airflow_provider_segexport.countries import CODES
from airflow_provider_segexport.phone_number import to_e164
from airflow_provider_segexport.stages import clean
from airflow_provider_segexport.storage import phone_column
from airflow_provider_segexport.storage.plan import FieldMapping
from airflow_provider_segexport.vendors.base import FieldRule
from tests.core.factories import PLAIN, inspected, matching_of, outcomes, shared, values, written

REGIONS = st.sampled_from([*CODES.split(), "XX", "", "d", "DEU", None])
GERMAN = "+491701234567"


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("0170 1234567", "DE", GERMAN),
        ("0170/1234567", "DE", GERMAN),
        ("(0170) 123-45 67", "DE", GERMAN),
        ("00491701234567", "DE", GERMAN),
        ("1701234567", "DE", GERMAN),
        ("0170.123.45.67", "DE", GERMAN),
        ("0170.1234567", "DE", GERMAN),
        ("+49 170 1234567", None, GERMAN),
        ("+49 170 1234567", "US", GERMAN),
        ("+49 (0)170 1234567", None, GERMAN),
        ("(+49) 170 1234567", None, GERMAN),
        ("＋49 170 1234567", None, GERMAN),  # noqa: RUF001 - a plus in full width
        ("٠١٧٠ ١٢٣٤٥٦٧", "DE", GERMAN),  # noqa: RUF001 - Arabic digits
        ("\u202a+49 170 1234567\u202c", None, GERMAN),
        ("\x00+49 170 1234567\x00\x07", None, GERMAN),
        ("0170 1234567\x7f\r\n", "DE", GERMAN),
        ("(617) 555-0100", "US", "+16175550100"),
        ("1 617 555 0100", "US", "+16175550100"),
        ("02 1234 5678", "IT", "+390212345678"),
        ("8 612 34567", "LT", "+37061234567"),
    ],
)
def test_a_number_becomes_e164(text, region, number):
    assert to_e164(text, region) == number


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("0170 1234567", None),
        ("0170 1234567", "XX"),
        ("0170 1234567", "AQ"),  # Antarctica has no numbers of its own
        ("0049 170 1234567", "US"),  # `00` is no prefix for calls abroad there
        ("49 170 1234567", "DE"),  # a country code without a plus, or a landline of area 0491
        ("253-0000", "US"),  # a local number: its area code is missing
        ("110", "DE"),
        ("+49", None),
        ("++49 170 1234567", None),
        ("0170 +49 1234567", "DE"),
        ("030 1234567 / 030 7654321", "DE"),
        ("040 1234567/68", "DE"),  # two lines of one person
        ("+49 40 1234567/8", None),
        ("01 58858/15", "AT"),  # an extension
        ("2024-05-12", "DE"),  # a date
        ("1701234567.0", "DE"),  # a number that was a float
        ("491701234567.00", "DE"),
        ("+491701234567.0", None),
        (" 01701234567.0 ", "DE"),
        ("+999 170 1234567", "DE"),
        ("+0170 1234567", "DE"),
        ("()", "DE"),
        ("", "DE"),
        ("0" * 64, "DE"),
    ],
)
def test_a_text_that_is_not_one_complete_number_stays(text, region):
    assert to_e164(text, region) is None


@given(st.text("0123456789٠١٢٣٤٥+＋ ()[]./~-\u00a0\u200b\u202a", max_size=64), REGIONS)  # noqa: RUF001
@settings(max_examples=400, deadline=None)
def test_a_result_is_always_e164(text, region):
    """No text raises, and each result is a possible number that converts to itself."""
    number = to_e164(text, region)
    if number is not None:
        assert re.fullmatch(phone_number.E164, number)
        assert phonenumbers.is_possible_number(phonenumbers.parse(number))


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_s_example_converts_from_its_own_forms(region):
    """The national form yields the same number or none; the international form always yields it."""
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if example is None:
        return
    e164 = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    assert to_e164(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL), None) == e164
    national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    assert to_e164(national, region) in {e164, None}


TEXT_FIELDS = replace(
    PLAIN, fields=(FieldRule("email", "email"), FieldRule("country", "country"), FieldRule("phone", "phone"))
)
E164_FIELD = replace(
    TEXT_FIELDS, fields=(*TEXT_FIELDS.fields[:2], FieldRule("phone", "phone", value_kind="phone", drop_invalid=True))
)


def convert(tmp_path, phones, countries=None, *, default_region="", vendor=TEXT_FIELDS):
    """Clean a segment; return the phone numbers in row order, and the warnings about them."""
    columns = {"email": [f"p{number}@example.com" for number in range(len(phones))], "phone": phones}
    fields = {"email": "email", "phone": "phone"}
    if countries is not None:
        columns["country"], fields["country"] = countries, "country"
    files = inspected(written(tmp_path / "x.parquet", columns), wanted=list(columns))
    mapping = matching_of(files, FieldMapping(fields, default_region=default_region), vendor)
    result = clean.clean(shared(), files, mapping)
    assert outcomes(shared()) == {}
    return values(shared(), "phone"), result.warnings.get("phone", {})


def test_the_country_of_the_row_decides_before_the_default(tmp_path):
    """A row with an unknown country gets no default, because its number would be another person's."""
    countries = ["AT", "Austria", "österreich", "uk", " de ", "Atlantis", "XX", "", None]
    phones = ["0664 1234567"] * 3 + ["07911 123456"] + ["0170 1234567"] * 5
    numbers, warnings = convert(tmp_path, phones, countries, default_region="DE")
    assert numbers == ["+436641234567"] * 3 + ["+447911123456", GERMAN, "0170 1234567", "0170 1234567", GERMAN, GERMAN]
    assert warnings == {"converted_to_e164": 7}


def test_without_country_and_default_only_international_numbers_convert(tmp_path):
    numbers, warnings = convert(tmp_path, ["0170 1234567", "+49 170 1234567", "+49 (0)170 1234567", GERMAN, " ", None])
    assert numbers == ["0170 1234567", GERMAN, GERMAN, GERMAN, None, None]
    assert warnings == {"converted_to_e164": 1}


def test_what_cannot_be_converted_follows_the_rule_of_the_vendor(tmp_path):
    """A vendor that takes any text gets the text; at a vendor that takes E.164 alone the value is left out."""
    phones = ["0170 1234567 ext. 5", "0170 1234567#5", "call me", "0170 FLOWERS", "9" * 1000, "*100", "0170,1234567"]
    assert convert(tmp_path, phones, default_region="DE") == (phones, {})
    left_out = {"left_out_invalid_value": 7}
    assert convert(tmp_path, phones, default_region="DE", vendor=E164_FIELD) == ([None] * 7, left_out)


def test_a_text_of_null_follows_the_rule_of_the_field(tmp_path):
    """Where it is left out, the report counts it already; where it is sent, the report says so."""
    phones = ["None", GERMAN]
    assert convert(tmp_path, phones, vendor=E164_FIELD) == ([None, GERMAN], {"left_out_invalid_value": 1})
    assert convert(tmp_path, phones) == (phones, {"null_as_text": 1})


NO_NUMBERS = [
    "+49 40 1234567/8",
    "+49 40 1234567 - 12345678",
    "+1 212 555 0100 5",
    "+999 170 1234567",
    "+491701234567.0",
]


@given(st.lists(st.sampled_from(NO_NUMBERS) | st.text("0123456789+ ()./-", max_size=20), min_size=8, max_size=20))
@settings(max_examples=15, deadline=None)
def test_a_text_that_is_no_number_is_not_sent_without_its_separators(tmp_path_factory, texts):
    """A vendor of E.164 gets what the conversion yields, or the text if it is E.164, and nothing else."""
    numbers, _ = convert(tmp_path_factory.mktemp("any"), texts, default_region="DE", vendor=E164_FIELD)
    assert numbers == [text if re.fullmatch(phone_number.E164, text) else to_e164(text, "DE") for text in texts]


def test_control_characters_at_the_ends_of_number_and_country(tmp_path):
    """A fixed-width export pads with NUL; between digits it may separate two numbers, so such a text stays."""
    phones = ["0170 1234567\x00", "0170 1234567", "\x000170 1234567", "0170 1234567", "0170\x001234567"]
    countries = ["DE", "DE\x00", "de\x07", "Germany\x00\x00", "DE"]
    numbers, _ = convert(tmp_path, phones, countries)
    assert numbers == [GERMAN] * 4 + ["0170 1234567"]


def test_a_column_of_whole_numbers(tmp_path):
    """A file that holds numbers has lost the zero before them."""
    for vendor, other in ((TEXT_FIELDS, "12"), (E164_FIELD, None)):
        numbers, _ = convert(tmp_path, [1701234567, 12, None], default_region="DE", vendor=vendor)
        assert numbers == [GERMAN, other, None]


def test_python_converts_each_distinct_number_once_in_batches(tmp_path, monkeypatch):
    """Numbers in E.164 never reach Python, and no batch is larger than its limit."""
    calls = []
    monkeypatch.setattr(phone_column, "CONVERT_CHUNK_ROWS", 2048)
    monkeypatch.setattr(phone_number, "to_e164", lambda text, region: calls.append((text, region)) or None)
    distinct = [f"0170 {number:07d}" for number in range(5000)]
    convert(tmp_path, distinct + distinct + [GERMAN] * 5000, default_region="DE")
    assert sorted(calls) == [(text, "DE") for text in distinct]


def test_rows_keep_their_order_and_their_own_numbers(tmp_path):
    """The join by hash neither mixes nor moves rows, when each number is different."""
    phones = [f"0170 {number:07d}" if number % 3 else None for number in range(1_000_000, 1_020_000)]
    numbers, _ = convert(tmp_path, phones, default_region="DE")
    assert numbers == [text and "+49" + text[1:].replace(" ", "") for text in phones]
    assert values(shared(), "row") == list(range(len(phones)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["0170 1234567", GERMAN, "1\x1fDE", " +49 170\t1234567 ", "\x00", "0664 1234567"])
            | st.text(max_size=80),
            st.sampled_from(["DE", "AT", "", None, "2\x1fDE", "x" * 5000]) | st.text(max_size=5),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=25, deadline=None)
def test_any_texts_become_e164_or_stay(tmp_path_factory, rows):
    """No text stops an export, and E.164 stays as it is."""
    phones, countries = [phone for phone, _ in rows], [country for _, country in rows]
    numbers, _ = convert(tmp_path_factory.mktemp("any"), phones, countries, default_region="DE", vendor=E164_FIELD)
    for text, number in zip(phones, numbers, strict=True):
        assert number is None or re.fullmatch(phone_number.E164, number)
        assert text != GERMAN or number == GERMAN
