"""Formats of dates that a column contains as text: `'31.12.1990', '%d.%m.%Y' -> 1990-12-31`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.trimming import trimmed

DATE_CODES = frozenset("dmYbBjaA%")
TIME_CODES = frozenset("HIMSpf")
"""Format codes that exports read, with the meaning that Python's and DuckDB's `strptime` share."""

SUPPORTED = " ".join(f"%{code}" for code in sorted(DATE_CODES | TIME_CODES))

PARTS = ("Y", "dj", "mbBj", "aA", "HI", "M", "S", "f", "p")
"""Groups of codes that stand for the same part of a date or time. A format with two codes of a group is rejected,
because its texts could contradict themselves."""

MAX_CHARS = 100
"""Maximum length of a format. A format with each part once, and words between the parts, is shorter."""

NO_DATE = "date '10000-01-01'"
"""SQL of the date that replaces a text without the format. No vendor's field can hold it, so the row is rejected."""

YEAR = "[0-9]{4}"
FRACTION = "[0-9]{1,9}"
"""Digits of `%f`: SQL Server writes seven, Java nine."""

BLANKS = r"[ \t-\r\x{A0}\x{1680}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}]+"
"""Regular expression (RE2) of what a blank in a format matches: any run of blanks. Java and browsers write U+202F
before AM and PM since 2023 (Unicode's CLDR 42)."""

_CODE = re.compile(r"%-?(.)", re.DOTALL)
_PIECE = re.compile(r"%(.)|(.)", re.DOTALL)
_DIGITS = {"d": 2, "m": 2, "j": 3, "H": 2, "I": 2, "M": 2, "S": 2}
"""Maximum number of digits by code."""


def check(given: str, column: str) -> str:
    """Return a format without the `-` of codes such as `%-d`, and with one space for each run of blanks.

    The result describes the same texts.

    Args:
        given: the format, such as `%d.%m.%Y`.
        column: the column that it describes, for the error.

    Raises:
        InvalidArgument: the format lacks the year, month or day, has a part twice, or has a code that exports do not
            read.
    """
    text = trimmed(given)
    problem = _problem(text)
    if problem:
        raise InvalidArgument(f"`date_formats` gives column {column!r} the format {text[:40]!r}, which {problem}.")
    return " ".join(_CODE.sub(r"%\1", text).split())


def _problem(text: str) -> str:
    """Return what is wrong with a format, and how to fix it; empty if nothing is."""
    codes = _CODE.findall(text)
    unknown = [code for code in codes if code not in DATE_CODES | TIME_CODES]
    counts = [sum(code in part for code in codes) for part in PARTS]
    is_printable = all(sign.isprintable() or sign.isspace() for sign in text)
    problems = {
        f"is longer than {MAX_CHARS} characters or not printable. To fix: use a format such as '%d.%m.%Y'": (
            len(text) > MAX_CHARS or not is_printable
        ),
        "has a year of two digits, which does not say the century. To fix: write years with four digits": (
            "y" in unknown
        ),
        f"has a code that exports do not read. To fix: use {SUPPORTED}": (
            bool(unknown) or len(codes) != text.count("%") - codes.count("%")
        ),
        "lacks the year, month or day. To fix: name all three, such as '%d.%m.%Y'": not all(counts[:3]),
        "names a part of the date or time twice. To fix: name each part once": max(counts) > 1,
        "has one of %I and %p without the other. To fix: use both, or %H for hours from 0 to 23": (
            ("I" in codes) != ("p" in codes)
        ),
    }
    return next((problem for problem, is_true in problems.items() if is_true), "")


def has(text: str, codes: Iterable[str]) -> bool:
    """Return whether a format has one of the codes."""
    return not set(codes).isdisjoint(_CODE.findall(text))


def pattern(text: str, *, year: str = YEAR, fraction: str = FRACTION) -> str:
    """Return the regular expression (RE2) of the texts that have a checked format.

    A number may lack its leading zero only between other characters: `1121990` with `%d%m%Y` is the 11th of February or
    the 1st of December.

    Args:
        text: the format.
        year: regular expression of the year.
        fraction: regular expression of the digits of `%f`.
    """
    pieces = list(_pieces(text))
    digits = [code in {*_DIGITS, "Y", "f"} or sign.isdigit() for code, sign in pieces]
    result = []
    for number, (code, sign) in enumerate(pieces):
        if code in _DIGITS:
            is_beside_digits = any(digits[max(number - 1, 0) : number]) or any(digits[number + 1 : number + 2])
            result.append(f"[0-9]{{{_DIGITS[code] if is_beside_digits else 1},{_DIGITS[code]}}}")
        elif code in {"Y", "f"}:
            result.append(year if code == "Y" else fraction)
        elif code:
            result.append("[A-Za-z]+")
        else:
            result.append(BLANKS if sign == " " else re.escape(sign))
    return "".join(result)


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield `(code, "")` for each code of a format, and `("", character)` for each other character."""
    for code, sign in _PIECE.findall(text):
        yield ("", "%") if code == "%" else (code, sign)
