"""Joins a count with its noun: `1, "profile" -> "1 profile"`, `2000, "entry" -> "2,000 entries"`.

Every text of the package uses it: messages, logs, pages, commands and the simulator.
"""

from __future__ import annotations

PEOPLE = {"person": "people"}
"""Nouns whose plural follows no rule."""

HISSING = ("s", "x", "z", "ch", "sh")
"""Endings after which the plural is -es: address, box, batch, hash."""

VOWELS = "aeiou"


def counted(count: float, word: str) -> str:
    """Return a count with its noun.

    Args:
        count: whole, or with a fraction; thousands are grouped.
        word: the noun in the singular; of several words the last one changes (`import job`).
    """
    return f"{int(count) if count == int(count) else count:,} {noun(count, word)}"


def noun(count: float, word: str) -> str:
    """Return a noun as it follows a count that is written otherwise, as in `3 of 7 rows`."""
    if count == 1:
        return word
    before, blank, last = word.rpartition(" ")
    if last in PEOPLE:
        plural = PEOPLE[last]
    elif last.endswith(HISSING):
        plural = f"{last}es"
    elif last.endswith("y") and last[-2:-1] not in VOWELS:
        plural = f"{last[:-1]}ies"
    else:
        plural = f"{last}s"
    return f"{before}{blank}{plural}"
