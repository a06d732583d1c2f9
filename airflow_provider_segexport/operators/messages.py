"""What a task says: `report -> lines` for its log, a title and a body for whoever is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.counted import counted

KEPT = (
    "vendor",
    "audience",
    "audience_name",
    "export_name",
    "mode",
    "as_of",
    "counts",
    "reasons",
    "removals",
    "warnings",
    "held_after_rejection",
    "guards",
    "estimate",
    "contact_headroom",
    "dry_run",
    "comparison_only",
    "plan_hash",
    "reverted_version",
    "optouts",
    "ledger_version",
    "seconds",
    "run_folder",
)
"""What of the report a task returns and its assets' events carry, where the report has it."""


def outcome(report: Mapping[str, Any]) -> str:
    """Where the profiles ended, with the reasons; what is nought is left out."""
    counts, reasons = report["counts"], report["reasons"]
    parts = []
    for name, count in counts.items():
        if name != "profiles" and count:
            why = ", ".join(f"{number:,} {reason}" for reason, number in reasons.get(name, {}).items())
            parts.append(f"{count:,} {name.replace('_', ' ')}{f' ({why})' if why else ''}")
    return f"{counted(counts['profiles'], 'profile')}: {', '.join(parts) or 'none sent'}"


def removals(report: Mapping[str, Any]) -> str:
    """Where the leavers ended; nothing where there are none."""
    found = report.get("removals") or {}
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in found.items() if name != "planned" and count]
    return f"{counted(found['planned'], 'leaver')}: {', '.join(parts)}" if parts else ""


def effort(report: Mapping[str, Any]) -> str:
    """What it took."""
    traffic = report["http"]
    waited = f", {traffic['wait_s']:.0f} s of it waiting for the vendor" if traffic["wait_s"] >= 1 else ""
    again = f", {counted(traffic['retries'], 'retry')}" if traffic["retries"] else ""
    return f"{counted(traffic['calls'], 'call')}{again}, {report['seconds']:.1f} s{waited}"


def warnings(report: Mapping[str, Any]) -> str:
    """Values that were changed or left out of their rows."""
    found = [
        f"{field}: {count:,} {what.replace('_', ' ')}"
        for field, whats in report["warnings"].items()
        for what, count in whats.items()
    ]
    return "; ".join(found)


def guards(report: Mapping[str, Any]) -> list[str]:
    """What the guards that tripped have to say."""
    return [str(guard["message"]) for guard in report.get("guards") or [] if guard.get("tripped")]


def place(report: Mapping[str, Any]) -> str:
    """Which audience."""
    from airflow_provider_segexport.vendors.registry import VENDORS  # noqa: PLC0415 - a DAG file needs no vendor

    return f"{report['audience_name']} at {VENDORS[report['vendor']].title}"


def success(report: Mapping[str, Any]) -> dict[str, str]:
    """A message about a run that has ended well."""
    counts = report["counts"]
    if report.get("dry_run"):
        profiles = counted(counts["profiles"], "profile")
        title = f"{place(report)}: dry run, {counts['not_attempted']:,} of {profiles} would be sent"
    else:
        names = [name for name in ("delivered", "rejected", "withheld", "unchanged") if counts[name]]
        said = ", ".join(f"{counts[name]:,} {name}" for name in names[:3]) or "nothing to send"
        title = f"{place(report)}: {said}"
    return {"title": title, "body": body(report)}


def failure(name: str, report: Mapping[str, Any] | None, error: str) -> dict[str, str]:
    """A message about a run that has ended, for now or for good, before it was done."""
    title = f"{place(report)}: {name} has stopped" if report else f"{name} has stopped"
    so_far = f"\nSo far, of {body(report)}" if report else ""
    return {"title": title, "body": f"{error}{so_far}"}


def body(report: Mapping[str, Any]) -> str:
    """All that a person may want to know, line by line."""
    lines = [outcome(report) + ".", removals(report), *guards(report), effort(report) + "."]
    return "\n".join([*filter(None, lines), f"Report: {report['run_folder']}"])
