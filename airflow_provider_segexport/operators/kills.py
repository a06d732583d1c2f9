"""Stops a run whose task is killed, and records which calls and jobs are in flight."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.hooks.run_folders import ExportRequest

log = logging.getLogger(__name__)


def stop(hook: SegmentExportHook, request: ExportRequest) -> None:
    """Stop the run, and record what is in flight, so that a retry checks it first.

    Args:
        hook: the hook that makes the run's calls.
        request: the request of the run.
    """
    from airflow_provider_segexport.hooks.runner import run_folder  # noqa: PLC0415 - the worker has imported it by then

    hook.request_stop()
    try:
        calls, jobs = run_folder(request).record_kill()
    except Exception as error:  # noqa: BLE001 - a signal handler: its exceptions would be raised anywhere
        log.warning("Killed; the calls in flight could not be recorded (error=%s)", type(error).__name__)
        return
    log.warning(
        "Killed with %s and %s in flight. A retry checks them first.",
        counted(calls, "call"),
        counted(jobs, "import job"),
    )
