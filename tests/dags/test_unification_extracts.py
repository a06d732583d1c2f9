"""The made-up world and the three extracts of it."""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from email_validator import validate_email

from unification.extracts import extracts
from unification.people import People
from unification.population import EventHistory, Population
from unification.seeded_random import SeededRandom

DAY = date(2026, 11, 22)
PERSONS = 20_000


def frames(day: date) -> dict[str, pd.DataFrame]:
    tables = extracts(PERSONS, day)
    return {
        name: table.to_pandas(date_as_object=False).set_index(table.column_names[0]) for name, table in tables.items()
    }


@pytest.fixture(scope="module")
def today() -> dict[str, pd.DataFrame]:
    return frames(DAY)


@pytest.fixture(scope="module")
def tomorrow() -> dict[str, pd.DataFrame]:
    return frames(DAY + timedelta(days=1))


def persons_in(extract: pd.DataFrame) -> set[str]:
    return set(extract.index.str.split("-").str[1])


def changed(before: pd.DataFrame, after: pd.DataFrame) -> float:
    common = before.index.intersection(after.index)
    old, new = before.loc[common], after.loc[common]
    same = (old == new) | (old.isna() & new.isna())
    return float((~same.all(axis=1)).mean())


def test_draws_are_pinned():
    """The same seed, person and purpose draw the same number on every machine and in every release."""
    drawn = SeededRandom(7).bits(np.array([0, 1, 10_000_000]), "purpose", 3)
    assert drawn.tolist() == [0xCB5C9B5E391C957D, 0x5431BFD9B8CA696, 0x1A516A9E1F01BCDB]


def test_same_seed_and_day_make_the_same_extracts():
    """A day is made again exactly, and another seed makes another world."""
    first, again, other = extracts(500, DAY), extracts(500, DAY), extracts(500, DAY, seed=1)
    assert all(first[name].equals(again[name]) for name in first)
    assert not any(first[name].equals(other[name]) for name in first)


def test_every_person_is_in_some_extract(today):
    """As many persons as were asked for, each known to at least one source."""
    assert len(set().union(*map(persons_in, today.values()))) == PERSONS


def test_three_of_ten_persons_are_known_to_several_sources(today):
    """The overlap between the sources is 30 %."""
    person_ids = pd.Series([person for extract in today.values() for person in persons_in(extract)])
    assert (person_ids.value_counts() > 1).mean() == pytest.approx(0.30, abs=0.01)


def test_one_in_a_hundred_changes_from_day_to_day(today, tomorrow):
    """About 1 % of the people in each source have changed a day later."""
    shares = {name: changed(today[name], tomorrow[name]) for name in today}
    assert all(0.007 <= share <= 0.014 for share in shares.values()), shares


def test_a_change_bears_a_newer_date(today, tomorrow):
    """Whatever changed has been updated since; what has not been updated is as it was."""
    old, new = today["shop"], tomorrow["shop"]
    common = old.index.intersection(new.index)
    touched = new.loc[common, "updated_at"] > old.loc[common, "updated_at"]
    assert touched.any()
    assert changed(old.loc[common[~touched]], new.loc[common[~touched]]) == 0


def test_some_join_and_some_leave_each_day(today, tomorrow):
    """One in a thousand leaves, as many join, and the world keeps its size."""
    before = set().union(*map(persons_in, today.values()))
    after = set().union(*map(persons_in, tomorrow.values()))
    assert len(after) == PERSONS
    assert len(before - after) == len(after - before) == PERSONS // 1000


def test_nothing_is_from_the_future(today):
    """An extract knows nothing that happens on its day or later."""
    midnight = pd.Timestamp(DAY)
    assert today["crm"]["modified_at"].max() < midnight
    assert today["shop"][["updated_at", "last_order_at"]].max().max() < midnight
    assert today["newsletter"]["updated_at"].max() < midnight


def test_orders_only_grow(today, tomorrow):
    """A customer's orders, revenue and last order never go back."""
    common = today["shop"].index.intersection(tomorrow["shop"].index)
    numbers = ["orders", "revenue", "last_order_at"]
    old, new = today["shop"].loc[common, numbers].dropna(), tomorrow["shop"].loc[common, numbers].dropna()
    assert (new.loc[old.index] >= old).all().all()
    assert (new["orders"].sum() - old["orders"].sum()) > 0


def test_addresses_lie_under_reserved_domains(today):
    """Whatever the dirt, no address names a domain that someone could own."""
    written = pd.concat([extract["email"] for extract in today.values()]).dropna().str.strip().str.lower()
    written = written[~written.isin(["", "n/a", "-", "null"])]
    assert written[~written.str.contains(r"example+[.,]+(?:com|org|net)\.?$")].tolist() == []


def test_people_have_addresses_of_their_own_that_are_valid():
    """Before a source misspells it, each address is unique and one that email-validator accepts."""
    population = Population(1, 3000, DAY)
    ids = population.member_ids()
    emails = People(EventHistory(population, ids), np.zeros_like(ids)).emails().to_pylist()
    assert len(set(emails)) == len(emails)
    for email in emails:
        validate_email(email, check_deliverability=False, test_environment=False)


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("upper case", r"^[A-Z0-9.]+@[A-Z.]+$"),
        ("mixed case", r"^[A-Z][a-z]"),
        ("space around", r"^\s|\s$"),
        ("no at", r"^[^@]+ at [^@]+$"),
        ("two dots", r"\.\."),
        ("comma", r",(?:com|org|net)$"),
        ("two ats", r"@@"),
        ("dot at the end", r"\.$"),
        ("non-ASCII local part", r"^[^@]*[^\x00-\x7f][^@]*@"),
        ("IDN", r"@[^@]*[^\x00-\x7f]"),
        ("a word for none", r"^(?:n/a|-|NULL)$"),
        ("blank", r"^\s*$"),
    ],
)
def test_addresses_are_dirty_in_every_way(today, kind, pattern):
    """Each kind of dirt is there, and is rare."""
    written = pd.concat([extract["email"] for extract in today.values()]).dropna()
    assert 0 < written.str.contains(pattern).mean() < 0.08, kind


def test_names_are_international(today):
    """The names come in many scripts."""
    letters = set("".join(today["crm"]["given_name"].dropna()) + "".join(today["crm"]["family_name"].dropna()))
    scripts = {unicodedata.name(letter, "?").split()[0] for letter in letters}
    assert scripts >= {"LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC", "DEVANAGARI", "CJK", "HANGUL", "HIRAGANA"}
    assert letters >= set("łßéñçÅşřãđ")


def test_sources_conflict(today):
    """The same person has another first name and another postcode in another source."""
    crm, shop = (today[name].set_axis(today[name].index.str.split("-").str[1]) for name in ("crm", "shop"))
    shop = shop.loc[~shop.index.duplicated(), ["first_name", "postcode", "updated_at"]]
    both = crm.join(shop, how="inner")
    complete_rows = both.dropna(subset=["given_name", "first_name", "zip", "postcode"])
    assert (complete_rows["given_name"] != complete_rows["first_name"]).mean() > 0.05
    assert (complete_rows["zip"] != complete_rows["postcode"]).mean() > 0.02
    assert (complete_rows["modified_at"] > complete_rows["updated_at"]).mean() > 0.05
    assert (complete_rows["modified_at"] < complete_rows["updated_at"]).mean() > 0.05


def test_phones_are_partly_e164(today):
    """Some numbers are E.164, some are written by hand, some are missing."""
    phones = today["crm"]["phone"]
    e164 = phones.str.fullmatch(r"\+[1-9][0-9]{7,14}", na=False).mean()
    assert 0.3 < e164 < 0.6
    assert 0.1 < phones.isna().mean() < 0.2
    assert phones.str.contains(r"^0[^0]", na=False).any()
    assert phones.str.contains(r"^00", na=False).any()
    assert phones.str.contains(r"^\(\+", na=False).any()


def test_a_few_ordered_as_guests_too(today):
    """Some customers are in the shop twice."""
    shop = today["shop"].index
    guests = shop[shop.str.startswith("guest")].str.split("-").str[1]
    assert 0.01 < len(guests) / len(shop) < 0.03
    assert set(guests) <= set(shop[shop.str.startswith("shop")].str.split("-").str[1])


@pytest.mark.parametrize(("size", "day"), [(0, DAY), (100, date(2019, 12, 31))])
def test_a_world_that_cannot_be_is_refused(size, day):
    """No persons, or a day before the world began: an error that says so."""
    with pytest.raises(ValueError, match="To fix"):
        Population(1, size, day)
