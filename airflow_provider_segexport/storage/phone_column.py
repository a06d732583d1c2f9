"""Converts a column of phone numbers to E.164 in the engine: `(row, phone, country) -> phone_numbers`.

Most numbers of a clean segment are E.164 already, and the engine's pattern recognises them. Python converts only the
distinct others, a batch at a time, and the engine joins the results by a hash. A result takes 24 bytes, so those of a
million distinct numbers fit the engine's memory. The join then keeps the order of the rows.
"""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_segexport import phone_number
from airflow_provider_segexport.countries import country_code
from airflow_provider_segexport.storage.arrow import string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine, literal
from airflow_provider_segexport.trimming import trimmed

PHONE_NUMBERS = "phone_numbers"
CONVERT_CHUNK_ROWS = 20_000
"""Distinct numbers that are in Python at a time."""

MAX_COUNTRY_CHARS = 64
"""No country has a longer name. A longer text is cut off, and the rest matches no country."""

_MAX_PHONE_BYTES = 4 * phone_number.MAX_CHARS


def create_phone_numbers(engine: Engine, rows: str, phone: str, country: str | None, default_region: str) -> int:
    """Create the table `phone_numbers(key, number)` of the numbers that are not E.164 and can be converted.

    Args:
        engine: where the table is created.
        rows: SQL of the relation with the columns.
        phone: SQL of the phone number, of any type.
        country: SQL of the row's country, as text; None if no column is mapped.
        default_region: ISO 3166-1 alpha-2 code for rows without a country; empty for none.

    Returns:
        The number of rows whose phone number was converted by more than removing separators.
    """
    engine.run(f"create or replace table {PHONE_NUMBERS} (key uhugeint, number bigint)")
    distinct = f"""select phone, country, count(*) as rows
        from (select {phone}::varchar as phone, {_country(country)} as country from {rows} where {_candidate(phone)})
        group by phone, country"""
    converted_rows = 0
    for batch in engine.stream(distinct, CONVERT_CHUNK_ROWS):
        phones, countries, counts = (column.to_pylist() for column in batch.columns)
        numbers = [
            phone_number.to_e164(text, (country_code(name) if trimmed(name) else default_region) or None)
            for text, name in zip(phones, countries, strict=True)
        ]
        converted_rows += sum(
            count
            for text, count, number in zip(phones, counts, numbers, strict=True)
            if number and number != phone_number.without_separators(text)
        )
        content = pa.table(
            {
                "phone": batch.column(0),
                "country": batch.column(1),
                "number": string_array(number and number.removeprefix("+") for number in numbers),
            }
        )
        converted = f"select {_key('phone', 'country')}, number::bigint from incoming where number is not null"
        engine.append(PHONE_NUMBERS, content, converted)
    return converted_rows


def with_numbers(rows: str, phone: str, country: str | None) -> str:
    """Return SQL of the rows in their order, with the numbers of `phone_numbers` in place of those as written.

    Args:
        rows: SQL of the relation with the columns.
        phone: SQL name of the column of phone numbers, of any type; the result is text.
        country: SQL of the row's country, as text; None if no column is mapped.
    """
    key = f"case when {_candidate(phone)} then {_key(f'{phone}::varchar', _country(country))} end"
    return f"""select r.* replace (coalesce('+' || p.number::varchar, r.{phone}::varchar) as {phone})
        from {rows} r left join {PHONE_NUMBERS} p on p.key = {key}"""


def _candidate(phone: str) -> str:
    """Return SQL of whether Python is to convert the number. `case` limits the slow test to few rows."""
    return f"""case when {phone} is null or strlen({phone}::varchar) > {_MAX_PHONE_BYTES}
        or regexp_full_match({phone}::varchar, {literal(phone_number.E164)}) then false
        else length({phone}::varchar) <= {phone_number.MAX_CHARS}
        and regexp_full_match({phone}::varchar, {literal(phone_number.CONVERTIBLE)}) end"""


def _country(country: str | None) -> str:
    return f"coalesce(left({country}, {MAX_COUNTRY_CHARS}), '')" if country else "''"


def _key(phone: str, country: str) -> str:
    """Return SQL of a hash of both texts. No number that is converted holds the character that separates them."""
    return f"md5_number({phone} || chr(31) || {country})"
