"""Sends the metrics `segexport.*` of `METRICS` to Airflow: `report, traffic, error -> counters and timings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from airflow.sdk.observability.stats import Stats

from airflow_provider_segexport.errors import ExportsDisabled, RetryableError, SegexportError, StaleSnapshot
from airflow_provider_segexport.http.client import Traffic


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. Every metric has the tag `vendor`.

    Attributes:
        name: the part after `segexport.`.
        kind: Airflow's kind of metric.
        meaning: what is counted or timed.
        tags: names of the tags besides `vendor`.
    """

    name: str
    kind: Literal["counter", "gauge", "timing"]
    meaning: str
    tags: tuple[str, ...] = ()


METRICS = (
    Metric(
        "runs",
        "counter",
        "times that a worker left a run. The status is success, dry_run, deferred, skipped, retry or failed",
        ("status",),
    ),
    Metric("rows", "counter", "profiles of finished runs", ("outcome",)),
    Metric("removals", "counter", "people to be removed, of finished runs", ("outcome",)),
    Metric("api_calls", "counter", "API calls of all workers, also of runs that failed"),
    Metric("api_retries", "counter", "repeated attempts among these calls"),
    Metric("bytes_sent", "counter", "bytes of request bodies"),
    Metric("errors", "counter", "errors that ended a try; the tag is the exception's name", ("error",)),
    Metric("verified", "counter", "people of finished verifications, by kind", ("kind",)),
    Metric("match_rate", "gauge", "match rate of an audience by its last verification, from 0 to 1", ("audience",)),
    Metric("duration", "timing", "finished runs, from the plan to the report"),
    Metric("wait_time", "timing", "time that a worker waited for the vendor or its rate limit"),
)
"""All metrics. The reference lists them from here."""


def record_end(vendor: str, result: Mapping[str, Any] | object) -> None:
    """Record that a run has returned a report, or waits for jobs.

    Args:
        vendor: the vendor's name.
        result: the report; any other object if the run waits for jobs.
    """
    if not isinstance(result, Mapping):
        _count("runs", 1, vendor=vendor, status="deferred")
        return
    if result.get("dry_run"):
        _count("runs", 1, vendor=vendor, status="dry_run")
        return
    _count("runs", 1, vendor=vendor, status="success")
    Stats.timing("segexport.duration", timedelta(seconds=result["seconds"]), tags={"vendor": vendor})
    if result.get("mode") == "verify":
        _record_verification(vendor, result)
        return
    for outcome, rows in result["counts"].items():
        if outcome != "profiles":
            _count("rows", rows, vendor=vendor, outcome=outcome)
    for outcome, rows in (result.get("removals") or {}).items():
        if outcome != "planned":
            _count("removals", rows, vendor=vendor, outcome=outcome)


def _record_verification(vendor: str, report: Mapping[str, Any]) -> None:
    """Record the people by kind, and the match rate unless the ledger has no members."""
    for kind, people in report["people"].items():
        _count("verified", people or 0, vendor=vendor, kind=kind)
    if report["match_rate"] is not None:
        tags = {"vendor": vendor, "audience": report["audience"]}
        Stats.gauge("segexport.match_rate", report["match_rate"], tags=tags)


def record_failure(vendor: str, error: SegexportError) -> None:
    """Record that a try of a run has ended with an error."""
    match error:
        case ExportsDisabled() | StaleSnapshot(fails=False):
            status = "skipped"
        case RetryableError():
            status = "retry"
        case _:
            status = "failed"
    _count("runs", 1, vendor=vendor, status=status)
    _count("errors", 1, vendor=vendor, error=type(error).__name__)


def record_traffic(vendor: str, traffic: Traffic) -> None:
    """Record the calls that this worker has made, also if the run has failed."""
    counts = {"api_calls": traffic.calls, "api_retries": traffic.retries, "bytes_sent": traffic.bytes_sent}
    for name, count in counts.items():
        _count(name, count, vendor=vendor)
    if traffic.wait_s:
        Stats.timing("segexport.wait_time", timedelta(seconds=traffic.wait_s), tags={"vendor": vendor})


def _count(name: str, count: int, **tags: str) -> None:
    if count:
        Stats.incr(f"segexport.{name}", int(count), tags=tags)
