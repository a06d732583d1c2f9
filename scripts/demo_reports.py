"""The demo's tables, and the check that reports, ledgers and vendors agree."""

from __future__ import annotations

import json
from typing import Any

from demo_stage import HOME, SEGMENTS, Stage


def count_statuses(stage: Stage, vendor: str, audience: str) -> dict[str, int]:
    """Return the number of people in the audience at the simulator, by status in lower case."""
    counts = stage.get(f"/_sim/{vendor}/audiences/{audience}?summary=1")["counts"]
    return {status.lower(): count for status, count in counts.items()}


def count_members(stage: Stage, vendor: str, audience: str) -> int:
    """Return the number of members as the ledger counts them. A person who opts out is a member at Omnisend only."""
    not_members = {"deleted"} if vendor == "omnisend" else {"unsubscribed", "deleted"}
    counts = count_statuses(stage, vendor, audience)
    return sum(count for status, count in counts.items() if status not in not_members)


OUTCOMES = ("profiles", "delivered", "unchanged", "removed", "rejected", "withheld")
HEADINGS = ("segment", "vendor", *OUTCOMES, "calls", "seconds")
NUMBER_COLUMNS = {2, 3, 4, 5, 8, 9}
"""Columns of the table that are aligned to the right. Those of rejected and withheld rows have text."""


def report_row(stage: Stage, summary: dict[str, Any]) -> tuple[str, ...]:
    """Return one export's row of the table."""
    counts, reasons = summary["counts"], summary["reasons"]
    audiences = stage.vendors[summary["vendor"]]["audiences"]
    segment_by_audience = {str(audience["id"]): segment for audience, segment in zip(audiences, SEGMENTS, strict=False)}
    rejected, withheld = (
        ", ".join(f"{count:,} {reason}" for reason, count in reasons.get(outcome, {}).items()) or "0"
        for outcome in ("rejected", "withheld")
    )
    numbers = [f"{counts[name]:,}" for name in ("profiles", "delivered", "unchanged")]
    removed = f"{summary['removals']['removed']:,}"
    effort = (f"{summary['http']['calls']:,}", f"{summary['seconds']:.1f}")
    return (
        segment_by_audience[summary["audience"]],
        summary["vendor"],
        *numbers,
        removed,
        rejected,
        withheld,
        *effort,
    )


def print_table(stage: Stage, reports: list[dict[str, Any]]) -> None:
    """Print a table of the exports."""
    rows = sorted(report_row(stage, summary) for summary in reports)
    widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in range(len(HEADINGS))]
    for row in [HEADINGS, tuple("-" * width for width in widths), *rows]:
        cells = [
            cell.rjust(width) if column in NUMBER_COLUMNS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_proofs(*days: list[dict[str, Any]]) -> None:
    """Print a line for each export that has sent proof of consent.

    Args:
        days: the reports of each day.
    """
    print('\nConsent with proof (subscribe="with_proof"): the rows that may be sent, by the state of their proof.\n')
    for day, reports in enumerate(days, 1):
        for summary in reports:
            if states := summary.get("consent_proof"):
                parts = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
                print(f"Day {day}, {summary['audience_name']} at {summary['vendor']}: {parts}")


def find_proof_faults(stage: Stage, summary: dict[str, Any]) -> list[str]:
    """Return messages if the newest report of an audience and the statuses at the vendor differ.

    Args:
        stage: the simulator.
        summary: the report of an export with proof of consent.
    """
    states, counts = summary["consent_proof"], summary["counts"]
    faults: list[str] = []
    if sum(states.values()) != counts["delivered"] + counts["unchanged"]:
        faults.append(f"the states of the proofs do not add up: {states}, and the counts are {counts}")
    statuses = count_statuses(stage, summary["vendor"], summary["audience"])
    subscribed, unsubscribed = (statuses.get(status, 0) for status in ("subscribed", "unsubscribed"))
    if subscribed != states["with_proof"]:
        faults.append(f"{states['with_proof']:,} rows have proof, and {subscribed:,} people are subscribed")
    if unsubscribed < states["opted_out_later"]:  # people without a moment of consent may have opted out, too
        faults.append(f"{states['opted_out_later']:,} people opted out later, and {unsubscribed:,} are unsubscribed")
    return [f"{summary['run']} at {summary['vendor']}: {fault}" for fault in faults]


def find_faults(stage: Stage, reports: list[dict[str, Any]]) -> list[str]:
    """Return messages about counts that do not add up, and ledgers that differ from the vendor."""
    faults: list[str] = []
    for summary in reports:
        name = f"{summary['run']} at {summary['vendor']}"
        for key, total in (("counts", "profiles"), ("removals", "planned")):
            counts = dict(summary[key])
            if counts.pop(total) != sum(counts.values()):
                faults.append(f"{name}: the {key} do not add up: {summary[key]}")
        if not summary["finished"] or summary["counts"]["not_attempted"]:
            faults.append(f"{name}: the export did not finish: {summary['error']}")
    proven = {summary["audience"]: summary for summary in reports if summary.get("consent_proof")}
    for summary in proven.values():
        faults += find_proof_faults(stage, summary)
    states = [json.loads(path.read_text()) for path in sorted(HOME.glob("state/latest/*/*/*.json"))]
    audiences = {(summary["vendor"], summary["audience"]) for summary in reports}
    if len(states) != len(audiences):
        faults.append(f"audiences with a report: {len(audiences)}; with a newest state: {len(states)}")
    for latest in states:
        members = count_members(stage, latest["vendor"], latest["audience"])
        if members != latest["members"]:
            name = f"{latest['audience_name']} at {latest['vendor']}"
            faults.append(f"{name}: {latest['members']:,} in the ledger, {members:,} at the vendor")
    return faults
