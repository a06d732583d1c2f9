"""What an export tells Airflow's metrics: `report, traffic, error -> segexport.*`, tagged with the vendor.

Counters, tagged with `vendor`: `runs` (`end`: finished, dry_run, waiting, skipped, come_back, failed) every time that a
worker leaves a run; `rows` and `removals` of finished runs (`outcome`); `calls`, `retries`, `bytes` as sent; `errors`
(`error`: the exception's name). Timings: `duration` of finished runs, `waited` for the vendor and its quota.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.observability.stats import Stats

from airflow_provider_segexport.errors import ExportsDisabled, RetryableError, SegexportError, StaleSnapshot
from airflow_provider_segexport.http.client import Traffic


def record_end(vendor: str, found: Mapping[str, Any] | object) -> None:
    """A run has come to its report, or waits for the vendor's jobs."""
    if not isinstance(found, Mapping):
        _count("runs", 1, vendor=vendor, status="deferred")
        return
    dry = bool(found.get("dry_run"))
    _count("runs", 1, vendor=vendor, status="dry_run" if dry else "success")
    if dry:
        return
    for outcome, rows in found["counts"].items():
        if outcome != "profiles":
            _count("rows", rows, vendor=vendor, outcome=outcome)
    for outcome, rows in (found.get("removals") or {}).items():
        if outcome != "planned":
            _count("removals", rows, vendor=vendor, outcome=outcome)
    Stats.timing("segexport.duration", timedelta(seconds=found["seconds"]), tags={"vendor": vendor})


def record_failure(vendor: str, error: SegexportError) -> None:
    """A run, or a try of it, has ended with an error."""
    match error:
        case ExportsDisabled() | StaleSnapshot(fails=False):
            status = "skipped"
        case RetryableError():
            status = "retry"
        case _:
            status = "failed"
    _count("runs", 1, vendor=vendor, status=status)
    _count("errors", 1, vendor=vendor, error=type(error).__name__)


def record_traffic(vendor: str, sent: Traffic) -> None:
    """What this worker has sent, whatever came of it."""
    for name, count in (("api_calls", sent.calls), ("api_retries", sent.retries), ("bytes_sent", sent.bytes_sent)):
        _count(name, count, vendor=vendor)
    if sent.wait_s:
        Stats.timing("segexport.wait_time", timedelta(seconds=sent.wait_s), tags={"vendor": vendor})


def _count(name: str, count: int, **tags: str) -> None:
    if count:
        Stats.incr(f"segexport.{name}", int(count), tags=tags)
