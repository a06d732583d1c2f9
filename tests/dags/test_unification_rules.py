"""The rules of unification, one by one, as ``unification.unify`` numbers them."""

from __future__ import annotations

from datetime import date, datetime

import pandas as pd
import pyarrow as pa

from unification.extracts import extracts
from unification.unify import ADDRESS_FIELDS, tiers, to_table, unify

DAY = date(2026, 11, 22)
SCHEMAS = {name: table.schema for name, table in extracts(100, DAY).items()}
OLD, MID, NEW = datetime(2026, 1, 1), datetime(2026, 2, 1), datetime(2026, 3, 1)  # noqa: DTZ001  as the extracts have them
DEFAULTS = {"updated_at": OLD, "modified_at": OLD, "orders": 0, "revenue": 0.0}
ANNA = "anna@example.com"


def raw(**rows: list[dict]) -> dict[str, pd.DataFrame]:
    """Extracts that hold just these rows; what a row does not say is missing."""
    tables = {}
    for name, schema in SCHEMAS.items():
        record = schema.names[0]
        full = [{record: f"{name}-{at}", **DEFAULTS, **row} for at, row in enumerate(rows.get(name, []))]
        tables[name] = pa.Table.from_pylist(full, schema=schema).to_pandas(date_as_object=False)
    return tables


def only(**rows: list[dict]) -> dict:
    """The one profile that the rows make, without its missing values."""
    profiles = to_table(unify(raw(**rows))).to_pylist()
    assert len(profiles) == 1
    return {field: value for field, value in profiles[0].items() if value is not None}


def one_each(**rows: list[dict]) -> list[dict]:
    """Profiles of as many people as each source has rows, in order."""
    named = {name: [{"email": f"{at:03}@example.com", **row} for at, row in enumerate(rows[name])] for name in rows}
    return to_table(unify(raw(**named))).sort_by("email").to_pylist()


def count(**rows: list[dict]) -> int:
    return len(unify(raw(**rows)))


# 1. One shape


def test_a_value_wins_over_a_fresher_word_for_nothing():
    """A source that has written down that it knows nothing does not overwrite one that knows."""
    crm = [{"email": ANNA, "given_name": "n/a", "modified_at": NEW}]
    assert only(crm=crm, shop=[{"email": ANNA, "first_name": "Anna"}])["first_name"] == "Anna"


# 2. The email is the identity


def test_one_address_is_one_person():
    """Rows are one person if their addresses are the same but for case and space around."""
    spellings = [ANNA, "ANNA@EXAMPLE.COM", " Anna@example.com", "anna@example.com\u00a0"]
    profile = only(crm=[{"email": spelling} for spelling in spellings], shop=[{"email": ANNA.title()}])
    assert profile["email"] == ANNA


def test_case_is_folded_beyond_ascii():
    """An address in another script is the same in capitals."""
    assert count(crm=[{"email": "йоана@example.com"}], shop=[{"email": "ЙОАНА@EXAMPLE.COM"}]) == 1


def test_other_addresses_are_other_persons():
    """The same name and phone do not make one person of two addresses."""
    same = {"given_name": "Anna", "phone": "+4915112345678"}
    assert count(crm=[{"email": ANNA, **same}, {"email": "anna@example.org", **same}]) == 2


def test_an_invalid_address_identifies_no_person():
    """Two rows with the same bad address remain two persons."""
    bad = ["anna at example.com", "anna@@example.com", "anna@example,com", "anna@example", "@"]
    rows = [{"email": address} for address in bad]
    assert count(crm=rows, shop=rows) == 2 * len(bad)


# 3. Without an email, the phone


def test_the_phone_leads_to_the_address():
    """A row without an address belongs to the person whose address is known with its number, however written."""
    profile = only(
        crm=[{"phone": "0151 12345678", "country": "DE", "zip": "50667"}],
        shop=[{"email": ANNA, "phone": "+4915112345678"}],
    )
    assert (profile["email"], profile["postcode"]) == (ANNA, "50667")


def test_a_shared_phone_leads_nowhere():
    """Where two addresses are known with the number, a row without one is a third person."""
    phone = "+4915112345678"
    assert (
        count(
            crm=[{"phone": phone}], shop=[{"email": ANNA, "phone": phone}, {"email": "b@example.com", "phone": phone}]
        )
        == 3
    )


def test_the_phone_alone_is_an_identity():
    """Rows with the same number and no address are one person, whose email stays missing."""
    phone = "+4915112345678"
    assert "email" not in only(crm=[{"phone": phone}], shop=[{"phone": phone}])


def test_a_number_without_its_country_identifies_no_person():
    """The same digits may be two numbers in two countries."""
    assert count(crm=[{"phone": "015112345678"}], shop=[{"phone": "015112345678"}]) == 2


# 4. With neither, a row is a person of its own


def test_a_row_that_identifies_no_person_is_a_person_of_its_own():
    """Rows with neither address nor number are kept, each for itself."""
    assert count(crm=[{"given_name": "Anna"}, {"given_name": "Anna"}], shop=[{"first_name": "Anna"}]) == 3


# 5. The freshest value wins


def test_the_freshest_value_wins_field_by_field():
    """A newer row gives the fields it has, an older row the fields that the newer one lacks."""
    profile = only(
        crm=[{"email": ANNA, "given_name": "Old", "family_name": "Older", "sex": "F", "modified_at": OLD}],
        shop=[{"email": ANNA, "first_name": "New", "updated_at": NEW}],
    )
    assert (profile["first_name"], profile["last_name"], profile["gender"]) == ("New", "Older", "female")
    assert profile["updated_at"] == NEW


def test_the_source_breaks_a_tie():
    """If rows are equally fresh, the CRM's value wins over the shop's, and the shop's over the newsletter's."""
    crm, shop = {"email": ANNA, "country": "DE"}, {"email": ANNA, "country_name": "France"}
    newsletter = {"email": ANNA, "country": "es"}
    assert only(newsletter=[newsletter], shop=[shop], crm=[crm])["country"] == "DE"
    assert only(newsletter=[newsletter], shop=[shop])["country"] == "FR"


# 6. An address is one value


def test_an_address_is_taken_whole():
    """A new city does not keep the old postcode."""
    profile = only(
        crm=[{"email": ANNA, "street": "Old 1", "town": "Köln", "region": "NW", "zip": "50667", "modified_at": OLD}],
        shop=[{"email": ANNA, "city": "München", "updated_at": NEW}],
    )
    assert {field: profile.get(field) for field in ADDRESS_FIELDS} == {
        "address": None,
        "city": "München",
        "state": None,
        "postcode": None,
    }


def test_a_street_without_a_place_is_no_address():
    """A row that knows neither city nor postcode does not push out one that does."""
    old = {"email": ANNA, "street": "Old 1", "town": "Köln", "zip": "50667", "modified_at": OLD}
    assert only(crm=[old], shop=[{"email": ANNA, "address": "New 1", "updated_at": NEW}])["address"] == "Old 1"


# 7. The most restrictive consent wins


def test_the_most_restrictive_consent_wins():
    """One no outweighs every yes, however old it is, and silence is no yes."""
    cases = [
        (True, "yes", "subscribed", True),
        (None, "yes", None, True),
        (False, "yes", "subscribed", False),
        (True, "no", "subscribed", False),
        (True, "yes", "unsubscribed", False),
        (None, None, None, False),
        (None, None, "pending", False),
        (True, None, "pending", True),
    ]
    profiles = one_each(
        crm=[{"newsletter_opt_in": crm, "modified_at": OLD} for crm, _, _, _ in cases],
        shop=[{"marketing": shop, "updated_at": MID} for _, shop, _, _ in cases],
        newsletter=[{"status": status, "updated_at": NEW} for _, _, status, _ in cases],
    )
    assert [profile["newsletter"] for profile in profiles] == [consent for _, _, _, consent in cases]


def test_the_moment_of_consent_is_that_of_a_yes():
    """Only the newsletter stores one; it counts as long as no source says no."""
    profiles = one_each(
        crm=[{"newsletter_opt_in": answer, "modified_at": OLD} for answer in (None, False, True, True)],
        newsletter=[
            {"status": status, "subscribed_at": MID, "updated_at": NEW}
            for status in ("subscribed", "subscribed", "pending", "unsubscribed")
        ],
    )
    moments = [profile["newsletter_consented_at"] for profile in profiles]
    assert [None, None, None] == [None if pd.isna(moment) else moment for moment in moments[1:]]
    assert pd.Timestamp(MID) == moments[0]


# 8. Purchases are added up


def test_purchases_are_added_up():
    """Orders and revenue of all the person's accounts are summed, and the last order is the latest."""
    profile = only(
        crm=[{"email": ANNA}],
        shop=[
            {"email": ANNA, "orders": 2, "revenue": 20.1, "last_order_at": NEW, "updated_at": OLD},
            {"email": ANNA.upper(), "orders": 1, "revenue": 10.2, "last_order_at": MID, "updated_at": NEW},
        ],
    )
    assert (profile["orders"], profile["lifetime_value"], profile["last_order_at"]) == (3, 30.3, NEW)


def test_a_person_that_never_ordered_has_no_last_order():
    """Without an order there is a lifetime value of nothing, and no date."""
    profile = only(newsletter=[{"email": ANNA}])
    assert (profile["orders"], profile["lifetime_value"], "last_order_at" in profile) == (0, 0.0, False)


# 9. Full names


def test_full_names_come_from_the_parts():
    """The full name is first and last name, or the newsletter's whole name where both are missing."""
    cases = [
        ("Anna", "Weiß", "A Weiss", "Anna Weiß"),
        ("Anna", None, "A Weiss", "Anna"),
        (None, "Weiß", "A Weiss", "Weiß"),
        (None, None, "A Weiss", "A Weiss"),
        (None, None, None, None),
    ]
    profiles = one_each(
        crm=[{"given_name": first, "family_name": last} for first, last, _, _ in cases],
        newsletter=[{"name": full_name, "updated_at": NEW} for _, _, full_name, _ in cases],
    )
    assert [profile["full_name"] for profile in profiles] == [full for _, _, _, full in cases]
    assert [profile["first_name"] for profile in profiles] == [first for first, _, _, _ in cases]


# 10. Loyalty tiers


def test_the_tier_follows_from_the_lifetime_value():
    """Gold from 600, silver from 200, else bronze."""
    spent = pd.Series([0.0, 199.99, 200.0, 599.99, 600.0])
    assert tiers(spent).tolist() == ["bronze", "bronze", "silver", "silver", "gold"]


# 11. Bad addresses


def test_a_bad_address_stays_as_written():
    """If no source has a good address, the freshest bad one is stored unchanged."""
    phone = "+4915112345678"
    crm = [{"email": " Anna at example.com ", "phone": phone, "modified_at": NEW}]
    shop = [{"email": "anna@@example.com", "phone": phone, "updated_at": OLD}]
    assert only(crm=crm, shop=shop)["email"] == " Anna at example.com "


def test_a_good_address_wins_over_a_fresher_bad_one():
    """A bad address is never used where a good one is known."""
    phone = "+4915112345678"
    crm = [{"email": "anna at example.com", "phone": phone, "modified_at": NEW}]
    assert only(crm=crm, shop=[{"email": ANNA, "phone": phone, "updated_at": OLD}])["email"] == ANNA


# The id


def test_a_person_keeps_the_same_id():
    """The id follows from the identity alone."""
    assert only(crm=[{"email": ANNA}])["profile_id"] == only(shop=[{"email": ANNA.upper()}])["profile_id"]
