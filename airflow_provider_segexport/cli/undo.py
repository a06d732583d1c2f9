"""`airflow segexport undo CONN_ID AUDIENCE`: reverts the last run of an audience after a confirmation."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.hooks import command_hook
from airflow_provider_segexport.cli.terminal import confirm, say
from airflow_provider_segexport.counted import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.hooks.base import SegmentExportHook


@errors_shown()
def undo(args: Namespace) -> None:
    """Show what reverting a version of the audience's ledger would do, and do so after a confirmation."""
    hook = command_hook(args.conn_id)
    hook.settings.check_enabled()
    planned = _run(hook, args.audience, args.ledger_version, args.export or "", dry_run=True)
    version = planned["reverted_version"]
    say(_describe_plan(planned))
    if args.dry_run or not _has_changes(planned):
        return
    if not args.yes and not confirm(f"Revert version {version}?", "revert it"):
        say("Nothing was sent.")
        return
    report = _run(hook, args.audience, version, args.export or "", dry_run=False)
    say(_describe_result(report))


def _run(hook: SegmentExportHook, audience: str, version: int | None, export: str, *, dry_run: bool) -> dict[str, Any]:
    """Plan the undo, or run it.

    Args:
        hook: the account.
        audience: the vendor's id of the audience.
        version: the version to revert; None for the newest that added or removed people.
        export: revert only what this export did; empty for any export.
        dry_run: only plan.
    """
    from airflow_provider_segexport.hooks import options  # noqa: PLC0415 - imports the core
    from airflow_provider_segexport.hooks.left_out import LEFT_OUT  # noqa: PLC0415
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.hooks.run_folders import ExportRequest  # noqa: PLC0415
    from airflow_provider_segexport.hooks.runner import run_to_end  # noqa: PLC0415

    identity = ("command", "undo", hook.conn_id, f"{time.time_ns()}")
    given = {"audience": audience, "ledger_version": LEFT_OUT if version is None else version, "dry_run": dry_run}
    if export:
        given["export_name"] = export
    values = options.values(options.UNDO, given)
    config = options.undo_config(values, as_of=datetime.now(UTC), run="/".join(identity))
    request = ExportRequest(config, identity, state_path())
    return run_to_end(hook, request)


def _has_changes(planned: dict[str, Any]) -> bool:
    return bool(planned["estimate"]["upserts"] or planned["estimate"]["removals"])


def _describe_plan(planned: dict[str, Any]) -> str:
    """Return what the undo would do."""
    estimate = planned["estimate"]
    version = (
        f"version {planned['reverted_version']} of the ledger of {planned['audience_name']!r}, written by "
        f"{planned['export_name']!r}"
    )
    if not _has_changes(planned):
        return f"There is nothing to revert in {version}: no person would be removed or added again."
    return (
        f"To revert {version}: {counted(estimate['removals'], 'person')} would be removed from the audience and "
        f"{estimate['upserts']:,} added again, in {counted(estimate['calls'], 'call')}, about "
        f"{counted(estimate['estimated_minutes'], 'minute')} at the vendor's quota."
    )


def _describe_result(report: dict[str, Any]) -> str:
    """Return what the undo has done."""
    removals = report.get("removals") or {}
    return (
        f"Reverted: {removals.get('removed', 0):,} of {counted(removals.get('planned', 0), 'person')} removed, "
        f"{report['counts']['delivered']:,} of {report['counts']['profiles']:,} added again. "
        f"Run folder: {report['run_folder']}"
    )
