"""Python and SQL trim the same characters."""

from __future__ import annotations

from random import Random

import duckdb
import pyarrow as pa

from airflow_provider_segexport.trimming import TRIMMED, trimmed, trimmed_sql

UNTRIMMED = ["x", "é", "€", "😀", "\u202d", "\u202e", "\u0300", "\u00a1", "\u200a1", "\ud7ff", "\ue000"]
"""Characters that are not trimmed, also next to those that are."""


def in_sql(texts: list[str | None]) -> list[str | None]:
    table = pa.table({"text": pa.array(texts, pa.string())})
    with duckdb.connect() as connection:
        connection.register("texts", table)
        return [text for (text,) in connection.execute(f"select {trimmed_sql('text')} from texts").fetchall()]


def test_python_and_sql_trim_alike():
    random = Random(7)
    pieces = [*TRIMMED, *UNTRIMMED * 5]
    texts = ["".join(random.choices(pieces, k=random.randint(0, 8))) for _ in range(20_000)]
    texts += [f"{sign}x{sign}y{sign}" for sign in TRIMMED] + [*TRIMMED, TRIMMED]
    assert in_sql(texts) == [trimmed(text) for text in texts]


def test_null_stays_null():
    assert in_sql([None, " ", ""]) == [None, "", ""]
