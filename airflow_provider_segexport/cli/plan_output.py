"""Prints a plan: the counts, the guards, a few masked items and the operator call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_segexport.cli.output import STRUCTURED, cell, print_object, print_rows
from airflow_provider_segexport.cli.plan_code import operator_call
from airflow_provider_segexport.cli.terminal import say
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.guards import is_near_limit
from airflow_provider_segexport.vendors.registry import VENDORS

LINE_CHARS = 100
"""Longest line of an item before it is indented."""

REPORT_KEYS = (
    "vendor",
    "account",
    "audience",
    "audience_name",
    "audience_missing",
    "conn_id",
    "export_name",
    "segment",
    "mode",
    "as_of",
    "counts",
    "reasons",
    "removals",
    "warnings",
    "consent",
    "suppression",
    "held_after_rejection",
    "contact_headroom",
    "estimate",
    "comparison_only",
    "plan_hash",
    "error",
)
"""Keys of the dry run's report that the command prints as JSON or YAML, if the report has them."""


def print_plan(report: Mapping[str, Any], conn_id: str, given: Mapping[str, Any], output: str) -> None:
    """Print the plan.

    Args:
        report: the report of the dry run.
        conn_id: the Airflow connection.
        given: the arguments of the command line, for the operator call.
        output: one of the formats of Airflow's commands.
    """
    guards = [{**guard, "state": guard_state(guard)} for guard in report["guards"]]
    call = operator_call(conn_id, given)
    if output in STRUCTURED:
        content = {name: report[name] for name in REPORT_KEYS if report.get(name) is not None}
        print_object({**content, "guards": guards, "items": report["preview"], "operator": call}, output)
        return
    say(f"{_title(report)}\n")
    print_rows(list(count_rows(report)), output)
    say(f"\n{_effort(report)}")
    for line in _value_lines(report):
        say(line)
    say("")
    print_rows(list(guard_rows(guards)), output)
    if not any(guard["state"] != "passed" for guard in guards):
        say("No guard is near its limit.")
    for number, item in enumerate(report["preview"], start=1):
        say(f"\nItem {number}, with masked values:\n{item_text(item)}")
    say(f"\nThe operator call for a DAG:\n\n{call}")


def guard_state(guard: Mapping[str, Any]) -> str:
    """Return `tripped`, `near` or `passed`."""
    if guard["tripped"]:
        return "tripped"
    return "near" if is_near_limit(guard) else "passed"


def _title(report: Mapping[str, Any]) -> str:
    vendor = VENDORS[report["vendor"]]
    name = cell(report["audience_name"])
    audience = f"{vendor.audience_noun} {name!r}"
    audience += " that does not exist yet" if report.get("audience_missing") else f" ({cell(report['audience'])})"
    text = (
        f"Plan of {counted(report['counts']['profiles'], 'profile')} for the {audience} at {vendor.title}, account "
        f"{cell(report['account'])!r}, as export {cell(report['export_name'])!r}, mode {report['mode']}. Nothing was "
        "sent."
    )
    if report["comparison_only"]:
        text += " The audience has a newer snapshot, so an export sends nothing; this compares the two."
    return text


def count_rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the number of profiles by outcome and reason, and of leavers. The profiles add up to the segment's."""
    counts = report["counts"]
    yield {"outcome": "to send", "reason": "new or changed", "count": counts["not_attempted"]}
    yield {"outcome": "unchanged", "reason": "as in the ledger", "count": counts["unchanged"]}
    for outcome in ("withheld", "rejected"):
        for reason, count in sorted(report["reasons"].get(outcome, {}).items(), key=lambda item: (-item[1], item[0])):
            yield {"outcome": outcome, "reason": reason, "count": count}
    removals = report["removals"]
    if removals["planned"]:
        yield {"outcome": "to remove", "reason": "left the segment", "count": report["estimate"]["removals"]}
        for name in ("kept", "already_gone"):
            if removals[name]:
                yield {"outcome": "not removed", "reason": name, "count": removals[name]}


def _effort(report: Mapping[str, Any]) -> str:
    estimate = report["estimate"]
    text = (
        f"{counted(estimate['calls'], 'call')}, {counted(estimate['bytes'], 'byte')}, about "
        f"{counted(estimate['estimated_minutes'], 'minute')} at the vendor's quota."
    )
    if estimate["quota_left"] is not None:
        text += f" The account has {counted(estimate['quota_left'], 'call')} left today."
    return text


def _value_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field whose values are changed or left out, and for each suppression list."""
    for field, changes in report["warnings"].items():
        text = ", ".join(f"{count:,} {change.replace('_', ' ')}" for change, count in changes.items())
        yield f"Values of {cell(field)}: {text}."
    for tally in report["suppression"]:
        read = counted(tally["read"], "entry")
        yield f"Suppression list {cell(tally['name'])}: {read} read, {tally['matched']:,} matched."


def item_text(item: Any) -> str:
    """Return an item's JSON, on one line if it fits."""
    line = json.dumps(item, ensure_ascii=False)
    return line if len(line) <= LINE_CHARS else json.dumps(item, ensure_ascii=False, indent=2)


def guard_rows(guards: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the guards that have tripped or are near their limit, tripped ones first."""
    shown = [guard for state in ("tripped", "near") for guard in guards if guard["state"] == state]
    for guard in shown:
        yield {
            "guard": guard["name"],
            "state": guard["state"],
            "measured": "unknown" if guard["measured"] is None else f"{guard['measured']:,.6g}",
            "limit": f"{guard['limit']:,.6g}",
            "action": guard["action"],
            "message": guard["message"],
        }
