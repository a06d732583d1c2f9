"""Builds the page of one audience: `state root, Airflow database -> history, ledger, opt-outs, undo`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import attempts, audiences, charts, labels, list_page, verification_history
from airflow_provider_segexport.plugins.attempts import Attempts
from airflow_provider_segexport.plugins.audiences import Attempt, AudienceKey, AudienceOverview, RunIdentity, RunPoint
from airflow_provider_segexport.plugins.dags import Dags, disabled_connections
from airflow_provider_segexport.plugins.ledger_versions import Version, versions
from airflow_provider_segexport.plugins.pages import audience_address, log_address, run_address, tab_address
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.plugins.task_run import vendor_link
from airflow_provider_segexport.plugins.unread import Unread
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.paths import StoragePath

MAX_CHART_RUNS = 90
"""Runs in the charts: three months of daily runs. The table lists every run."""

SAME_SCALE = (
    frozenset({"delivered", "unchanged"}),
    frozenset({"removed", "rejected", "withheld", "not_attempted"}),
)
"""Groups of charts that have the same scale, because they are compared. The second group shows exceptions."""

UNPLANNED = frozenset({Status.FAILED, Status.SKIPPED})
"""States of attempts that may have ended before a plan was made."""

SERIES = (
    ("delivered", "Delivered"),
    ("removed", "Removed"),
    ("rejected", "Rejected"),
    ("withheld", "Withheld"),
    ("unchanged", "Unchanged"),
    ("not_attempted", "Not attempted"),
)
"""Name and title of the charts below the members, in order."""


def page(root: StoragePath, key: AudienceKey, user: Rights, now: float) -> dict[str, Any] | None:
    """Return the template's values; None if the audience does not exist, or the user may see none of its runs.

    Args:
        root: state root.
        key: the audience's key.
        user: the rights that decide which runs are shown.
        now: epoch seconds.
    """
    path, unread = key.path(root), Unread()
    loaded = _load(root, key, user, now, unread)
    if path is None or loaded is None:
        return None
    audience, tried = loaded
    points, runs = audience.points, _all_runs(audience)
    recorded: list[RunPoint | Attempt] = [*points, *audience.attempts]
    dags = Dags((run.identity for run in recorded), tried.targets)
    is_disabled = disabled_connections([audience.conn_id]).get(audience.conn_id, False)
    row = list_page.row_of(audience, dags, is_disabled, now)
    ledger_versions = versions(path, user.can_see_run)
    return {
        "title": audience.name,
        "now": now,
        "row": row,
        "audience": audience,
        "charts": charts_of(points[-MAX_CHART_RUNS:]),
        "runs": [_run_row(run, dags) for run in runs],
        "versions": ledger_versions,
        "history_address": audience_address(key).replace("audience?", "history.csv?", 1),
        "verified": verification_history.of_audience(path, user.can_see_run),
        "created_at": next((point.ended_at for point in points if point.created), None),
        "vendor_link": vendor_link(root, points[-1].identity),
        "undo": undo(audience, ledger_versions),
        "unread": len(unread),
    }


def runs_of(root: StoragePath, key: AudienceKey, user: Rights, now: float) -> list[RunPoint | Attempt] | None:
    """Return every run that the user may see, newest first; None as from `page`.

    Args:
        root: state root.
        key: the audience's key.
        user: the rights that decide which runs are returned.
        now: epoch seconds.
    """
    loaded = _load(root, key, user, now)
    return None if loaded is None else _all_runs(loaded[0])


def _load(
    root: StoragePath, key: AudienceKey, user: Rights, now: float, unread: Unread | None = None
) -> tuple[AudienceOverview, Attempts] | None:
    """Return the audience with all runs and attempts that the user may see; None if there is no such run.

    Args:
        root: state root.
        key: the audience's key.
        user: the rights that decide which runs are returned.
        now: epoch seconds.
        unread: list to which folders of attempts that cannot be read are added; None to raise the first error.
    """
    path = key.path(root)
    overview = audiences.read(path, user.can_see_run) if path is not None else None
    if path is None or overview is None:
        return None
    points = _merged(audiences.run_points(path, user.can_see_run), overview.points)
    tried = attempts.read(root, [overview], user.can_see_run, now, unread)
    return replace(overview, points=points, attempts=tried.by_audience.get(key, ())), tried


def _all_runs(audience: AudienceOverview) -> list[RunPoint | Attempt]:
    """Return the runs with a plan and those without, newest first."""
    return sorted([*audience.points, *_unplanned(audience)], key=lambda run: -run.at)


def _unplanned(audience: AudienceOverview) -> list[Attempt]:
    """Return the attempts whose last try failed or was skipped before it made a plan."""
    planned: dict[RunIdentity, float] = {}
    for point in audience.points:
        planned[point.identity] = max(point.ended_at, planned.get(point.identity, 0.0))
    return [
        attempt
        for attempt in audience.attempts
        if attempt.status in UNPLANNED
        and not attempt.dry_run
        and planned.get(attempt.identity, 0.0) < attempt.try_started_at
    ]


def _merged(history: Sequence[RunPoint], latest: Sequence[RunPoint]) -> tuple[RunPoint, ...]:
    """Merge the runs of the history and of the newest state. After an interrupted write, one of them may lack a run."""
    by_run = {point.run_folder or f"{point.identity}": point for point in (*latest, *history)}
    return tuple(sorted(by_run.values(), key=lambda point: point.ended_at))


def charts_of(points: Sequence[RunPoint]) -> dict[str, Any]:
    """Return the values of the charts, all over the same runs, and a label for each run."""
    members = [point.members for point in points]
    by_name = {
        name: [point.removed if name == "removed" else point.counts[name] for point in points] for name, _ in SERIES
    }
    small = []
    for name, title in SERIES:
        values = by_name[name]
        group = next(names for names in SAME_SCALE if name in names)
        top = charts.axis_top(max((max(by_name[other], default=0) for other in group), default=0))
        label = (
            f"{title} by run: {sum(values):,} over {counted(len(values), 'run')}, {max(values, default=0):,} at most"
        )
        small.append(
            {"name": name, "title": title, "values": json.dumps(values), "last": values[-1], "total": sum(values)}
            | {"chart": charts.bars(values, label, name, top), "top": top}
        )
    return {
        "members": charts.line(members, 140, list_page.trend_label(members)),
        "values": json.dumps(members),
        "top": charts.axis_top(max(members)),
        "low": min(members),
        "high": max(members),
        "last": members[-1],
        "small": small,
        "columns": json.dumps([[point.ended_at, labels.clock(point.ended_at), _end(point)] for point in points]),
        "count": len(points),
        "first": points[0].ended_at,
        "until": points[-1].ended_at,
    }


def _end(point: RunPoint) -> str:
    return "finished" if point.finished else "did not finish"


def _run_row(run: RunPoint | Attempt, dags: Dags) -> dict[str, Any]:
    in_airflow = dags.knows(run.identity)
    mapped_path = dags.mapped_path(run.identity)
    return {
        "point": run if isinstance(run, RunPoint) else None,
        "at": run.at,
        "state": _run_state(run),
        "error": run.error,
        "code": run.code,
        "log": log_address(run.identity, mapped_path) if in_airflow and run.error else "",
        "run": run_address(run.identity) if in_airflow else "",
        "tab": tab_address(run.identity, mapped_path) if in_airflow else "",
    }


def _run_state(run: RunPoint | Attempt) -> str:
    if isinstance(run, RunPoint):
        return "finished" if run.finished else "failed"
    return str(run.status)


def undo(audience: AudienceOverview, versions: Sequence[Version]) -> dict[str, Any] | None:
    """Return `{"version", "command"}`: the newest version of the ledger, and the command that undoes it.

    None if the ledger has a single version, or if the user may not see the run that wrote the newest version or the
    connection of the newest run.
    """
    if len(versions) < 2 or versions[0].members is None or not audience.conn_id:  # noqa: PLR2004 - the version to undo, and the one before
        return None
    version = versions[0].number
    named, options = (audience.conn_id, audience.audience), ("--ledger-version", str(version))
    # argparse would read a tag such as `-vip` as an option
    arguments = (*options, "--", *named) if audience.audience.startswith("-") else (*named, *options)
    return {"version": version, "command": shlex.join(("airflow", "segexport", "undo", *arguments))}
