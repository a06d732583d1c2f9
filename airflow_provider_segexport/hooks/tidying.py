"""Removes what old runs of a task have left, after one of its runs has ended: a few folders at a time."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING

from airflow.sdk.configuration import conf

from airflow_provider_segexport.hooks.paths import SECTION
from airflow_provider_segexport.hooks.run_folders import run_folders_path
from airflow_provider_segexport.storage.retention import MOST_LOOKED_AT, MOST_REMOVED, Retention, remove

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

log = logging.getLogger(__name__)

DEFAULT_DAYS = 30


def keep_days() -> int:
    """`[segexport] keep_runs_days`; 0 keeps all."""
    days: int = conf.getint(SECTION, "keep_runs_days", fallback=DEFAULT_DAYS)
    return max(0, days)


def tidy(request: ExportRequest, now: float) -> None:
    """Remove some old run folders of the errand's task. What cannot be removed now fails no export."""
    try:
        days = keep_days()
        if not days:
            return
        task = run_folders_path(request).parent.parent
        for run in islice(Retention(request.state_root, now, days).old(task, MOST_LOOKED_AT), MOST_REMOVED):
            log.info("Removing an old run folder (folder=%s days=%d).", run.place, days)
            remove(run)
    except Exception as error:  # noqa: BLE001 - the export has ended well
        log.warning("Old run folders could not be removed (error=%s).", type(error).__name__)
