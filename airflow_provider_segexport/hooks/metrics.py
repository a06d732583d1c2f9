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

from airflow_provider_segexport.errors import OlderThanLedger, SegexportError, SwitchedOff, TryAgain
from airflow_provider_segexport.ports.http import Traffic


def ended(vendor: str, found: Mapping[str, Any] | object) -> None:
    """A run has come to its report, or waits for the vendor's jobs."""
    if not isinstance(found, Mapping):
        _count("runs", 1, vendor=vendor, end="waiting")
        return
    dry = bool(found.get("dry_run"))
    _count("runs", 1, vendor=vendor, end="dry_run" if dry else "finished")
    if dry:
        return
    for outcome, rows in found["counts"].items():
        if outcome != "profiles":
            _count("rows", rows, vendor=vendor, outcome=outcome)
    for outcome, rows in (found.get("removals") or {}).items():
        if outcome != "planned":
            _count("removals", rows, vendor=vendor, outcome=outcome)
    Stats.timing("segexport.duration", timedelta(seconds=found["seconds"]), tags={"vendor": vendor})


def broken(vendor: str, error: SegexportError) -> None:
    """A run, or a try of it, has ended with an error."""
    match error:
        case SwitchedOff() | OlderThanLedger(fails=False):
            end = "skipped"
        case TryAgain():
            end = "come_back"
        case _:
            end = "failed"
    _count("runs", 1, vendor=vendor, end=end)
    _count("errors", 1, vendor=vendor, error=type(error).__name__)


def traffic(vendor: str, sent: Traffic) -> None:
    """What this worker has sent, whatever came of it."""
    for name, count in (("calls", sent.calls), ("retries", sent.retries), ("bytes", sent.bytes_sent)):
        _count(name, count, vendor=vendor)
    if sent.waited_s:
        Stats.timing("segexport.waited", timedelta(seconds=sent.waited_s), tags={"vendor": vendor})


def _count(name: str, count: int, **tags: str) -> None:
    if count:
        Stats.incr(f"segexport.{name}", int(count), tags=tags)
