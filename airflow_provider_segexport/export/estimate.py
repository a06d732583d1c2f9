"""What a plan will take: `plan, limits -> calls, bytes, minutes`, and rows to look at."""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.storage.duckdb_engine import Engine
from airflow_provider_segexport.storage.plan import Plan
from airflow_provider_segexport.vendors.base import Limits, Vendor

SAMPLES = 5


def estimate(vendor: Vendor, planned: Plan) -> dict[str, Any]:
    """Calls, bytes, and minutes at the vendor's quota; polls and read-backs come on top."""
    removals = vendor.removal.limits if vendor.removal else vendor.limits
    calls, more = len(planned.batches), len(planned.removal_batches)
    seconds = max(_seconds(vendor.limits, calls + more), _seconds(removals, more))
    return {
        "calls": calls + more,
        "bytes": planned.bytes,
        "estimated_minutes": round(seconds / 60, 1),
        "upserts": planned.upsert_rows,
        "removals": planned.leaver_counts.get("send", 0),
    }


def _seconds(limits: Limits, calls: int) -> float:
    """How long so many calls take at the quotas alone; a quota that is used up waits for its next span."""
    return max((((calls - 1) // rate.calls) * rate.seconds for rate in limits.rates if calls), default=0.0)


def sample_rows(engine: Engine) -> dict[str, list[int]]:
    """The first rows to be sent, and those set aside, by number: to be looked up in the segment."""
    found = {"clean": [row for (row,) in engine.rows(f"select row from clean order by row limit {SAMPLES}")]}
    rows = engine.rows(
        f"""select reason, list(row order by row)[1:{SAMPLES}] from aside group by reason order by reason"""
    )
    return found | {str(reason): list(listed) for reason, listed in rows}
