"""The words for yes and no in consent columns, connection extras, and arguments that a template renders.

Consent columns are read in SQL, all others with `yes_no`. A test compares the two.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from airflow_provider_segexport.trimming import trimmed, trimmed_sql

YES = ("true", "t", "yes", "y", "on", "1", "1.0")
NO = ("false", "f", "no", "n", "off", "0", "0.0")
"""Compared without case. `1.0` and `0.0` are in CSV files of tools that read booleans with nulls as numbers."""


def yes_no(value: Any) -> bool | None:
    """Return True for yes, False for no, and None for any other value, None included.

    Args:
        value: a bool, a number (1 is yes, 0 is no), or a text, which is trimmed and compared without case.
    """
    if isinstance(value, int | float | Decimal):
        return True if value == 1 else False if value == 0 else None
    if not isinstance(value, str):
        return None
    word = trimmed(value).lower()
    return True if word in YES else False if word in NO else None


def blank(value: Any) -> bool:
    """Return whether a value is None, or a text of only spaces, control characters and invisible marks."""
    return value is None or (isinstance(value, str) and not trimmed(value))


def yes_no_sql(column: str, *, text: bool) -> str:
    """Return SQL of `yes_no`: true, false, or null for any other value.

    Args:
        column: the column's name as SQL.
        text: whether it holds text; numbers and booleans otherwise.
    """
    if not text:
        return f"case {column}::double when 1 then true when 0 then false end"
    # A text is only trimmed if it is neither untrimmed.
    return f"coalesce({_word(f'lower({column})')}, {_word(f'lower({trimmed_sql(column)})')})"


def blank_sql(column: str, *, text: bool) -> str:
    """Return SQL of `blank`. Its arguments are those of `yes_no_sql`."""
    return f"({column} is null" + (f" or {trimmed_sql(column)} = '')" if text else ")")


def _word(sql: str) -> str:
    yes, no = (", ".join(map(_literal, texts)) for texts in (YES, NO))
    return f"case when {sql} in ({yes}) then true when {sql} in ({no}) then false end"


def _literal(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
