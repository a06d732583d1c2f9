"""`airflow segexport show RUN`: prints the report of one run, or its vendor calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.calls import print_calls
from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.output import STRUCTURED, print_object, print_rows
from airflow_provider_segexport.cli.plan_output import guard_rows, guard_state
from airflow_provider_segexport.cli.runs import clock, duration
from airflow_provider_segexport.cli.terminal import say, warn
from airflow_provider_segexport.json_values import array, integer, mapping, number, text

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.find_run import LocatedRun

TEXTS = {
    "outcome": "outcome",
    "error": "error",
    "run": "run",
    "export_name": "export",
    "vendor": "vendor",
    "account": "account",
    "audience_name": "audience",
    "audience": "audience id",
    "audience_link": "audience link",
    "conn_id": "connection",
    "mode": "mode",
    "as_of": "as of",
}
"""Label by key of the report, in the order of the table."""


def show(args: Namespace) -> None:
    """Print the report of a run, or its vendor calls. JSON and YAML contain the complete report."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_show)(args)


def _show(args: Namespace) -> None:
    from airflow_provider_segexport.export.run_report import read_report  # noqa: PLC0415 - the core

    with errors_shown(only_shows=True):
        run = locate(args.run)
        if args.calls:
            print_calls(run.folder, args.output)
            return
        try:
            report = read_report(run.folder)
        except FileNotFoundError:
            report = {"outcome": "not planned"}
        if run.recorded is not None and report["outcome"] == "not planned":
            warn(f"The run folder {run.folder} is gone. This is the copy of its report in the audience's history.")
            report = {**report, **run.recorded}
        print_report(report, args.output)


def locate(name: str) -> LocatedRun:
    """Return the run that a text names: an id, a task instance, or the path of a run folder."""
    from airflow_provider_segexport.export.find_run import find  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.paths import resolve, state_path  # noqa: PLC0415

    return find(state_path(), name, resolve)


def print_report(report: Mapping[str, Any], output: str) -> None:
    """Print a report. The table leaves out entries of an unexpected type, which another version may have written."""
    if output in STRUCTURED:
        print_object(report, output)
        return
    print_rows([{"entry": label, "value": value} for label, value in fact_rows(report)], output)
    say("")
    print_rows(list(outcome_rows(report)), output)
    guards = [_guard(item) for item in array(report.get("guards")) if mapping(item)]
    shown = list(guard_rows([{**guard, "state": guard_state(guard)} for guard in guards]))
    if shown:
        say("")
        print_rows(shown, output)


def fact_rows(report: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield label and value of the report's entries about the run: outcome, audience, times and others."""
    for name, label in TEXTS.items():
        if text(report.get(name)):
            yield label, text(report.get(name))
    segment = report.get("segment")
    if segment:
        yield "segment", segment if isinstance(segment, str) else ", ".join(map(text, array(segment)))
    for name in ("started_at", "ended_at"):
        if clock(number(report.get(name))):
            yield f"{name.removesuffix('_at')} (UTC)", clock(number(report.get(name)))
    if number(report.get("seconds")):
        yield "duration", duration(number(report.get("seconds")))
    if number(mapping(report.get("http")).get("calls")):
        yield "calls", integer(mapping(report.get("http")).get("calls"))
    if "batches_with_result" in report:
        yield "batches with a result", f"{integer(report['batches_with_result'])} of {integer(report.get('batches'))}"
    if integer(report.get("ledger_version")):
        yield "ledger version", integer(report.get("ledger_version"))
    yield "run folder", text(report.get("run_folder"))


def outcome_rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield profiles by outcome and reason, and leavers by outcome."""
    reasons = mapping(report.get("reasons"))
    for outcome, count in mapping(report.get("counts")).items():
        yield {"outcome": str(outcome).replace("_", " "), "reason": "", "count": integer(count)}
        by_reason = {str(reason): integer(rows) for reason, rows in mapping(reasons.get(outcome)).items()}
        for reason, rows in sorted(by_reason.items(), key=lambda item: (-item[1], item[0])):
            yield {"outcome": "", "reason": reason, "count": rows}
    removals = mapping(report.get("removals"))
    if integer(removals.get("planned")):
        for name, count in removals.items():
            yield {"outcome": f"leavers: {str(name).replace('_', ' ')}", "reason": "", "count": integer(count)}


def _guard(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return a guard's result; entries of an unexpected type are empty."""
    measured = item.get("measured")
    return {
        **{name: text(item.get(name)) for name in ("name", "action", "message")},
        "measured": None if measured is None else number(measured),
        "limit": number(item.get("limit")),
        "tripped": bool(item.get("tripped")),
    }
