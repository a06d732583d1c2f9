"""Unifies raw extracts into one profile for each person, by these rules.

 1. Normalise. Every source's columns get the profile's names and spellings, and text is trimmed. Missing are: "", "-",
    "n/a" and the like, initials, birthdates before 1905, and phone numbers of a few digits.
 2. The email is the identity. Two rows with the same address, trimmed and in lower case, are one person. A value that
    is not of the form ``someone@somewhere.tld`` identifies no person.
 3. Without an email, the phone. If exactly one address occurs with the same phone number, the row belongs to that
    person. Otherwise all rows with that phone number and no address are one person.
 4. A row with neither is a person of its own.
 5. The freshest value wins, field by field: among a person's rows with a value, the one updated last. Between equally
    fresh rows, the CRM precedes the shop, and the shop precedes the newsletter.
 6. An address is one value: street, city, state and postcode come from one row, the freshest with a city or postcode.
    So a new city never gets an old postcode.
 7. Consent is the exception: the most restrictive answer wins, however old. ``newsletter`` is true if one
    source says yes and none says no. ``newsletter_consented_at`` is the moment that the newsletter has stored with its
    yes, the only source that stores one.
 8. Purchases are added up: orders and revenue over all rows of the person, the latest of the order dates.
 9. ``full_name`` is first and last name; if both are missing, the newsletter's whole name. Whole names are not split.
10. The loyalty tier follows from the lifetime value: gold from 600, silver from 200, else bronze.
11. Without a valid address, ``email`` keeps the freshest invalid one. The export decides whether to reject it.

The profile's id is a digest of its identity, so a person has the same id on every day. A household that shares one
phone number and has no addresses counts as one person, because rule 3 cannot distinguish its members.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from unification.normalise import TEXT, is_e164, normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Positions = npt.NDArray[np.intp]

GOLD_FROM, SILVER_FROM = 600.0, 200.0
FRESHEST_FIELDS = ("first_name", "last_name", "gender", "birthdate", "phone", "country")
ADDRESS_FIELDS = ("address", "city", "state", "postcode")

PROFILE = pa.schema(
    [
        pa.field("profile_id", pa.string(), nullable=False),
        ("email", pa.string()),
        ("first_name", pa.string()),
        ("last_name", pa.string()),
        ("full_name", pa.string()),
        ("gender", pa.string()),
        ("birthdate", pa.date32()),
        ("phone", pa.string()),
        ("address", pa.string()),
        ("city", pa.string()),
        ("state", pa.string()),
        ("postcode", pa.string()),
        ("country", pa.string()),
        ("loyalty_tier", pa.string()),
        ("lifetime_value", pa.float64()),
        ("last_order_at", pa.timestamp("us")),
        ("orders", pa.int64()),
        ("newsletter", pa.bool_()),
        ("newsletter_consented_at", pa.timestamp("us")),
        ("updated_at", pa.timestamp("us")),
    ]
)


def unify(extracts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Apply all rules in order. Every row of every extract becomes part of exactly one profile."""
    rows = normalise(extracts)  # 1
    identity = identities(rows)  # 2, 3, 4
    persons = Persons.of(rows, identity)
    profiles = pd.DataFrame({"profile_id": profile_ids(persons.identity)})
    for field in FRESHEST_FIELDS:
        profiles[field] = persons.freshest(field)  # 5
    profiles = profiles.join(one_address(persons))  # 6
    profiles["newsletter"] = most_restrictive(persons)  # 7
    profiles["newsletter_consented_at"] = persons.freshest("consented_at").where(profiles["newsletter"])
    profiles = profiles.join(purchase_totals(persons))  # 8
    profiles["full_name"] = full_names(profiles, persons)  # 9
    profiles["loyalty_tier"] = tiers(profiles["lifetime_value"])  # 10
    profiles["email"] = persons.freshest("address_key").combine_first(persons.freshest("email"))  # 11
    profiles["updated_at"] = persons.freshest("updated_at")
    return profiles[list(PROFILE.names)]


def to_table(profiles: pd.DataFrame) -> pa.Table:
    """Return profiles with the column types of PROFILE and without pandas metadata."""
    table = pa.Table.from_pandas(profiles, preserve_index=False)
    return table.cast(PROFILE)


def identities(rows: pd.DataFrame) -> pd.Series[Any]:
    """Rules 2 to 4: return the identity of each row's person."""
    valid_phone = rows["phone"].where(is_e164(rows["phone"]))
    pairs = pd.DataFrame({"phone": valid_phone, "address": rows["address_key"]}).dropna()
    pairs = pairs.drop_duplicates()
    address_by_phone = pairs[~pairs["phone"].duplicated(keep=False)].set_index("phone")["address"]
    without_email = rows["address_key"].isna()
    phone = valid_phone[without_email]
    identity = rows["address_key"].copy()
    by_phone = phone.map(address_by_phone).astype(TEXT).combine_first("phone " + phone)
    identity[without_email] = by_phone.combine_first("record " + rows["record"][without_email])
    return identity


@dataclass(frozen=True)
class Persons:
    """The rows of each person, in the order in which they supply values."""

    rows: pd.DataFrame
    person: Positions  # position of each row's person in ``identity``
    row_order: Positions  # row numbers by person, the freshest first
    identity: pd.Index[Any]

    @classmethod
    def of(cls, rows: pd.DataFrame, identity: pd.Series[Any]) -> Persons:
        """Sort rows by person, then freshness, then precedence of the source (rule 5)."""
        person, unique = pd.factorize(identity)
        freshness = -rows["updated_at"].to_numpy().astype("int64")
        return cls(rows, person, np.lexsort((rows["rank"].to_numpy(), freshness, person)), pd.Index(unique))

    def freshest(self, field: str) -> pd.Series[Any]:
        """Rule 5: return each person's freshest value."""
        return self.values_at(field, self.first(self.rows[field].notna().to_numpy()))

    def first(self, usable: npt.NDArray[np.bool_]) -> Positions:
        """Return the number of each person's first usable row, or -1."""
        rows = self.row_order[usable[self.row_order]]
        person = self.person[rows]
        starts = np.flatnonzero(np.diff(person, prepend=-1))
        first_rows = np.full(len(self.identity), -1, dtype=np.intp)
        first_rows[person[starts]] = rows[starts]
        return first_rows

    def values_at(self, field: str, rows: Positions) -> pd.Series[Any]:
        """Return a field's values in these rows; missing for row -1."""
        return pd.Series(self.rows[field].array.take(rows, allow_fill=True))

    def total(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the sum over each person's rows."""
        return np.bincount(self.person, weights=values, minlength=len(self.identity))


def one_address(persons: Persons) -> pd.DataFrame:
    """Rule 6: return street, city, state and postcode of one row for each person."""
    has_address = (persons.rows["city"].notna() | persons.rows["postcode"].notna()).to_numpy()
    rows = persons.first(has_address)
    return pd.DataFrame({field: persons.values_at(field, rows) for field in ADDRESS_FIELDS})


def most_restrictive(persons: Persons) -> npt.NDArray[np.bool_]:
    """Rule 7: return whether a source says yes and none says no."""
    answers = persons.rows["consent"].to_numpy()
    agreed: npt.NDArray[np.bool_] = persons.total(answers == 1) > 0
    refused: npt.NDArray[np.bool_] = persons.total(answers == 0) > 0
    return agreed & ~refused


def purchase_totals(persons: Persons) -> pd.DataFrame:
    """Rule 8: return orders, revenue and the last order of each person."""
    return pd.DataFrame(
        {
            "orders": persons.total(persons.rows["orders"].to_numpy()).astype("int64"),
            "lifetime_value": persons.total(persons.rows["revenue"].to_numpy()).round(2),
            "last_order_at": persons.rows["last_order_at"].groupby(persons.person).max(),
        }
    )


def full_names(profiles: pd.DataFrame, persons: Persons) -> pd.Series[Any]:
    """Rule 9: return first and last name, or the newsletter's whole name."""
    first, last = profiles["first_name"], profiles["last_name"]
    both = first + " " + last
    return both.combine_first(first).combine_first(last).combine_first(persons.freshest("whole_name"))


def tiers(lifetime_value: pd.Series[Any]) -> npt.NDArray[np.str_]:
    """Rule 10: return the tier by lifetime value."""
    return np.select([lifetime_value >= GOLD_FROM, lifetime_value >= SILVER_FROM], ["gold", "silver"], "bronze")


def profile_ids(identity: pd.Index[Any]) -> list[str]:
    """Return digests that are the same on every day and machine, and reveal nothing about the person."""
    return [hashlib.blake2b(key.encode(), digest_size=8).hexdigest() for key in identity.tolist()]
