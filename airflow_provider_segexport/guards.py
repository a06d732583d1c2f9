"""Guards: what is out of the ordinary, and what is done then. Values only; `stages.guard` measures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

GuardAction = Literal["fail", "warn", "skip_removals"]


@dataclass(frozen=True, slots=True)
class Guard:
    """One limit and the action when it is passed. `skip_removals`: send the upserts and leave the removals undone."""

    limit: float
    action: GuardAction = "fail"


def exceeds_share(part: int, whole: int, limit: float) -> bool:
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
    "min_rows": Guard(0),
    "max_shrink": Guard(0.5),
    "max_growth": Guard(2.0, "warn"),
    "max_removals_share": Guard(0.15),
    "max_invalid_emails_share": Guard(0.2),
    "max_duplicates_share": Guard(0.5, "warn"),
    "max_unreadable_suppression_share": Guard(0),
    "min_contact_headroom": Guard(0),
    "max_rejected_share": Guard(0.3),
}
"""The guards that hold where an export names no others.

`min_rows`: rows of the segment, at most so many. `max_shrink`, `max_growth`: share by which it is smaller or larger
than the last. `max_removals_share`, `max_removals`: of the ledger's members, or as a number.
`max_invalid_emails_share`, `max_duplicates_share`: of the rows. `max_unreadable_suppression_share`: of a suppression
list's entries, those that are neither an address nor a hash. `min_contact_headroom`: contacts that must be left in the
contract where the vendor tells it. `max_rejected_share`: of the rows settled so far, while sending.
"""

KNOWN_GUARDS = (*GUARDS, "max_removals")
REMOVAL_GUARDS = ("max_removals_share", "max_removals")


@dataclass(frozen=True, slots=True)
class GuardResult:
    """What a guard found.

    Attributes:
        measured: the figure; None where it cannot be measured, which counts as tripped.
        message: for the person who decides.
    """

    name: str
    measured: float | None
    limit: float
    action: GuardAction
    tripped: bool
    message: str
