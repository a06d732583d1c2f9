"""Builds the tab *Export*: `task instance, run folder -> template values`."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import attempts, charts, task_run
from airflow_provider_segexport.plugins.audiences import Attempt, RunIdentity
from airflow_provider_segexport.plugins.pages import audience_address, log_address, task_query
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.plugins.run_facts import CONSENT_LABELS, PROOF_LABELS
from airflow_provider_segexport.plugins.task_instances import TaskInstanceInfo, instance
from airflow_provider_segexport.plugins.task_run import Report
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.calls import read_calls
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath
from airflow_provider_segexport.vendors.registry import VENDORS

MIN_REFRESH_S = 3.0
"""Shortest time between two refreshes of the tab, in seconds."""

REFRESH_COST_FACTOR = 30
"""The time until the next refresh is this many times the time of the last response, so one tab takes 3% of a core."""


def page(root: StoragePath, resolve: PathResolver, run: RunIdentity, map_index: int, user: Rights) -> dict[str, Any]:
    """Return the template's values.

    Args:
        root: state root.
        resolve: turns the task's `reports_path` into a storage path.
        run: the task instance.
        map_index: Airflow's map index; -1 if the task is not mapped.
        user: the rights that decide whether the rejects can be downloaded.
    """
    started = time.monotonic()
    task = instance(run, map_index)
    is_live = task is not None and task.at_work
    folder = folder_of(root, resolve, run, task)
    report = task_run.report(folder, at_work=is_live) if folder is not None else None
    attempt = attempts.of_run(root, run, task.conn_id if task is not None else "")
    refresh_s = 0.0
    if task is not None and task.at_work and (task.exports or report is not None):
        refresh_s = max(MIN_REFRESH_S, REFRESH_COST_FACTOR * (time.monotonic() - started))
    return {
        "title": "Export",
        "now": time.time(),
        "instance": task,
        "is_live": is_live,
        "report": report,
        "attempt": attempt if attempt is not None and _is_shown(attempt, report) else None,
        "audience_page": audience_address(attempt.key) if attempt is not None and attempt.key is not None else "",
        "log": log_address(run, f"/mapped/{map_index}" if map_index >= 0 else ""),
        "refresh_ms": round(refresh_s * 1000),
        "calls": read_calls(folder) if folder is not None and not is_live else None,
        "query": task_query(run, map_index),
        "can_download_rejects": user.can_download_rejects(run.dag_id),
        **(_shown(report, folder, is_live=is_live) if report is not None and folder is not None else {}),
    }


ENDED_EARLY = frozenset({Status.FAILED, Status.SKIPPED, Status.WAITING})
"""States of an attempt whose error the tab may show."""


def _is_shown(attempt: Attempt, report: Report | None) -> bool:
    """Return whether to show the error of the last attempt, because the report does not show it."""
    if attempt.status not in ENDED_EARLY or not attempt.error:
        return False
    if report is None or not report.over:
        return True
    return not report.facts["error"] and report.facts["ended_at"] < attempt.try_started_at


def folder_of(
    root: StoragePath, resolve: PathResolver, run: RunIdentity, task: TaskInstanceInfo | None
) -> StoragePath | None:
    """Return the newest run folder, below the state root or the task's `reports_path`; None if there is none.

    The path ends in the safe names of the task instance, so no text of a user or a report leads to another folder.

    Args:
        root: state root.
        resolve: turns the task's `reports_path` into a storage path.
        run: the task instance.
        task: the task instance in Airflow's database; None if it is not there.
    """
    if task is None or not task.reports_path:
        return task_run.newest(task_run.home(root / "runs", run))
    try:
        return task_run.newest(task_run.home(resolve(task.reports_path), run))
    except (ValueError, ImportError, OSError):  # the API server has no provider for this store
        return None


def _shown(report: Report, folder: StoragePath, *, is_live: bool) -> dict[str, Any]:
    """Return the template's values on a report.

    Args:
        report: the report on the run.
        folder: the run folder.
        is_live: the task instance has not ended.
    """
    vendor = VENDORS.get(str(report.facts.get("vendor")))
    outcomes_label = ", ".join(f"{part.count:,} {part.label.lower()}" for part in report.outcomes if part.count)
    removals_label = ", ".join(f"{part.count:,} {part.label.lower()}" for part in report.removals if part.count)
    return {
        "elapsed": task_run.seconds(report, time.time()) if report.over or is_live else None,
        "time_left": task_run.time_left(report, time.time()) if is_live else None,
        "vendor": vendor.title if vendor else "",
        "word": vendor.audience_noun if vendor else "audience",
        "bar": charts.bar(report.outcomes, f"Of {counted(report.profiles, 'profile')}: {outcomes_label}"),
        "removal_bar": charts.bar(report.removals, f"Leavers: {removals_label}") if report.removals else "",
        "vendor_link": task_run.link_of(folder),
        "run_folder": str(folder),
        "later": task_run.later_calls(folder, at_work=is_live),
        "consent_labels": CONSENT_LABELS,
        "proof_labels": PROOF_LABELS,
        "running": [job for job in report.jobs if job.state == "running"],
        "ended": [job for job in report.jobs if job.state == "ended"],
    }
