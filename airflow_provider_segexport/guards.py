"""Guards: what is out of the ordinary, and what is done then. Values only; `stages.guard` measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Then = Literal["fail", "warn", "keep"]


@dataclass(frozen=True, slots=True)
class Guard:
    """One limit, and what is done when it is passed. `keep` is for removals: they are left undone, the rest is sent."""

    limit: float
    then: Then = "fail"


def above(part: int, whole: int, limit: float) -> bool:
    """Whether `part / whole` is above the limit. A share that equals the limit is not above it.

    Integers are compared, because a quotient of floats is off by its last digit: 1 - 7 / 10 is not 0.3.

    Args:
        part: the counted rows or people; may be negative.
        whole: what they are a share of, above 0.
        limit: the share as written by a person: 0.3 means three tenths, not the nearest binary number.
    """
    share = Fraction(repr(limit)) if math.isfinite(limit) else limit
    return part > share * whole


GUARDS: Mapping[str, Guard] = {
    "empty": Guard(0),
    "shrinks": Guard(0.5),
    "grows": Guard(2.0, "warn"),
    "removals_share": Guard(0.15),
    "bad_emails_share": Guard(0.2),
    "duplicates_share": Guard(0.5, "warn"),
    "suppression_unclear_share": Guard(0),
    "headroom": Guard(0),
    "rejects_share": Guard(0.3),
}
"""The guards that hold where an export names no others.

`empty`: rows of the segment, at most so many. `shrinks`, `grows`: share by which it is smaller or larger than the last.
`removals_share`, `removals`: of the ledger's members, or as a number. `bad_emails_share`, `duplicates_share`: of the
rows. `suppression_unclear_share`: of a suppression list's entries, those that are neither an address nor a hash.
`headroom`: contacts that must be left in the contract where the vendor tells it. `rejects_share`: of the rows
settled so far, while sending.
"""

KNOWN_GUARDS = (*GUARDS, "removals")
REMOVAL_GUARDS = ("removals_share", "removals")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a guard found.

    Attributes:
        measured: the figure; None where it cannot be measured, which counts as tripped.
        words: for the person who decides.
    """

    name: str
    measured: float | None
    limit: float
    then: Then
    tripped: bool
    words: str
