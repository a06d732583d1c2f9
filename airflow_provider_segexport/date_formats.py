"""Formats of dates that a column contains as text: `'31.12.1990', '%d.%m.%Y' -> 1990-12-31`."""

from __future__ import annotations

import re

from airflow_provider_segexport.errors import InvalidArgument

DATE_CODES = frozenset("dmYbBjaA%")
TIME_CODES = frozenset("HIMSpf")
"""Format codes that exports read, with the meaning that Python's and DuckDB's `strptime` share."""

NO_DATE = "date '10000-01-01'"
"""SQL of the value of a text that does not have the format. No vendor's field can hold it, so its row is rejected."""

_CODE = re.compile(r"%-?(.)", re.DOTALL)


def check(text: str, column: str) -> str:
    """Return a format without the `-` of codes such as `%-d`, which changes nothing when a text is read.

    Args:
        text: the format, such as `%d.%m.%Y`.
        column: the column that it describes, for the error.

    Raises:
        InvalidArgument: it names no whole date, or has a code that exports do not read.
    """
    codes = _CODE.findall(text)
    unknown = [code for code in codes if code not in DATE_CODES | TIME_CODES]
    if "y" in unknown:
        problem = "has a year of two digits, which does not say the century. To fix: write years with four digits"
    elif unknown or len(codes) != text.count("%") - codes.count("%"):
        supported = " ".join(f"%{code}" for code in sorted(DATE_CODES | TIME_CODES))
        problem = f"has a code that exports do not read. To fix: use {supported}"
    elif "Y" not in codes or not ("j" in codes or ("d" in codes and {"m", "b", "B"} & set(codes))):
        problem = "names no whole date. To fix: name year, month and day, such as '%d.%m.%Y'"
    else:
        return _CODE.sub(r"%\1", text)
    raise InvalidArgument(f"`date_formats` gives column {column!r} the format {text[:40]!r}, which {problem}.")


def has_time(text: str) -> bool:
    """Return whether a format has a time of day."""
    return not TIME_CODES.isdisjoint(_CODE.findall(text))
