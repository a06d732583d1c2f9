"""Converts the values of options, and rejects values that cannot be used."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError


def text(value: str) -> str:
    """Return a text that is not empty.

    An unset variable of a shell gives an empty value. It must not count as leaving the option out, which may mean all
    audiences, or no successor.
    """
    if not value.strip():
        raise ArgumentTypeError("the value is empty. To fix: give a value, or leave the option out")
    return value


def share(value: str) -> float:
    """Return a share between 0 and 1."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ArgumentTypeError(f"{value!r} is no share. To fix: give a number from 0 to 1, such as 0.99")
    return number


def days(value: str) -> float:
    """Return a number of days from `30d` or `30`; it is at least 1."""
    match = re.fullmatch(r"([0-9]{1,5})d?", text(value).strip())
    if not match or int(match[1]) < 1:
        raise ArgumentTypeError(f"{value!r} is no age. To fix: give a number of days from 1, such as 30d")
    return float(match[1])
