"""Estimates the effort of a plan: `plan, limits -> calls, bytes, minutes`, and picks rows to look at."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_segexport.model import Audience, Rate
from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.plan import Estimate, Plan
from airflow_provider_segexport.storage.tables import CLEAN_ROWS, NOT_SENT
from airflow_provider_segexport.vendors.base import Vendor

SAMPLE_ROWS = 5
"""Rows that are listed for each reason, enough to recognise a mistake in the segment."""


def estimate(
    vendor: Vendor, audience: Audience, planned: Plan, samples: dict[str, list[int]], quota_left: int | None
) -> Estimate:
    """Estimate what a plan takes at the vendor.

    Args:
        vendor: the vendor, with its limits.
        audience: decides which further calls a batch takes.
        planned: the plan.
        samples: row numbers by reason, from `sample_rows`.
        quota_left: calls that the account has left today; None if the vendor does not report it.

    Returns:
        Calls, bytes, and minutes at the vendor's quotas alone; polls and read-backs come on top.
    """
    removal_limits = vendor.removal.limits if vendor.removal else vendor.limits
    upsert_calls, removal_calls = len(planned.batches), len(planned.removal_batches)
    extra = vendor.extra_calls(audience) if vendor.extra_calls else {}
    calls = upsert_calls * (1 + sum(extra.values())) + removal_calls
    scoped = {scope: upsert_calls * number for scope, number in extra.items() if scope}
    if vendor.removal and vendor.removal.rate_scope:
        scoped[vendor.removal.rate_scope] = scoped.get(vendor.removal.rate_scope, 0) + removal_calls
    seconds = max(
        quota_seconds(vendor.limits.rates, calls),
        quota_seconds(removal_limits.rates, removal_calls),
        *(quota_seconds(vendor.limits.scoped_rates.get(scope, ()), number) for scope, number in scoped.items()),
    )
    return Estimate(
        calls=calls,
        bytes=planned.bytes,
        estimated_minutes=round(seconds / 60, 1),
        upserts=planned.upsert_rows,
        removals=planned.leaver_counts.get("send", 0),
        quota_left=quota_left,
        samples=samples,
    )


def quota_seconds(rates: Sequence[Rate], calls: int) -> float:
    """Return the seconds that the calls take at the quotas alone: each used-up quota waits for its next window."""
    return max((((calls - 1) // rate.calls) * rate.seconds for rate in rates if calls), default=0.0)


def sample_rows(engine: Engine) -> dict[str, list[int]]:
    """Return the numbers of the first rows to be sent, and of the first rows that are not sent by reason."""
    clean_rows = [row for (row,) in engine.rows(f"select row from {CLEAN_ROWS} limit {SAMPLE_ROWS}")]  # in their order
    not_sent = engine.rows(
        f"""select reason, list(row order by row)[1:{SAMPLE_ROWS}] from {NOT_SENT} group by reason order by reason"""
    )
    return {"clean": clean_rows} | {str(reason): list(rows) for reason, rows in not_sent}
