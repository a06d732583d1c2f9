"""The tab *Export*: `task instance, run folder -> what is shown`."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import charts, task_run
from airflow_provider_segexport.plugins.audiences import RunIdentity
from airflow_provider_segexport.plugins.pages import task_query
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.plugins.task_instances import TaskInstanceInfo, instance
from airflow_provider_segexport.plugins.task_run import Report
from airflow_provider_segexport.plugins.vendor_link import link_of
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath
from airflow_provider_segexport.vendors.registry import VENDORS

SHORTEST_S = 3.0
COSTS = 30
"""A page asks again after this many times what its answer took, so that many open tabs cost little."""


def page(root: StoragePath, resolve: PathResolver, who: RunIdentity, map_index: int, user: Rights) -> dict[str, Any]:
    """What the template shows."""
    began = time.monotonic()
    found = instance(who, map_index)
    folder = place_of(root, resolve, who, found)
    report = task_run.report(folder, at_work=found is not None and found.at_work) if folder is not None else None
    again = 0.0
    if found is not None and found.at_work and (found.exports or report is not None):
        again = max(SHORTEST_S, COSTS * (time.monotonic() - began))
    return {
        "title": "Export",
        "now": time.time(),
        "instance": found,
        "report": report,
        "again_ms": round(again * 1000),
        "query": task_query(who, map_index),
        "reads_people": user.reads_people(who.dag_id),
        **(_shown(report, folder) if report is not None and folder is not None else {}),
    }


def place_of(
    root: StoragePath, resolve: PathResolver, who: RunIdentity, found: TaskInstanceInfo | None
) -> StoragePath | None:
    """The run's folder: below the state root, or below the place that the task's own argument names.

    In both it ends in the task instance's own name, made safe: no text of a user or a report leads elsewhere.
    """
    if found is None or not found.reports_path:
        return task_run.newest(task_run.home(root / "runs", who))
    try:
        return task_run.newest(task_run.home(resolve(found.reports_path), who))
    except (ValueError, ImportError, OSError):  # a store that the API server has no provider for
        return None


def _shown(report: Report, folder: StoragePath) -> dict[str, Any]:
    vendor = VENDORS.get(str(report.facts.get("vendor")))
    label = ", ".join(f"{part.count:,} {part.label.lower()}" for part in report.outcomes if part.count)
    taken = ", ".join(f"{part.count:,} {part.label.lower()}" for part in report.removals if part.count)
    return {
        "elapsed": task_run.seconds(report, time.time()),
        "vendor": vendor.title if vendor else "",
        "word": vendor.audience_noun if vendor else "audience",
        "bar": charts.bar(report.outcomes, f"Of {counted(report.profiles, 'profile')}: {label}"),
        "removal_bar": charts.bar(report.removals, f"Leavers: {taken}") if report.removals else "",
        "vendor_link": link_of(folder),
        "place": str(folder),
        "later": task_run.later_calls(folder, at_work=not report.over),
        "consent_words": task_run.CONSENT_WORDS,
        "running": [job for job in report.jobs if job.state == "running"],
        "ended": [job for job in report.jobs if job.state == "ended"],
    }
