"""Guards: limits of a plan, and the action if a limit is passed. `stages.guards` measures the plan."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

GuardAction = Literal["fail", "warn", "skip_removals"]


@dataclass(frozen=True, slots=True)
class Guard:
    """A limit, and the action if it is passed. `skip_removals` sends the upserts and no removals."""

    limit: float
    action: GuardAction = "fail"


def exceeds_share(part: int, total: int, limit: float) -> bool:
    """Return whether `part / total` is above the limit. A share that equals the limit is not above it.

    Exact fractions are compared, because floats are off by their last digit: 1 - 7 / 10 is not 0.3.

    Args:
        part: number of rows or people; may be negative.
        total: the number that they are a share of, above 0.
        limit: a share as the user wrote it: 0.3 means three tenths, not the nearest binary number.
    """
    return part > _as_written(limit) * total


@functools.cache
def _as_written(limit: float) -> Fraction | float:
    """Return the fraction that a limit means. Cached, because it is needed after each batch."""
    return Fraction(repr(limit)) if math.isfinite(limit) else limit


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
"""The default guards.

`min_rows` trips at this number of rows or fewer. `max_shrink`, `max_growth`: share by which the segment is smaller or
larger than the last one. `max_removals_share`, `max_removals`: share of the ledger's members, and number.
`max_invalid_emails_share`, `max_duplicates_share`: shares of the rows. `max_unreadable_suppression_share`: share of a
suppression list's entries that are neither an address nor a hash. `min_contact_headroom`: contacts that the contract
must still allow, if the vendor reports it. `max_rejected_share`: share of the rows with a result so far, while sending.
"""

KNOWN_GUARDS = (*GUARDS, "max_removals")
REMOVAL_GUARDS = ("max_removals_share", "max_removals")


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The result of a guard.

    Attributes:
        name: the guard's key.
        measured: the measured value; None if it cannot be measured, which counts as tripped.
        limit: the guard's limit.
        action: what happens if it trips.
        tripped: whether the limit is passed.
        message: explains the result to the user.
    """

    name: str
    measured: float | None
    limit: float
    action: GuardAction
    tripped: bool
    message: str


NEAR_LIMIT_SHARE = 0.8
"""Share of a guard's limit from which a measured value counts as near the limit."""


def is_near_limit(guard: Mapping[str, Any]) -> bool:
    """Return whether a guard with an upper limit did not trip, but is near its limit.

    Args:
        guard: the guard's result, as a report holds it.
    """
    name, measured, limit = guard["name"], guard["measured"], guard["limit"]
    is_upper_limit = name.endswith("_share") or name in {"max_shrink", "max_growth", "max_removals"}
    return is_upper_limit and not guard["tripped"] and measured is not None and 0 < NEAR_LIMIT_SHARE * limit <= measured
