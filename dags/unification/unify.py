"""Raw extracts -> one profile a person, by these rules.

 1. One shape. Every source's columns get the profile's names and spellings; text is trimmed; "", "-", "n/a"
    and the like are no values, nor are initials, birthdates before 1905 and phone numbers of a few digits.
 2. The email is the identity. Two rows with the same address, in lower case and without space around it, are
    one person. What does not look like ``someone@somewhere.tld`` identifies nobody.
 3. Without an email, the phone. A row without such an address belongs to the person whose address is known
    with the same phone number, if there is exactly one; otherwise rows with that phone number and no address
    are one person.
 4. With neither, a row stands for itself.
 5. The freshest value wins, field by field: of a person's rows that have a value, the one updated last gives
    it. Between equally fresh rows the CRM goes before the shop, and the shop before the newsletter.
 6. An address is one value: street, city, state and postcode come from one row, the freshest that knows city
    or postcode. Never a new city with an old postcode.
 7. Consent is the exception: the most restrictive answer wins, however old. ``newsletter`` is true if one
    source says yes and none says no.
 8. Purchases are added up: orders and revenue over all rows of the person, the latest of the order dates.
 9. ``full_name`` is first and last name; where both are missing, the whole name as the newsletter has it.
    Whole names are not cut in two.
10. The loyalty tier follows from the lifetime value: gold from 600, silver from 200, else bronze.
11. Where nobody knows a good address, the freshest bad one stays in ``email`` as it was written. Whether it
    can be written to is for those to say who write to it.

The profile's id is a digest of its identity, so that the same person has the same id on every day. A
household that shares one number and gives no addresses counts as one person: rule 3 cannot tell its members
apart.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from unification.shape import TEXT, is_e164, shape

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
        ("updated_at", pa.timestamp("us")),
    ]
)


def unify(extracts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All rules, in order: every row of every extract ends in exactly one profile."""
    rows = shape(extracts)  # 1
    identity = identities(rows)  # 2, 3, 4
    persons = Persons.of(rows, identity)
    profiles = pd.DataFrame({"profile_id": profile_ids(persons.identity)})
    for field in FRESHEST_FIELDS:
        profiles[field] = persons.freshest(field)  # 5
    profiles = profiles.join(one_address(persons))  # 6
    profiles["newsletter"] = most_restrictive(persons)  # 7
    profiles = profiles.join(added_up(persons))  # 8
    profiles["full_name"] = full_names(profiles, persons)  # 9
    profiles["loyalty_tier"] = tiers(profiles["lifetime_value"])  # 10
    profiles["email"] = persons.freshest("address_key").combine_first(persons.freshest("email"))  # 11
    profiles["updated_at"] = persons.freshest("updated_at")
    return profiles[list(PROFILE.names)]


def to_table(profiles: pd.DataFrame) -> pa.Table:
    """Profiles with the column types that are promised, and nothing of pandas in the file."""
    table = pa.Table.from_pandas(profiles, preserve_index=False)
    return table.cast(PROFILE)


def identities(rows: pd.DataFrame) -> pd.Series[Any]:
    """Rules 2 to 4: for each row the word by which its person is known."""
    callable_phone = rows["phone"].where(is_e164(rows["phone"]))
    pairs = pd.DataFrame({"phone": callable_phone, "address": rows["address_key"]}).dropna()
    pairs = pairs.drop_duplicates()
    only_one = pairs[~pairs["phone"].duplicated(keep=False)].set_index("phone")["address"]
    nameless = rows["address_key"].isna()
    phone = callable_phone[nameless]
    identity = rows["address_key"].copy()
    by_phone = phone.map(only_one).astype(TEXT).combine_first("phone " + phone)
    identity[nameless] = by_phone.combine_first("record " + rows["record"][nameless])
    return identity


@dataclass(frozen=True)
class Persons:
    """Which rows are whose, and in which order a person's rows are asked for a value."""

    rows: pd.DataFrame
    person: Positions  # for each row, the position of its person in ``identity``
    order: Positions  # row numbers: those of one person side by side, the freshest first
    identity: pd.Index[Any]

    @classmethod
    def of(cls, rows: pd.DataFrame, identity: pd.Series[Any]) -> Persons:
        """Rule 5's order: person, then freshness, then precedence of the source."""
        person, known_as = pd.factorize(identity)
        freshness = -rows["updated_at"].to_numpy().astype("int64")
        return cls(rows, person, np.lexsort((rows["rank"].to_numpy(), freshness, person)), pd.Index(known_as))

    def freshest(self, field: str) -> pd.Series[Any]:
        """Rule 5: for each person the first value that is one."""
        return self.take(field, self.first(self.rows[field].notna().to_numpy()))

    def first(self, usable: npt.NDArray[np.bool_]) -> Positions:
        """For each person the number of the first usable row, or -1."""
        asked = self.order[usable[self.order]]
        person = self.person[asked]
        starts = np.flatnonzero(np.diff(person, prepend=-1))
        found = np.full(len(self.identity), -1, dtype=np.intp)
        found[person[starts]] = asked[starts]
        return found

    def take(self, field: str, found: Positions) -> pd.Series[Any]:
        """The field in these rows; missing for -1."""
        return pd.Series(self.rows[field].array.take(found, allow_fill=True))

    def total(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The sum over each person's rows."""
        return np.bincount(self.person, weights=values, minlength=len(self.identity))


def one_address(persons: Persons) -> pd.DataFrame:
    """Rule 6."""
    placed = (persons.rows["city"].notna() | persons.rows["postcode"].notna()).to_numpy()
    found = persons.first(placed)
    return pd.DataFrame({field: persons.take(field, found) for field in ADDRESS_FIELDS})


def most_restrictive(persons: Persons) -> npt.NDArray[np.bool_]:
    """Rule 7."""
    answers = persons.rows["consent"].to_numpy()
    agreed: npt.NDArray[np.bool_] = persons.total(answers == 1) > 0
    refused: npt.NDArray[np.bool_] = persons.total(answers == 0) > 0
    return agreed & ~refused


def added_up(persons: Persons) -> pd.DataFrame:
    """Rule 8."""
    return pd.DataFrame(
        {
            "orders": persons.total(persons.rows["orders"].to_numpy()).astype("int64"),
            "lifetime_value": persons.total(persons.rows["revenue"].to_numpy()).round(2),
            "last_order_at": persons.rows["last_order_at"].groupby(persons.person).max(),
        }
    )


def full_names(profiles: pd.DataFrame, persons: Persons) -> pd.Series[Any]:
    """Rule 9."""
    first, last = profiles["first_name"], profiles["last_name"]
    both = first + " " + last
    return both.combine_first(first).combine_first(last).combine_first(persons.freshest("whole_name"))


def tiers(lifetime_value: pd.Series[Any]) -> npt.NDArray[np.str_]:
    """Rule 10."""
    return np.select([lifetime_value >= GOLD_FROM, lifetime_value >= SILVER_FROM], ["gold", "silver"], "bronze")


def profile_ids(identity: pd.Index[Any]) -> list[str]:
    """A digest that is the same on every day and every machine, and tells nothing of the person."""
    return [hashlib.blake2b(word.encode(), digest_size=8).hexdigest() for word in identity.tolist()]
