"""`airflow segexport prune`: removes old run folders below `[segexport] state_path` and `reports_path`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_segexport.cli.exit_codes import errors_shown
from airflow_provider_segexport.cli.terminal import say
from airflow_provider_segexport.counted import counted, noun

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.storage.paths import StoragePath
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders


@errors_shown()
def prune(args: Namespace) -> None:
    """Remove old run folders and print their paths; with `--dry-run` only print them."""
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.tidying import keep_days  # noqa: PLC0415
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders  # noqa: PLC0415

    days: float = args.older_than or keep_days()
    if not days:
        raise SystemExit("`[segexport] keep_runs_days` is 0, which keeps all runs. To fix: give --older-than 30d.")
    unread = UnreadFolders()
    count = _remove_old_runs(state_path(), days, unread, dry_run=args.dry_run)
    done = "would be removed" if args.dry_run else "removed"
    say(f"{counted(count, 'run folder')} of runs that ended more than {days:g} {noun(days, 'day')} ago {done}.")
    if unread.reasons:
        raise SystemExit(
            unread.message("No run in them was removed, and none of a vendor whose audiences may need it.")
        )


def _remove_old_runs(root: StoragePath, days: float, unread: UnreadFolders, *, dry_run: bool) -> int:
    """Remove the run folders of runs that ended more than so many days ago, and return their number."""
    from airflow_provider_segexport.hooks.paths import resolve  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.http.quiet_logs import quiet  # noqa: PLC0415
    from airflow_provider_segexport.storage.attempts import old_files  # noqa: PLC0415
    from airflow_provider_segexport.storage.paths import remove_stale_temp_files  # noqa: PLC0415
    from airflow_provider_segexport.storage.retention import DAY_S, Retention, remove_run  # noqa: PLC0415

    count = 0
    with quiet():
        retention = Retention(root, time.time(), days, unread)
        for task in retention.every_task(resolve):
            for run in retention.old(task):
                say(str(run.path))
                if not dry_run:
                    remove_run(run)
                count += 1
        if not dry_run:
            for file in old_files(root, time.time() - days * DAY_S):
                file.unlink(missing_ok=True)
            remove_stale_temp_files(root / "attempts")
    return count
