"""All rules of unification together, on extracts of 5000 persons."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from unification.extracts import extracts
from unification.normalise import normalise
from unification.unify import PROFILE, identities, to_table, unify

DAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def everyone() -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas(date_as_object=False) for name, table in extracts(5000, DAY).items()}


@pytest.fixture(scope="module")
def profiles(everyone) -> pd.DataFrame:
    return unify(everyone)


def test_every_row_ends_in_exactly_one_profile(everyone, profiles):
    """No row is lost or counted twice: each has one identity, each identity one profile."""
    rows = normalise(everyone)
    identity = identities(rows)
    assert len(rows) == sum(map(len, everyone.values()))
    assert identity.notna().all()
    assert identity.nunique() == len(profiles) == profiles["profile_id"].nunique()


def test_orders_and_revenue_are_conserved(everyone, profiles):
    """Sales of the shop are purchases of the profiles."""
    assert profiles["orders"].sum() == everyone["shop"]["orders"].sum()
    assert profiles["lifetime_value"].sum() == pytest.approx(everyone["shop"]["revenue"].sum())


def test_there_are_about_as_many_profiles_as_persons(profiles):
    """Unification finds the persons again: bad addresses leave 2 % too many, lost phones none too few."""
    assert len(profiles) / 5000 == pytest.approx(1.02, abs=0.015)


def test_good_addresses_are_unique(profiles):
    """No two profiles have the same address in lower case."""
    emails = profiles["email"].dropna()
    good = emails[emails.str.fullmatch(r"[^@, ]+@[^@, ]+\.[^@, ]+")]
    assert not good.str.lower().duplicated().any()
    assert 0.005 < 1 - len(good) / len(emails) < 0.03


def test_the_order_of_rows_does_not_matter(everyone, profiles):
    """Extracts in another order make the same profiles, up to rows of one source with one date."""
    shuffled = {name: frame.sample(frac=1, random_state=1) for name, frame in everyone.items()}
    before = profiles.set_index("profile_id").sort_index()
    after = unify(shuffled).set_index("profile_id").sort_index()
    pd.testing.assert_frame_equal(before, after)


def test_profiles_have_the_promised_columns(profiles):
    """The file has just these columns, of these types, and no word of pandas."""
    table = to_table(profiles)
    assert table.schema.equals(PROFILE, check_metadata=True)
    assert PROFILE.names == [
        "profile_id",
        "email",
        "first_name",
        "last_name",
        "full_name",
        "gender",
        "birthdate",
        "phone",
        "address",
        "city",
        "state",
        "postcode",
        "country",
        "loyalty_tier",
        "lifetime_value",
        "last_order_at",
        "orders",
        "newsletter",
        "newsletter_consented_at",
        "updated_at",
    ]
