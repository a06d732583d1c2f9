"""Validates a column of email addresses in DuckDB, for segments and suppression lists alike.

Most addresses are plain, and DuckDB validates them with a pattern. Only the distinct other addresses are validated one
by one in Python.
"""

from __future__ import annotations

import pyarrow as pa

from airflow_provider_segexport import email_address
from airflow_provider_segexport.storage.arrow import string_array
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.trimming import trimmed_sql

SLOW_CHUNK = 20_000
"""Addresses that are validated in Python at a time."""


def validate_column(engine: Engine, source: str, prefix: str = "") -> None:
    """Create the tables `email_keys` and `email_results`, and the view `validated_emails` that joins them.

    `email_keys(row, plain, email)`: a plain address as it is sent; any other address trimmed; null if there is none.
    `email_results(email, clean, reason)`: one row per distinct address that is not plain.
    `validated_emails(row, email, reason)`: one row per row with an address; `email` is null if it cannot be sent.

    Args:
        engine: gets the tables and the view.
        source: SQL of a relation with the columns `row` and `email`, as text.
        prefix: a text before the three names.
    """
    keys, results_table = f"{prefix}email_keys", f"{prefix}email_results"
    engine.run(
        f"""create or replace table {keys} as
        select row, plain, case when plain then lower(email)
            else nullif({trimmed_sql("email")}, '') end as email
        from (select row, email, {email_address.plain_sql("email")} as plain from {source})"""
    )
    engine.run(f"create or replace table {results_table} (email varchar, clean varchar, reason varchar)")
    trimmed = email_address.plain_sql("email")
    not_plain = f"from {keys} where email is not null and not plain"
    engine.run(f"insert into {results_table} select distinct email, lower(email), null {not_plain} and {trimmed}")
    for batch in engine.stream(f"select distinct email {not_plain} and not {trimmed}", SLOW_CHUNK):
        results = [email_address.validate(text) for text in batch.column(0).to_pylist()]
        columns = {
            "clean": string_array(result.email for result in results),
            "reason": string_array(result.reason for result in results),
        }
        engine.append(results_table, pa.table({"email": batch.column(0), **columns}), "select * from incoming")
    engine.run(
        f"""create or replace view {prefix}validated_emails as
        select row, email, null as reason from {keys} where plain
        union all select k.row, r.clean, r.reason from {keys} k join {results_table} r using (email)
        where not k.plain"""
    )
