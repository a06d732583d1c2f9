"""`airflow segexport show RUN --calls`: prints the vendor calls of one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import end_with_look
from airflow_provider_segexport.cli.output import STRUCTURED, print_object, print_rows
from airflow_provider_segexport.cli.runs import clock
from airflow_provider_segexport.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_segexport.storage.calls import Call, CallGroup
    from airflow_provider_segexport.storage.paths import StoragePath

TABLE_CALLS = 50
"""Calls in each of two tables: the first that failed, and the newest."""


def print_calls(folder: StoragePath, output: str) -> None:
    """Print the calls of a run folder; exit with 3 if none are recorded.

    Args:
        folder: the run folder.
        output: one of the formats of Airflow's commands. JSON and YAML contain all recorded calls.
    """
    from airflow_provider_segexport.storage.calls import as_json, read_calls  # noqa: PLC0415 - the core

    calls = read_calls(folder)
    if calls is None:
        end_with_look(
            f"The run folder {folder} has no calls. They are written when the run ends, fails or waits for its jobs."
        )
    if output in STRUCTURED:
        print_object(as_json(calls), output)
        return
    print_rows([_group_row(group) for group in calls.groups], output)
    if calls.failed:
        shown = calls.failed[:TABLE_CALLS]
        say(f"\nFirst failed calls ({len(shown):,} of {len(calls.failed):,} recorded):\n")
        print_rows(_call_rows(shown), output)
    shown = calls.latest[-TABLE_CALLS:]
    say(f"\nNewest calls ({len(shown):,} of {calls.total:,}):\n")
    print_rows(_call_rows(shown), output)


def _group_row(group: CallGroup) -> dict[str, Any]:
    return {
        "call": f"{group.method} {group.path}",
        "status": _status(group.status, group.failure),
        "calls": group.calls,
        "mean ms": group.mean_ms,
        "longest ms": group.max_ms,
    }


def _call_rows(calls: Sequence[Call]) -> list[dict[str, Any]]:
    return [
        {
            "ended (UTC)": clock(call.at),
            "call": f"{call.method} {call.path}",
            "status": _status(call.status, call.failure),
            "ms": call.ms,
        }
        for call in calls
    ]


def _status(status: int, failure: str) -> str:
    """Return the HTTP status, and the error if there was no complete response."""
    return f"{status or ''} {failure}".strip()
