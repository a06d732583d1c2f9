"""Normalises raw extracts: rule 1 of ``unify``, with one function for each field.

Every function takes a column of a source and returns it in the profile's spelling, with invalid values missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from unification.locales import locales

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In order of precedence: the first source wins if two rows are equally fresh.
PRECEDENCE = ("crm", "shop", "newsletter")

# Each source's column for a field of the profile.
COLUMNS: dict[str, dict[str, str]] = {
    "crm": {
        "record": "crm_id",
        "email": "email",
        "first_name": "given_name",
        "last_name": "family_name",
        "gender": "sex",
        "birthdate": "date_of_birth",
        "phone": "phone",
        "address": "street",
        "city": "town",
        "state": "region",
        "postcode": "zip",
        "country": "country",
        "consent": "newsletter_opt_in",
        "updated_at": "modified_at",
    },
    "shop": {
        "record": "customer_no",
        "email": "email",
        "first_name": "first_name",
        "last_name": "last_name",
        "gender": "salutation",
        "phone": "phone",
        "address": "address",
        "city": "city",
        "state": "state",
        "postcode": "postcode",
        "country": "country_name",
        "consent": "marketing",
        "orders": "orders",
        "revenue": "revenue",
        "last_order_at": "last_order_at",
        "updated_at": "updated_at",
    },
    "newsletter": {
        "record": "subscriber_id",
        "email": "email",
        "whole_name": "name",
        "birthdate": "born",
        "country": "country",
        "consent": "status",
        "consented_at": "subscribed_at",
        "updated_at": "updated_at",
    },
}

EMPTY = ("", "-", "n/a", "null", "none", "unknown")  # texts that count as missing
GENDERS_BY_WORD = {
    "f": "female",
    "m": "male",
    "x": "other",
    "ms": "female",
    "mrs": "female",
    "mr": "male",
    "mx": "other",
    "female": "female",
    "male": "male",
    "other": "other",
}
CONSENT_BY_WORD = {True: 1, "yes": 1, "subscribed": 1, False: 0, "no": 0, "unsubscribed": 0}
# `str` since pandas 3, `object` before. Both keep missing values. A text column without any value is cast to this type,
# because pandas would treat it as numeric.
TEXT: Any = pd.Series(["text"]).dtype
EARLIEST_BIRTHDATE = pd.Timestamp("1905-01-01")
SHORTEST_PHONE = 7
# Character classes are written out, because pandas evaluates \s, \d and \w with Python's re, row by row.
ADDRESS_PATTERN = r"[^@,; \t\r\n]+@[^@,; \t\r\n]+\.[^@,; \t\r\n]+"
E164_PATTERN = r"\+[1-9][0-9]{7,14}"


def read_extract(path: str) -> pd.DataFrame:
    """Return the extract as a frame, with dates as numbers rather than one Python object each."""
    frame: pd.DataFrame = pq.read_table(path, partitioning=None).to_pandas(date_as_object=False)
    return frame


def normalise(extracts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return all rows of all sources in order of precedence, with the profile's columns and spellings."""
    rows = pd.concat([_normalise_source(extracts[source], source) for source in PRECEDENCE], ignore_index=True)
    rows["orders"] = rows["orders"].fillna(0).astype("int64")
    rows["revenue"] = rows["revenue"].fillna(0.0)
    return rows


def text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return trimmed text; missing if it is empty or a marker such as `n/a`."""
    trimmed = column.astype(TEXT).str.strip()
    return trimmed.mask(trimmed.str.lower().isin(EMPTY))


def names(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return names; an initial with a dot counts as missing."""
    name = text(column)
    return name.mask((name.str.len() == len("A.")) & name.str.endswith("."))


def addresses(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return email addresses, trimmed and in lower case; missing if the syntax is wrong."""
    address = text(column).str.lower()
    return address.where(address.str.fullmatch(ADDRESS_PATTERN, na=False))


def genders(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return female, male or other for each source's own word."""
    return text(column).str.lower().map(GENDERS_BY_WORD).astype(TEXT)


def countries(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return ISO codes; an unknown name or code stays as written."""
    written = text(column)
    codes = {locale[name].lower(): locale["country"] for locale in locales() for name in ("country", "name")}
    return written.str.lower().map(codes).astype(TEXT).combine_first(written)


def consents(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return 1 for yes, 0 for no, missing without an answer."""
    return column.map(CONSENT_BY_WORD).astype("float32")


def birthdates(column: pd.Series[Any], not_after: pd.Series[Any]) -> pd.Series[Any]:
    """Return birthdates; missing outside 1905 and `not_after`, the time of the row's last update."""
    if column.dtype.kind != "M":
        column = pd.to_datetime(text(column), format="%d.%m.%Y", errors="coerce")
    days = column.astype("datetime64[s]")
    return days.where((days >= EARLIEST_BIRTHDATE) & (days <= not_after))


def phones(column: pd.Series[Any], country: pd.Series[Any]) -> pd.Series[Any]:
    """Return E.164 numbers, in national form with the country's code.

    A number that cannot be converted stays as written; one of less than 7 characters counts as missing.
    """
    written = text(column)
    number = written.str.replace(r"[^0-9+]", "", regex=True).str.replace(r"^00", "+", regex=True)
    written = written.mask(number.str.len() < SHORTEST_PHONE)
    dial = country.map({locale["country"]: locale["dial"] for locale in locales()}).astype(TEXT)
    is_national = number.str.startswith("0", na=False)
    number = number.mask(is_national, "+" + dial + number.str.slice(1))
    return number.where(is_e164(number), written)


def is_e164(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return which numbers are in E.164 form."""
    return column.str.fullmatch(E164_PATTERN, na=False).astype(bool)


SPELLINGS: dict[str, Callable[[pd.Series[Any]], pd.Series[Any]]] = {
    "first_name": names,
    "last_name": names,
    "whole_name": names,
    "gender": genders,
    "address": text,
    "city": text,
    "state": text,
    "postcode": text,
    "country": countries,
    "consent": consents,
}


def _normalise_source(extract: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return one source's rows, with the profile fields that the source has."""
    raw = {field: extract[column] for field, column in COLUMNS[source].items()}
    if "consented_at" in raw:
        raw["consented_at"] = raw["consented_at"].astype("datetime64[us]").where(consents(raw["consent"]) == 1)
    normalised = {field: SPELLINGS[field](raw[field]) for field in raw if field in SPELLINGS}
    if "phone" in raw:
        normalised["phone"] = phones(raw["phone"], normalised["country"])
    if "birthdate" in raw:
        normalised["birthdate"] = birthdates(raw["birthdate"], raw["updated_at"])
    emails = {"address_key": addresses(raw["email"]), "email": raw["email"].mask(text(raw["email"]).isna())}
    rank = pd.Series(np.int8(PRECEDENCE.index(source)), index=extract.index)
    return pd.DataFrame({**raw, **normalised, **emails, "rank": rank})
