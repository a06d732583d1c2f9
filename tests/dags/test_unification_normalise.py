"""Rule 1 of unification: every field in one spelling, whatever a source wrote."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pytest

from unification.normalise import TEXT, birthdates, consents, countries, genders, names, phones, text

OLD = datetime(2026, 1, 1)  # noqa: DTZ001 - as the extracts have it


def series(*values: object) -> pd.Series:
    return pd.Series(values, dtype=TEXT)


def test_a_word_for_nothing_is_no_value():
    """A placeholder for nothing is missing, in any case and with any space around."""
    assert text(series(None, "", "  ", "-", "n/a", " N/A", "NULL", "unknown")).isna().all()


def test_text_is_trimmed():
    """Space around a value is no part of it."""
    assert text(series(" Weiß \u00a0", "van  Dyk")).tolist() == ["Weiß", "van  Dyk"]


def test_an_initial_is_no_name():
    """A letter and a dot do not count as a name; two letters do."""
    assert names(series("Ł.", "Jo")).fillna("none").tolist() == ["none", "Jo"]


def test_genders_get_one_spelling():
    """Each source's word for a gender becomes female, male or other; an unknown word becomes none."""
    spellings = genders(series("F", "M", "X", "Ms", "mr", "Mx", "Dr", None)).fillna("none").tolist()
    assert spellings == ["female", "male", "other", "female", "male", "other", "none", "none"]


def test_countries_become_codes():
    """A country's name or code in any case becomes its ISO code; an unknown one stays as written."""
    codes = countries(series("DE", "Germany", "de", "türkiye", "Atlantis ", None)).fillna("none").tolist()
    assert codes == ["DE", "DE", "DE", "TR", "Atlantis", "none"]


@pytest.mark.parametrize(
    ("written", "country", "number"),
    [
        ("+4915112345678", "DE", "+4915112345678"),
        ("004915112345678", "DE", "+4915112345678"),
        ("+49 151 123-45678", None, "+4915112345678"),
        ("(+49) 151/12345678", "DE", "+4915112345678"),
        ("015112345678", "DE", "+4915112345678"),
        ("07512345678", "GB", "+447512345678"),
        ("015112345678", None, "015112345678"),
        ("0151 12", "DE", None),
        ("12345", "DE", None),
        ("ask again", "DE", None),
    ],
)
def test_phones_become_e164(written, country, number):
    """A number becomes E.164, stays as written where its country is not known, and is none when too short."""
    result = phones(series(written), series(country))
    assert result.isna().all() if number is None else result.tolist() == [number]


def test_birthdates_are_those_of_the_living():
    """A birthdate before 1905, or after the row was written, is none."""
    born = pd.Series(pd.to_datetime(["1980-02-29", "1900-01-01", "2026-01-02", None]))
    assert birthdates(born, pd.Series([OLD] * 4)).notna().tolist() == [True, False, False, False]


def test_a_birthdate_as_text_is_read():
    """Day, month and year are a date; what is no date is missing."""
    dates = birthdates(series("05.11.1971", "00.00.1971", "-"), pd.Series([OLD] * 3))
    assert dates.dt.date.fillna(OLD).tolist() == [date(1971, 11, 5), OLD, OLD]


def test_consent_words_are_yes_no_or_silence():
    """Sources say yes and no in their own words, and pending is neither."""
    spellings = pd.Series(["yes", "subscribed", True, "no", "unsubscribed", False, "pending", None], dtype=object)
    assert consents(spellings).fillna(-1).tolist() == [1, 1, 1, 0, 0, 0, -1, -1]
