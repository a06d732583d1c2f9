"""The codes of countries."""

from __future__ import annotations

from importlib.resources import files

from airflow_provider_segexport.countries import ALIASES, CODES


def test_the_codes_are_those_of_the_tz_database():
    """Its table of ISO 3166-1 comes with the time zones that Airflow installs."""
    lines = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    assert [line[:2] for line in lines if line[:1] != "#"] == CODES.split()


def test_other_words_are_no_codes_and_mean_one():
    """A word that was a code in its own right would be sent as another country's."""
    codes = set(CODES.split())
    assert not ALIASES.keys() & codes
    assert set(ALIASES.values()) <= codes
