"""Formats parts of a report that exports and verifications have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.counted import counted


def effort(report: Mapping[str, Any]) -> str:
    """Return how many calls and how much time a run took."""
    traffic = report["http"]
    waited = f", {traffic['wait_s']:.0f} s of it waiting for the vendor" if traffic["wait_s"] >= 1 else ""
    retries = f", {counted(traffic['retries'], 'retry')}" if traffic["retries"] else ""
    return f"{counted(traffic['calls'], 'call')}{retries}, {report['seconds']:.1f} s{waited}"


def audience_name(report: Mapping[str, Any]) -> str:
    """Return the name of the report's audience with that of its vendor, such as `Newsletter at dotdigital`."""
    from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415 - a DAG file needs no vendor

    return f"{report['audience_name']} at {VENDORS[report['vendor']].title}"


def percentage(share: float | None) -> str:
    """Return a share from 0 to 1 in per cent: 100% only if it is exact, `unknown` for None."""
    if share is None:
        return "unknown"
    text = f"{100 * share:.2f}".rstrip("0").rstrip(".")
    return ">99.99%" if text == "100" and share < 1 else f"{text}%"
