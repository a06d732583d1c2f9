"""Formats the report of an export: `report -> log lines, title and body of a message`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.hooks.report_text import audience_name as audience_name  # noqa: PLC0414 - exported
from airflow_provider_segexport.hooks.report_text import effort as effort  # noqa: PLC0414 - exported
from airflow_provider_segexport.reasons import PROOF_NOT_APPLIED
from airflow_provider_segexport.storage.proof_columns import CONSENTED_AT_COLUMN

SUMMARY_KEYS = (
    "vendor",
    "audience",
    "audience_name",
    "audience_created",
    "audience_missing",
    "export_name",
    "mode",
    "as_of",
    "counts",
    "reasons",
    "removals",
    "warnings",
    "consent_proof",
    "held_after_rejection",
    "guards",
    "estimate",
    "contact_headroom",
    "account_facts",
    "dry_run",
    "comparison_only",
    "plan_hash",
    "reverted_version",
    "optouts",
    "ledger_version",
    "seconds",
    "run_folder",
)
"""Keys of the report that a task returns and its assets' events carry, if the report has them."""


def outcome(report: Mapping[str, Any]) -> str:
    """Return the number of profiles by outcome, with the reasons. Outcomes without profiles are left out."""
    counts, reasons = report["counts"], report["reasons"]
    parts = []
    for name, count in counts.items():
        if name != "profiles" and count:
            details = ", ".join(f"{number:,} {reason}" for reason, number in reasons.get(name, {}).items())
            parts.append(f"{count:,} {name.replace('_', ' ')}{f' ({details})' if details else ''}")
    return f"{counted(counts['profiles'], 'profile')}: {', '.join(parts) or 'none sent'}"


def removals(report: Mapping[str, Any]) -> str:
    """Return the number of leavers by outcome; empty if there are none."""
    counts = report.get("removals") or {}
    parts = [f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if name != "planned" and count]
    return f"{counted(counts['planned'], 'leaver')}: {', '.join(parts)}" if parts else ""


def warnings(report: Mapping[str, Any]) -> str:
    """Return the number of values that were changed or left out, by field; empty if there are none.

    The proof of consent is not a field; `proofs` describes it.
    """
    changes = [
        f"{field}: {count:,} {change.replace('_', ' ')}"
        for field, counts in report["warnings"].items()
        for change, count in counts.items()
        if field != CONSENTED_AT_COLUMN
    ]
    return "; ".join(changes)


def proofs(report: Mapping[str, Any]) -> str:
    """Return a sentence on the profiles by the state of their proof of consent; empty if no proof is sent."""
    unapplied = report.get("warnings", {}).get(CONSENTED_AT_COLUMN, {}).get(PROOF_NOT_APPLIED, 0)
    counts = {**report.get("consent_proof", {}), PROOF_NOT_APPLIED: unapplied}
    parts = [f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items() if count]
    return f"Proof of consent: {', '.join(parts)}." if report.get("consent_proof") and parts else ""


def guards(report: Mapping[str, Any]) -> list[str]:
    """Return the messages of the guards that tripped."""
    return [str(guard["message"]) for guard in report.get("guards") or [] if guard.get("tripped")]


def new_audience(report: Mapping[str, Any]) -> str:
    """Return a sentence about an audience that the run has created or would create; empty for any other."""
    if report.get("audience_created"):
        return f"This run created the audience {report['audience_name']!r} ({report['audience']})."
    if report.get("audience_missing"):
        return f"The audience {report['audience_name']!r} does not exist yet; an export creates it."
    return ""


def success(report: Mapping[str, Any]) -> dict[str, str]:
    """Return title and body of a message about a run that has succeeded."""
    counts = report["counts"]
    if report.get("dry_run"):
        profiles = counted(counts["profiles"], "profile")
        title = f"{audience_name(report)}: dry run, {counts['not_attempted']:,} of {profiles} would be sent"
    else:
        names = [name for name in ("delivered", "rejected", "withheld", "unchanged") if counts[name]]
        text = ", ".join(f"{counts[name]:,} {name}" for name in names[:3]) or "nothing to send"
        title = f"{audience_name(report)}: {text}"
    return {"title": title, "body": body(report)}


def failure(name: str, report: Mapping[str, Any] | None, error: str) -> dict[str, str]:
    """Return title and body of a message about a run that has stopped with an error.

    Args:
        name: `<dag id>.<task id>`.
        report: the report so far; None if there is none.
        error: the error's text.
    """
    title = f"{audience_name(report)}: {name} has stopped" if report else f"{name} has stopped"
    so_far = f"\nSo far, of {body(report)}" if report else ""
    return {"title": title, "body": f"{error}{so_far}"}


def body(report: Mapping[str, Any]) -> str:
    """Return the body of a message: a line each for outcomes, proofs, removals, guards, effort and run folder."""
    lines = [outcome(report) + ".", new_audience(report), proofs(report), removals(report)]
    lines += [*guards(report), effort(report) + "."]
    return "\n".join([*filter(None, lines), f"Run folder: {report['run_folder']}"])
