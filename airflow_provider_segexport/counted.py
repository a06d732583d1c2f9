"""Formats a count with its noun: `1 profile`, `2,000 entries`.

All messages, logs, pages and commands of the package use it, and so does the simulator.
"""

from __future__ import annotations

IRREGULAR_PLURALS = {"person": "people"}

ES_ENDINGS = ("s", "x", "z", "ch", "sh")
"""Endings of nouns whose plural ends in -es: address, box, batch, hash."""

VOWELS = "aeiou"


def counted(count: float, word: str) -> str:
    """Return a count with its noun.

    Args:
        count: an integer or a fraction; thousands are grouped.
        word: the noun in the singular; only the last of several words changes (`import job`).
    """
    return f"{int(count) if count == int(count) else count:,} {noun(count, word)}"


def noun(count: float, word: str) -> str:
    """Return a noun in singular or plural, for a count that is formatted separately, as in `3 of 7 rows`."""
    if count == 1:
        return word
    before, blank, last = word.rpartition(" ")
    if last in IRREGULAR_PLURALS:
        plural = IRREGULAR_PLURALS[last]
    elif last.endswith(ES_ENDINGS):
        plural = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in VOWELS:
        plural = f"{last[:-1]}ies"
    else:
        plural = f"{last}s"
    return f"{before}{blank}{plural}"
