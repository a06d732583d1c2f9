"""Puts an export together from a hook and what a task was told, and runs it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import AudienceLocked, RateLimited, SegexportError, StaleSnapshot
from airflow_provider_segexport.export.config import ExportConfig, ExportEnvironment, PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.hooks.paths import resolve
from airflow_provider_segexport.hooks.polling import JobPollPolicy
from airflow_provider_segexport.hooks.progress import Progress
from airflow_provider_segexport.hooks.run_folders import (
    ExportRequest,
    build_config,
    finished_report,
    open_run_folder,
    run_folder,
)
from airflow_provider_segexport.hooks.task_state import airflow_id, is_holder_gone, is_task_running
from airflow_provider_segexport.hooks.tidying import tidy
from airflow_provider_segexport.http.quiet_logs import quiet

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.base import SegmentExportHook
    from airflow_provider_segexport.http.client import Sender

__all__ = ["ExportRequest", "JobPollPolicy", "run_export", "run_folder"]

log = logging.getLogger(__name__)

LOOKS_PER_JOB_TIMEOUT = 10
"""A `poll_interval` near `job_timeout` would find out late that the time is over."""


@quiet()
def run_export(
    hook: SegmentExportHook, request: ExportRequest, policy: JobPollPolicy | None = None
) -> dict[str, Any] | PendingJobs:
    """Run the export as far as it goes: its report, or what it waits for."""
    config = build_config(hook, request)
    if report := finished_report(request, config):
        log.info("Returning the report of an earlier try that finished (run_folder=%s)", report["run_folder"])
        Progress(run_folder(request), hook.clock).end()
        return report
    sender = hook.http_client()
    folder = open_run_folder(request, config)
    log.info("%s Run folder: %s", _describe(hook, config), folder.path)
    progress = Progress(folder, hook.clock)
    policy = _equipped(policy, hook, sender, config)
    environment = ExportEnvironment(
        http=sender,
        run_folder=folder,
        state_root=request.state_root,
        wait_or_leave=policy,
        resolve=resolve,
        clock=hook.clock,
        sleep=hook.interruptible_sleep,
        on_progress=progress.tell,
        is_task_running=is_task_running,
        is_holder_gone=is_holder_gone,
        airflow_id=airflow_id,
        remaining_quota=sender.remaining_quota,
    )
    try:
        progress.tell({"phase": "checking"})
        found = Export(hook.vendor, hook.settings.endpoint, config, environment).run()
    except SegexportError as error:
        if isinstance(error, StaleSnapshot):
            progress.end()
        else:
            waits = isinstance(error, (AudienceLocked, RateLimited))
            progress.tell({"phase": "waiting" if waits else "stopped", "why": str(error)})
        metrics.record_failure(hook.vendor.name, error)
        raise
    else:
        if isinstance(found, PendingJobs):
            progress.tell({"phase": "waiting", "jobs": len(found.job_ids)})
        else:
            progress.end()
            tidy(request, hook.clock())
        metrics.record_end(hook.vendor.name, found)
        return found
    finally:
        sender.close()
        metrics.record_traffic(hook.vendor.name, sender.traffic)


def _equipped(
    policy: JobPollPolicy | None, hook: SegmentExportHook, sender: Sender, config: ExportConfig
) -> JobPollPolicy:
    """Return the policy with access to the traffic and the clock of its run; a default policy if none is given."""
    patient = policy or JobPollPolicy(interval_s=10, sleep=hook.interruptible_sleep)
    patient.interval_s = min(patient.interval_s, config.job_timeout / LOOKS_PER_JOB_TIMEOUT)
    patient.vendor_wait_s = lambda: sender.traffic.wait_s
    patient.calls_made = lambda: sender.traffic.calls
    patient.heartbeat = hook.heartbeat
    return patient


def _describe(hook: SegmentExportHook, config: ExportConfig) -> str:
    """What is about to be done, in words."""
    where = f"{hook.vendor.title} {hook.vendor.audience_noun} {config.audience} through connection {hook.conn_id}"
    dry = " Nothing is sent: this is a dry run." if config.dry_run else ""
    if config.undo:
        version = "the newest version" if config.undo.version is None else f"version {config.undo.version}"
        return f"Taking back {version} of the ledger at {where}.{dry}"
    shown = config.shown_segment
    what = shown if isinstance(shown, str) else ", ".join(shown)
    return f"Exporting {what} to {where}: mode {config.mode}, as of {config.as_of}.{dry}"
