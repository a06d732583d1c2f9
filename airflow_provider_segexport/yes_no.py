"""The only vocabulary for yes and no: consent columns, connection extras, and arguments that a template renders.

Consent columns are read with it as SQL, everything else by `yes_no`. A test holds both against each other.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from airflow_provider_segexport.trimming import TRIMMED, trimmed

YES = ("true", "t", "yes", "y", "on", "1", "1.0")
NO = ("false", "f", "no", "n", "off", "0", "0.0")
"""In any case. `1.0` and `0.0` are what a CSV file holds after a tool has read switches and nulls as numbers."""


def yes_no(value: Any) -> bool | None:
    """Return whether a value says yes; None when it says neither, or when there is no value.

    Args:
        value: a bool, a number (1 is yes, 0 is no), or a text, whose ends are trimmed and whose case does not count.
    """
    if isinstance(value, int | float | Decimal):
        return True if value == 1 else False if value == 0 else None
    if not isinstance(value, str):
        return None
    word = trimmed(value).lower()
    return True if word in YES else False if word in NO else None


def blank(value: Any) -> bool:
    """Return whether there is no value: None, or a text of nothing but spaces and invisible marks."""
    return value is None or (isinstance(value, str) and not trimmed(value))


def yes_no_sql(column: str, *, text: bool) -> str:
    """SQL of the same: true, false, or null when the column says neither.

    Args:
        column: the column's name as SQL.
        text: whether it holds text; numbers and booleans otherwise.
    """
    if not text:
        return f"case {column}::double when 1 then true when 0 then false end"
    # Trimming goes through a text letter by letter: only where the text as it is says neither.
    return f"coalesce({_word(f'lower({column})')}, {_word(f'lower(trim({column}, {_literal(TRIMMED)}))')})"


def blank_sql(column: str, *, text: bool) -> str:
    """SQL of whether there is no value; arguments as those of `yes_no_sql`."""
    return f"({column} is null" + (f" or trim({column}, {_literal(TRIMMED)}) = '')" if text else ")")


def _word(sql: str) -> str:
    yes, no = (", ".join(map(_literal, words)) for words in (YES, NO))
    return f"case when {sql} in ({yes}) then true when {sql} in ({no}) then false end"


def _literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"
