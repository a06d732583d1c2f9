"""Removes some old run folders of a task whenever a run of the task ends."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.hooks.paths import SECTION
from airflow_provider_segexport.hooks.run_folders import run_folders_path
from airflow_provider_segexport.storage.retention import MAX_REMOVED_RUNS, MAX_REPORTS_READ, Retention, remove_run

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

log = logging.getLogger(__name__)

DEFAULT_KEEP_DAYS = 30
"""Default of `[segexport] keep_runs_days`, in days."""


def keep_days() -> int:
    """Return `[segexport] keep_runs_days`; 0 keeps all run folders.

    Raises:
        InvalidArgument: the option is no whole number.
    """
    text = str(conf.get(SECTION, "keep_runs_days", fallback=DEFAULT_KEEP_DAYS))
    try:
        return max(0, int(text))
    except ValueError:
        raise InvalidArgument(
            f"`[segexport] keep_runs_days` is {text!r}, so no old run folder is removed. To fix: set it to a number of "
            "days, such as 30; 0 keeps all."
        ) from None


def tidy(request: ExportRequest, now: float) -> None:
    """Remove some old run folders of the request's task. An error is logged and does not fail the export.

    Args:
        request: the request of the run that has ended.
        now: epoch seconds.
    """
    try:
        days = keep_days()
        if not days:
            return
        task = run_folders_path(request).parent.parent
        for run in islice(Retention(request.state_root, now, days).old(task, MAX_REPORTS_READ), MAX_REMOVED_RUNS):
            log.info("Removing an old run folder (folder=%s days=%d)", run.path, days)
            remove_run(run)
    except InvalidArgument as error:
        log.warning("%s", error)
    except Exception as error:  # noqa: BLE001 - the export has succeeded, and must not fail now
        log.warning("Leaving old run folders, which cannot be removed (error=%s)", type(error).__name__)
