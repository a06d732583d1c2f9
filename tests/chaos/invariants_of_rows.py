"""Invariant 1: each row ends in exactly one outcome, and the report's counts match the vendor's calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from chaos.run_records import Run, RunRecords, rejects

OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "not_attempted")


def every_row_ends_once(evidence: RunRecords) -> Iterator[str]:
    """1. Conservation: each row of a report has exactly one outcome, and the outcome matches the vendor's calls."""
    for run in evidence.runs.values():
        for folder, report in run.reports():
            where = f"{run.name}/{folder.name}"
            yield from _counts(where, run, report)
            if run.mode != "undo" and run.ended not in {"killed", "disk", "waiting"}:  # the report is of an earlier try
                yield from _rejected_rows(where, run, folder, report)
        if run.finished and not run.dry and run.mode != "undo":
            yield from _delivered(evidence, run)


def _counts(where: str, run: Run, report: dict[str, Any]) -> Iterator[str]:
    counts = report["counts"]
    if counts["profiles"] != len(run.rows) and run.mode != "undo":
        yield f"{where}: the segment has {len(run.rows)} rows, and the report {counts['profiles']}"
    if counts["profiles"] != sum(counts[name] for name in OUTCOMES) or min(counts.values()) < 0:
        yield f"{where}: the counts do not add up: {counts}"
    if report["finished"] and not run.dry and counts["not_attempted"]:
        yield f"{where}: finished, and {counts['not_attempted']} rows were not attempted"
    for outcome in ("rejected", "withheld"):
        explained = sum(report["reasons"].get(outcome, {}).values())
        if explained != counts[outcome]:
            yield f"{where}: {counts[outcome]} rows are {outcome}, and the reasons are of {explained}"
    removals = report.get("removals") or {}
    if removals and removals["planned"] != sum(number for name, number in removals.items() if name != "planned"):
        yield f"{where}: the removals do not add up: {removals}"
    if any(number < 0 for number in removals.values()):
        yield f"{where}: a count of removals is negative: {removals}"


def _rejected_rows(where: str, run: Run, folder: Any, report: dict[str, Any]) -> Iterator[str]:
    lines = [line for line in rejects(folder) if line["row"] is not None and line["row"] >= 0]
    twice = [row for row, times in Counter(line["row"] for line in lines).items() if times > 1]
    if twice:
        yield f"{where}: rows {twice} stand in the rejects more than once"
    listed = Counter((line["outcome"], line["reason"]) for line in lines if line["row"] < len(run.rows))
    reasons = {(outcome, reason): n for outcome, counted in report["reasons"].items() for reason, n in counted.items()}
    if listed != reasons:
        yield f"{where}: rejects.parquet holds {dict(listed)}, and the report says {reasons}"
    by_row = {line["row"]: (line["outcome"], line["reason"]) for line in lines}
    for number, row in enumerate(run.rows):
        ended = by_row.get(number)
        # Consent that a sharer's segment has withdrawn is a person's reason, and comes before those of the row.
        if row.wrong is not None and ended not in {row.wrong, ("withheld", "withdrawn_elsewhere")}:
            yield f"{where}: row {number} must end as {row.wrong}, and ended as {ended or 'sent'}"


def _delivered(evidence: RunRecords, run: Run) -> Iterator[str]:
    """A delivered person has arrived in this run, an unchanged one in an earlier run, with the very same content."""
    _, report = list(run.reports())[-1]
    aside = run.aside()
    last_call = evidence.last_call(run)
    sent, _ = newest_content(evidence, run, last_call)
    arrived_here = [email for email in run.wanted if sent.get(email, ("",))[0] == run.name]
    # A suspended process ends after a newer run has sent other content.
    arrived, own = newest_content(evidence, run, max((last_call, *(this.ended_after for this in run.tries))))
    refused, settled = evidence.ever_refused(), _settled_before(evidence, run)
    lost = [
        email
        for email, name in run.wanted.items()
        if email not in aside | refused
        and not any(name in content.get(email, ("", ""))[1] for content in (sent, arrived))
        and name not in own.get(email, "")  # the last change wins, among exports that share the audience
        and name != settled.get(email)
    ]
    if lost:
        yield f"{run.name}: {len(lost)} people are lost, their newest content never arrived: {lost[:3]}"
    delivered = sum(email not in aside for email in arrived_here)
    if run.mode == "full" and report["counts"]["delivered"] != delivered:
        yield f"{run.name}: the report says {report['counts']['delivered']} delivered, and {delivered} arrived"


def _settled_before(evidence: RunRecords, run: Run) -> dict[str, str]:
    """The content of each person after earlier runs of the same export: sent by them, or unchanged already."""
    last_call = evidence.last_call(run)
    earlier = [
        other
        for other in evidence.runs.values()
        if other.export == run.export and any(other.reports()) and evidence.last_call(other) < last_call
    ]
    settled: dict[str, str] = {}
    for other in sorted(earlier, key=evidence.last_call):
        settled |= {email: name for email, name in other.wanted.items() if email not in other.aside()}
    return settled


def newest_content(evidence: RunRecords, run: Run, last: int) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """The content of each person that had last arrived at a call, with its run; and that of the run's own export."""
    arrived: dict[str, tuple[str, str]] = {}
    own: dict[str, str] = {}
    for call in evidence.calls:
        if call.number > last or not call.arrived:
            continue
        other = evidence.runs.get(call.run)
        for email, item in call.items.items():
            arrived[email] = (call.run, str(item))
            if other is not None and other.export == run.export:
                own[email] = str(item)
    return arrived, own
