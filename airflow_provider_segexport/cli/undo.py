"""`airflow segexport undo CONN_ID AUDIENCE`: shows what the last run's undoing would do, asks, and does it."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.yes_no import yes_no

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.hooks.base import SegmentExportHook


def undo(args: Namespace) -> None:
    """Take the last version of an audience's ledger back."""
    try:
        hook = command_hook(args.conn_id)
        hook.settings.check_enabled()
        planned = _run(hook, args.audience, args.ledger_version, args.export or "", dry_run=True)
        version = planned["reverted_version"]
        _say(_plan(planned))
        if args.dry_run or not _does(planned):
            return
        if not args.yes and not _agreed(f"Take version {version} back?"):
            _say("Nothing was sent.")
            return
        report = _run(hook, args.audience, version, args.export or "", dry_run=False)
    except SegexportError as error:
        raise SystemExit(str(error)) from None
    _say(_done(report))


def _run(hook: SegmentExportHook, audience: str, version: int | None, export: str, *, dry_run: bool) -> dict[str, Any]:
    """Plan, or do; the version that was shown is the one that is taken back."""
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.left_out import LEFT_OUT  # noqa: PLC0415
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import run_export  # noqa: PLC0415

    identity = ("command", "undo", hook.conn_id, f"{time.time_ns()}")
    given = {"audience": audience, "ledger_version": LEFT_OUT if version is None else version, "dry_run": dry_run}
    if export:
        given["export_name"] = export
    told = options.values(options.UNDO, given)
    order = options.undo_config(told, as_of=datetime.now(UTC), run="/".join(identity))
    request = ExportRequest(order, identity, state_path())
    report = run_export(hook, request)
    if not isinstance(report, dict):
        raise SegexportError("The undoing waits for jobs although it was told to stay.")
    return report


def _does(planned: dict[str, Any]) -> bool:
    return bool(planned["estimate"]["upserts"] or planned["estimate"]["removals"])


def _plan(planned: dict[str, Any]) -> str:
    """What would be done, in words."""
    plan = planned["estimate"]
    where = (
        f"version {planned['reverted_version']} of the ledger of {planned['audience_name']!r}, written by "
        f"{planned['export_name']!r}"
    )
    if not _does(planned):
        return f"Nobody would be taken out or put back: there is nothing to take back of {where}."
    return (
        f"To take back {where}: {counted(plan['removals'], 'person')} would be taken out of the audience "
        f"and {plan['upserts']:,} put back, in {counted(plan['calls'], 'call')}, about "
        f"{counted(plan['estimated_minutes'], 'minute')} at the vendor's quota."
    )


def _done(report: dict[str, Any]) -> str:
    """What was done, in words."""
    removals = report.get("removals") or {}
    return (
        f"Taken back: {removals.get('removed', 0):,} of {counted(removals.get('planned', 0), 'person')} taken out, "
        f"{report['counts']['delivered']:,} of {report['counts']['profiles']:,} put back. "
        f"Run folder: {report['run_folder']}"
    )


def _agreed(question: str) -> bool:
    """Ask at the terminal; where there is none, `--yes` has to be said."""
    if not sys.stdin.isatty():
        raise SystemExit("Nobody is there to ask: give --yes to take it back, or --dry-run to look only.")
    return yes_no(input(f"{question} [y/N] ")) is True


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201 - a command speaks to a terminal
