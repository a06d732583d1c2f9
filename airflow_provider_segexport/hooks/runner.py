"""Runs an export: builds its environment from a session and a request, and records how it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import AudienceLocked, RateLimited, SegexportError, StaleSnapshot, Superseded
from airflow_provider_segexport.export.config import ExportConfig, ExportContext, ExportEnvironment, PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.hooks import metrics
from airflow_provider_segexport.hooks.interruptions import stops_at_signals
from airflow_provider_segexport.hooks.log_groups import log_groups
from airflow_provider_segexport.hooks.paths import resolve_argument
from airflow_provider_segexport.hooks.polling import JobPollPolicy
from airflow_provider_segexport.hooks.progress import Progress
from airflow_provider_segexport.hooks.run_folders import (
    ExportRequest,
    build_config,
    check_reports_path,
    finished_report,
    open_run_folder,
    run_folder,
)
from airflow_provider_segexport.hooks.task_state import airflow_id, is_holder_gone, is_task_running
from airflow_provider_segexport.hooks.tidying import tidy
from airflow_provider_segexport.http.quiet_logs import quiet
from airflow_provider_segexport.storage.calls import write_calls
from airflow_provider_segexport.storage.side_by_side import side_by_side

if TYPE_CHECKING:
    from airflow_provider_segexport.hooks.attempts import AttemptRecord
    from airflow_provider_segexport.hooks.session import VendorSession
    from airflow_provider_segexport.http.client import Sender
    from airflow_provider_segexport.storage.paths import StoragePath

__all__ = ["ExportRequest", "JobPollPolicy", "run_export", "run_folder", "run_to_end"]

log = logging.getLogger(__name__)

MIN_POLLS_PER_JOB_TIMEOUT = 10
"""Least number of polls within one `job_timeout`. With a `poll_interval` near `job_timeout`, a run would detect late
that the time is over."""


@quiet()
def run_export(  # noqa: PLR0913 - how a task and how a hook run it
    session: VendorSession,
    request: ExportRequest,
    *,
    poll_interval_s: float = 10,
    may_defer: bool = False,
    resumed: bool = False,
    attempt: AttemptRecord | None = None,
) -> dict[str, Any] | PendingJobs:
    """Run an export until it ends or has to wait for jobs in the triggerer.

    Args:
        session: the account.
        request: what to export, and in which run folder.
        poll_interval_s: the longest time between two polls of jobs, in seconds.
        may_defer: return `PendingJobs` instead of waiting for long.
        resumed: the run has resumed after a deferral.
        attempt: the attempt's record, to which the audience is added when it is known; None for no record.

    Returns:
        The report, or the jobs that the run waits for.

    Raises:
        SegexportError: the run cannot go on now.
    """
    config = build_config(session, request)
    if attempt is not None and attempt.attempt.dry_run != config.dry_run:
        attempt.update(dry_run=config.dry_run)
    check_reports_path(request)
    if report := finished_report(request, config):
        log.info("Returning the report of an earlier try that finished (run_folder=%s)", report["run_folder"])
        Progress(run_folder(request), session.clock).clear()
        return report
    session.call_log.take()  # drop the calls of an earlier export of the same hook
    client = session.http_client()
    policy = JobPollPolicy(
        interval_s=min(poll_interval_s, config.job_timeout / MIN_POLLS_PER_JOB_TIMEOUT),
        may_defer=may_defer,
        resumed=resumed,
        sleep=session.interruptible_sleep,
        vendor_wait_s=lambda: client.traffic.wait_s,
        calls_made=lambda: client.traffic.calls,
        heartbeat=session.heartbeat,
    )
    try:
        with stops_at_signals(session):
            return _run(session, client, request, config, policy, attempt=attempt)
    finally:
        client.close()
        metrics.record_traffic(session.vendor.name, client.traffic)


def run_to_end(
    session: VendorSession,
    request: ExportRequest,
    *,
    poll_interval_s: float = 10,
    attempt: AttemptRecord | None = None,
) -> dict[str, Any]:
    """Run an export to its end. It waits for its jobs in this process.

    Args:
        session: the account.
        request: what to export, and in which run folder.
        poll_interval_s: the longest time between two polls of jobs, in seconds.
        attempt: the attempt's record; None for no record.

    Returns:
        The report.

    Raises:
        SegexportError: the run cannot go on now.
    """
    report = run_export(session, request, poll_interval_s=poll_interval_s, attempt=attempt)
    assert not isinstance(report, PendingJobs), "`may_defer` is False"  # noqa: S101 - for the type checker
    return report


def _run(  # noqa: PLR0913 - what a run consists of
    session: VendorSession,
    client: Sender,
    request: ExportRequest,
    config: ExportConfig,
    policy: JobPollPolicy,
    *,
    attempt: AttemptRecord | None,
) -> dict[str, Any] | PendingJobs:
    """Run an export in its run folder, and record its end in progress and metrics."""
    folder, is_resumed = open_run_folder(request, config)
    log.info("%s Run folder: %s", _describe(session, config), folder.path)
    progress = Progress(folder, session.clock)
    environment = ExportEnvironment(
        http=client,
        run_folder=folder,
        state_root=request.state_root,
        wait_or_leave=policy,
        resolve=resolve_argument,
        clock=session.clock,
        sleep=session.interruptible_sleep,
        on_progress=progress.update,
        on_audience=attempt.resolved if attempt is not None else lambda *_: None,
        is_task_running=is_task_running,
        is_holder_gone=is_holder_gone,
        airflow_id=airflow_id,
        remaining_quota=client.remaining_quota,
    )
    try:
        progress.update({"phase": "checking"})
        with log_groups() as enter_phase, _recorded_calls(session, folder.path, is_resumed=is_resumed) as last_tasks:
            result = _carry_out(session, config, replace(environment, on_phase=enter_phase))
            last_tasks.extend(_last_tasks(request, session.clock(), result, attempt))
    except SegexportError as error:
        if isinstance(error, StaleSnapshot):
            progress.clear()
        else:
            waits = isinstance(error, (AudienceLocked, RateLimited))
            why = error.facts if isinstance(error, AudienceLocked) else str(error)
            progress.update({"phase": "waiting" if waits else "stopped", "why": why})
        metrics.record_failure(session.vendor.name, error)
        raise
    if isinstance(result, PendingJobs):
        progress.update({"phase": "waiting", "jobs": len(result.job_ids)})
    else:
        progress.clear()
    metrics.record_end(session.vendor.name, result)
    return result


def _last_tasks(
    request: ExportRequest, now: float, result: dict[str, Any] | PendingJobs, attempt: AttemptRecord | None
) -> list[Callable[[], None]]:
    """Return the tasks for the end of a run: to remove old run folders, and to record the attempt's end.

    Args:
        request: the run's request.
        now: epoch seconds.
        result: the run's result. If the run waits for jobs, there are no tasks.
        attempt: the attempt's record; None for no record.
    """
    if isinstance(result, PendingJobs):
        return []
    return [partial(tidy, request, now), *([partial(attempt.ended, result)] if attempt is not None else [])]


@contextmanager
def _recorded_calls(
    session: VendorSession, folder: StoragePath, *, is_resumed: bool
) -> Iterator[list[Callable[[], None]]]:
    """Write the vendor calls of the block to the run folder at its end, also if it fails.

    Args:
        session: the account.
        folder: the run folder.
        is_resumed: the folder may have the calls of an earlier process.

    Yields:
        A list to which the block may add tasks; they are carried out at the same time as the writing.
    """
    may_write = True
    last_tasks: list[Callable[[], None]] = []
    try:
        yield last_tasks
    except Superseded:  # by now another try may use the run folder
        may_write = False
        raise
    finally:
        if may_write:
            try:
                write = partial(write_calls, folder, session.call_log.take(), is_resumed=is_resumed)
                side_by_side(folder, *last_tasks, write)
            except OSError as error:
                log.warning("Recording the vendor calls failed (run_folder=%s error=%s)", folder, type(error).__name__)


def _carry_out(
    session: VendorSession, config: ExportConfig, environment: ExportEnvironment
) -> dict[str, Any] | PendingJobs:
    """Run what is configured: a verification, or else an export or an undo."""
    endpoint = session.settings.endpoint
    if config.verify is not None:
        from airflow_provider_segexport.export.verify import verify  # noqa: PLC0415 - an export does not need it

        return verify(ExportContext(session.vendor, endpoint, config, environment))
    return Export(session.vendor, endpoint, config, environment).run()


def _describe(session: VendorSession, config: ExportConfig) -> str:
    """Return a sentence about what the run is going to do, for the log."""
    vendor = session.vendor
    audience = f"{vendor.title} {vendor.audience_noun} {config.audience} through connection {session.conn_id}"
    dry = " Nothing is sent: this is a dry run." if config.dry_run else ""
    if config.verify is not None:
        repair = "with repair" if config.verify.repair else "without repair"
        return f"Verifying {audience}, {repair}. Nothing is changed at {vendor.title}."
    if config.undo:
        version = "the newest version" if config.undo.version is None else f"version {config.undo.version}"
        return f"Reverting {version} of the ledger at {audience}.{dry}"
    segment = config.shown_segment if isinstance(config.shown_segment, str) else ", ".join(config.shown_segment)
    return f"Exporting {segment} to {audience}: mode {config.mode}, as of {config.as_of}.{dry}"
