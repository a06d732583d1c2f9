"""The match rate of an audience, and its confidence interval in a sample."""

from __future__ import annotations

import math

Z_95 = 1.959964
"""Standard normal quantile of a two-sided interval at 95 %."""


def match_rate(in_sync: int, absent: int) -> float | None:
    """Return the share of the ledger's members who are mailable members at the vendor; None without any member.

    Args:
        in_sync: number of the ledger's members who are mailable members at the vendor.
        absent: number of the ledger's members who are not in the audience and have not opted out. Members who have
            opted out are in neither number.
    """
    return in_sync / (in_sync + absent) if in_sync + absent else None


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float] | None:
    """Return the Wilson score interval of a share, without continuity and finite population correction.

    Unlike the interval of the normal approximation, it stays within 0 and 1, and it is right for shares near 1.

    Args:
        successes: people in sync in the sample.
        trials: people in the sample.
        z: quantile; the default gives a confidence of 95 %.

    Returns:
        Lower and upper bound; None if the sample is empty.
    """
    if not trials:
        return None
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    margin = z / scale * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return max(0.0, middle - margin), min(1.0, middle + margin)
