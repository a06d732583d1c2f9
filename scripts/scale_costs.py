"""Example prices of the resources that a simulated day uses, from published price lists."""

from __future__ import annotations

from dataclasses import dataclass

VCPU_HOUR_USD, GIB_HOUR_USD = 0.04048, 0.004445
"""USD an hour on AWS Fargate, us-east-1, Linux/x86: cloudburn.io/blog/aws-fargate-pricing, 2026-04-01, with the
prices of 2026-03."""

MIN_BILLED_S = 60.0
"""Shortest time in seconds for which Fargate bills a pod."""

PUT_USD, GB_MONTH_USD = 0.005 / 1000, 0.023
"""USD for a PUT and for a GB-month, S3 Standard, us-east-1: devnotes.tech, "Understanding AWS S3 Pricing", undated,
read 2026-11-28."""

REQUESTS_A_RUN, REQUESTS_A_CALL = 74.0, 1.2
"""Requests to the store of the state, from benchmarks/results/object_storage.md (Omnisend with 2 % changed): in each
run 6 of the journal, 14 of the lease and 54 others; for each import 1.1 of the lease and 0.1 of the journal."""

LEDGER_GB, PLAN_GB, DAYS_KEPT = 0.25, 0.15, 14
"""Estimated GB of one audience of a million people: five versions of the ledger, and the plan of a run that sends
everything. Run folders are kept for this number of days; the default of `keep_runs_days` is 30."""


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
