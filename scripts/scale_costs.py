"""Prices of the resources that a simulated day uses, from published price lists as an example."""

from __future__ import annotations

from dataclasses import dataclass

VCPU_HOUR_USD, GIB_HOUR_USD = 0.04048, 0.004445
"""AWS Fargate, us-east-1, Linux/x86: cloudburn.io/blog/aws-fargate-pricing, 2026-04-01, AWS's prices of 2026-03."""

MIN_BILLED_S = 60.0
"""Shortest time in seconds for which Fargate bills a pod."""

PUT_USD, GB_MONTH_USD = 0.005 / 1000, 0.023
"""S3 Standard, us-east-1: devnotes.tech, "Understanding AWS S3 Pricing", without a date, read 2026-11-28."""

REQUESTS_A_RUN, REQUESTS_A_CALL = 74.0, 1.2
"""Requests to the state's store, from benchmarks/results/object_storage.md: 54 others, 14 of the lease and 6 of the
journal in each run; 1.1 of the lease and 0.1 of the journal for each import."""

LEDGER_GB, PLAN_GB, DAYS_KEPT = 0.25, 0.15, 14
"""GB of one audience of a million people: five versions of the ledger, and the plan of a run that sends everything. Run
folders are kept for this number of days."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Use of the object storage.

    Attributes:
        requests: requests a day.
        gb: GB stored on average, which is also the number of GB-months a month.
    """

    requests: float
    gb: float

    @property
    def usd_a_day(self) -> float:
        """Return the price of a day; every request counts as a write, so this is an upper bound."""
        return self.requests * PUT_USD + self.gb * GB_MONTH_USD / 30


def storage(audiences: int, imports: float, changed: float) -> Storage:
    """Return what the runs of a day use.

    Args:
        audiences: number of audiences, each with one run a day.
        imports: number of calls of all runs that send profiles.
        changed: share of the profiles that a run sends, 0 to 1.
    """
    requests = audiences * REQUESTS_A_RUN + imports * REQUESTS_A_CALL
    return Storage(requests, audiences * (LEDGER_GB + PLAN_GB * changed * DAYS_KEPT))


def compute_usd(core_hours: float, gib_hours: float) -> float:
    """Return the price of cores and memory."""
    return core_hours * VCPU_HOUR_USD + gib_hours * GIB_HOUR_USD
