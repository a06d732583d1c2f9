"""Formats the report of a verification: `report -> log lines, title and body of a message`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.hooks.report_text import audience_name, effort, percentage

SUMMARY_KEYS = (
    "vendor",
    "audience",
    "audience_name",
    "mode",
    "as_of",
    "people",
    "match_rate",
    "match_rate_interval",
    "sampled",
    "vendor_members",
    "values",
    "segment",
    "drift",
    "optouts",
    "optouts_learnt",
    "repair",
    "repaired",
    "open_run",
    "estimate",
    "compared_version",
    "ledger_version",
    "seconds",
    "run_folder",
)
"""Keys of the report that a task returns and its assets' events carry, if the report has them."""


def match_rate(report: Mapping[str, Any]) -> str:
    """Return the match rate, with the confidence interval if a sample was read."""
    text = percentage(report["match_rate"])
    if report["match_rate_interval"]:
        low, high = map(percentage, report["match_rate_interval"])
        text += f" ({low} to {high} at 95 % confidence, from a sample of {counted(report['sampled'], 'person')})"
    return text


def people(report: Mapping[str, Any]) -> str:
    """Return the number of people by kind. Kinds without people are left out."""
    parts = [f"{count:,} {kind.replace('_', ' ')}" for kind, count in report["people"].items() if count]
    return ", ".join(parts) or "no people"


def body(report: Mapping[str, Any]) -> str:
    """Return the body of a message, with one line each for match rate, people, values, segment, repair and effort."""
    values, segment = report["values"], report["segment"]
    lines = [
        f"Match rate {match_rate(report)}.",
        f"People: {people(report)}.",
        f"Different values: {values['different']:,} of {counted(values['compared'], 'person')}."
        if values["compared"]
        else "",
        f"Segment: {counted(segment['people'], 'person')}, {segment['not_exported']:,} of them not exported; "
        f"{segment['not_in_segment']:,} others exported."
        if segment
        else "",
        f"The next run sends {counted(report['repaired'], 'person')} again." if report["repaired"] else "",
        effort(report) + ".",
    ]
    return "\n".join([*filter(None, lines), f"Run folder: {report['run_folder']}"])


def summary(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task returns: title and body of a message, counts and paths."""
    values = {name: report[name] for name in SUMMARY_KEYS if report.get(name) is not None}
    title = f"{audience_name(report)}: match rate {match_rate(report)}"
    return {"title": title, "body": body(report), **values, "calls": report["http"]["calls"]}
