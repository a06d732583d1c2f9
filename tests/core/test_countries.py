"""The codes of countries."""

from __future__ import annotations

from importlib.resources import files

from airflow_provider_segexport.countries import ALIASES, CODES, NAMES, country_code


def test_the_codes_are_those_of_the_tz_database():
    """Its table of ISO 3166-1 comes with the time zones that Airflow installs."""
    lines = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    assert [line[:2] for line in lines if line[:1] != "#"] == CODES.split()


def test_other_words_are_no_codes_and_mean_one():
    """A word that was a code in its own right would be sent as another country's."""
    codes = set(CODES.split())
    assert not ALIASES.keys() & codes
    assert set(ALIASES.values()) <= codes


def test_each_code_has_a_name():
    names = dict(entry.strip().split(" ", 1) for entry in NAMES.split(";"))
    assert sorted(names) == CODES.split()
    assert all(country_code(name.upper()) == code for code, name in names.items())


def test_a_code_or_a_name_in_any_case_is_a_country():
    given = [
        "de",
        " UK ",
        "Deutschland",
        "ÖSTERREICH",
        "trinidad and tobago",
        "USA",
        "XX",
        "Congo",
        "",
        "Atlantis",
        "ß",
        "DE\x00",
        "\x07\u200bgermany\x00",
        "D\x00E",
    ]
    assert [country_code(text) for text in given] == ["DE", "GB", "DE", "AT", "TT", "US", *[None] * 5, "DE", "DE", None]
