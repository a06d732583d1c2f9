"""Reads countries and pools of names, streets and cities from ``locales.json``."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from unification.seeded_random import Bits, Ints

# ASCII spellings of letters that Unicode does not decompose into a letter and a diacritic.
_PLAIN = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "\u0131": "i", "þ": "th", "ð": "d"}
)


@dataclass(frozen=True)
class Pool:
    """Values of all locales in one array.

    Attributes:
        values: the values; those of one locale are next to each other.
        starts: position of the first value of each locale.
        sizes: number of values of each locale.
    """

    values: Any
    starts: Ints
    sizes: Ints

    def pick(self, locale: Ints, bits: Bits) -> Ints:
        """Return for each person a position among the locale's values."""
        return self.starts[locale] + (bits >> np.uint64(11)).astype(np.int64) % self.sizes[locale]


@cache
def locales() -> tuple[dict[str, Any], ...]:
    """Return the countries of the file, each with its fields."""
    text = (Path(__file__).parent / "locales.json").read_text(encoding="utf-8")
    return tuple(json.loads(text))


@cache
def pool(field: str, part: str = "") -> Pool:
    """Return the pool of a field.

    Args:
        field: name of the field in ``locales.json``.
        part: ``city``, ``state`` or ``postcode`` of a city; ``ascii`` for names in ASCII; empty for names.
    """
    read = _reader(part)
    columns = [[read(item) for item in _items(locale[field])] for locale in locales()]
    sizes = np.array([len(column) for column in columns], dtype=np.int64)
    return Pool(pa.array([value for column in columns for value in column]), np.cumsum(sizes) - sizes, sizes)


@cache
def per_locale(field: str) -> Any:
    """Return one value for each locale, as an array."""
    return pa.array([locale[field] for locale in locales()])


def _items(value: Any) -> list[Any]:
    return [item.strip() for item in value.split(",")] if isinstance(value, str) else value


def _reader(part: str) -> Callable[[Any], str | None]:
    if part == "ascii":
        return _ascii
    if part:
        column = ("city", "state", "postcode").index(part)
        return lambda row: row[column] or None
    return lambda name: name.split("=")[0]


def _ascii(name: str) -> str:
    """Return the name for an email address: its given spelling, or its letters without diacritics."""
    plain = unicodedata.normalize("NFKD", name.rpartition("=")[2].lower()).translate(_PLAIN)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())
