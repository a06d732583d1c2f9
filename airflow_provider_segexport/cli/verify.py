"""`airflow segexport verify CONN_ID AUDIENCE`: compares an audience with its ledger and a segment, shows the drift."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import end_with_look, errors_shown, fail_usage
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.output import STRUCTURED, print_object, print_rows
from airflow_provider_segexport.cli.terminal import say
from airflow_provider_segexport.errors import AudienceLocked, RateLimited

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

MAX_LOCK_WAIT_S = 15.0
"""Seconds until a locked audience is checked again."""

LOGGER = "airflow_provider_segexport"
"""Name of this package's logger."""


@errors_shown()
def verify(args: Namespace) -> None:
    """Compare an audience with its ledger and a segment. Print a table of kinds of people, or the report.

    The estimate and the progress go to standard error. The exit code is 3 if the match rate is unknown or below
    `--min-match-rate`.
    """
    given = _given(args)
    with _logs_on_stderr():
        hook = command_hook(args.conn_id)
        hook.settings.check_enabled()
        report = _run(hook, _request(hook, given))
    _print(report, args.output)
    rate, limit = report["match_rate"], args.min_match_rate
    if limit is not None and (rate is None or rate < limit):
        shown = "unknown, because no member was compared" if rate is None else _per_cent(rate)
        end_with_look(f"The match rate is {shown}, and should be at least {_per_cent(limit)}.")


def _per_cent(share: float) -> str:
    """Return a share in per cent, with so many digits that a rate just below the limit does not look like the limit."""
    return f"{100 * share:.8g}%"


def _given(args: Namespace) -> dict[str, Any]:
    """Return the arguments that the command line gives; exit with 2 if they do not fit together."""
    from airflow_provider_segexport.cli import plan_options  # noqa: PLC0415 - when the command runs

    given: dict[str, Any] = {"audience": args.audience, "repair": args.repair, "sample": args.sample}
    try:
        reading = plan_options.given(args, plan_options.COMPARED)
    except ValueError as error:
        fail_usage(str(error))
    if args.sample_values is not None:
        reading["sample_values"] = args.sample_values
    if args.segment is None and reading:
        fail_usage(f"{', '.join(sorted(reading))}: only used with --segment")
    return {**given, **reading} | ({"segment": args.segment} if args.segment else {})


def _request(hook: SegmentExportHook, given: dict[str, Any]) -> ExportRequest:
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415

    identity = ("command", "verify", hook.conn_id, f"{time.time_ns()}")
    values = options.values(options.VERIFY, given)
    config = options.verify_config(values, as_of=datetime.now(UTC), run="/".join(identity))
    return ExportRequest(config, identity, state_path())


def _run(hook: SegmentExportHook, request: ExportRequest) -> dict[str, Any]:
    """Run the verification, and return the report. Wait for the quota, and for a run that writes the audience."""
    from airflow_provider_segexport.hooks.runner import run_to_end  # noqa: PLC0415 - imports the core

    while True:
        try:
            return run_to_end(hook, request)
        except (AudienceLocked, RateLimited) as error:
            wait_s = error.retry_after_s or MAX_LOCK_WAIT_S
            facts: object = error
            if isinstance(error, AudienceLocked):
                wait_s, facts = min(wait_s, MAX_LOCK_WAIT_S), error.facts
            sys.stderr.write(f"{facts} Waiting {wait_s:.0f} s.\n")
            hook.interruptible_sleep(wait_s)


@contextmanager
def _logs_on_stderr() -> Iterator[None]:
    """Write this package's logs to standard error, so that standard output holds only the result."""
    logger, handler = logging.getLogger(LOGGER), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    propagate, level = logger.propagate, logger.level
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        logger.setLevel(level)


def _print(report: dict[str, Any], output: str) -> None:
    from airflow_provider_segexport.hooks import verify_messages  # noqa: PLC0415 - imports the core

    if output in STRUCTURED:
        summary = verify_messages.summary(report)
        print_object([{name: value for name, value in summary.items() if name != "body"}], output)
        return
    from airflow_provider_segexport.export.verify import MEANINGS  # noqa: PLC0415

    rows = [
        {"kind": kind, "people": "not counted" if count is None else count, "meaning": MEANINGS[kind]}
        for kind, count in report["people"].items()
    ]
    print_rows(rows, output)
    if output == "table":
        say(f"{verify_messages.body(report)}\nDrift: {report['drift']['path']}")
