"""Builds the list of audiences: `state root, Airflow database -> rows`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import audiences, charts, health, labels
from airflow_provider_segexport.plugins.audiences import AudienceOverview
from airflow_provider_segexport.plugins.dags import Dags, disabled_connections
from airflow_provider_segexport.plugins.health import Health, Schedule
from airflow_provider_segexport.plugins.pages import audience_address, run_address
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.storage.paths import StoragePath

MAX_TREND_RUNS = 30
"""Runs in a row's small chart: a month of daily runs."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    audience: AudienceOverview
    health: Health
    rank: int
    trend: Markup
    change: int
    due: float
    due_label: str
    address: str
    run_address: str


def page(root: StoragePath, user: Rights, now: float) -> dict[str, Any]:
    """Return the template's values.

    Args:
        root: state root.
        user: whose rights decide which runs are shown.
        now: epoch seconds.
    """
    rows = rows_of(audiences.list_audiences(root, user.can_see_run), now)
    tallies = {state: sum(row.health.state is state for row in rows) for state in health.ORDER}
    return {
        "title": "Segment exports",
        "now": now,
        "rows": rows,
        "states": [(state, health.LABELS[state], tally) for state, tally in tallies.items() if tally],
        "vendors": sorted({row.audience.vendor for row in rows}),
        "members": sum(row.audience.newest.members for row in rows),
    }


def rows_of(overviews: Sequence[AudienceOverview], now: float) -> list[Row]:
    """Return the rows, audiences that need attention first."""
    dags = Dags(audience.newest.identity for audience in overviews)
    disabled = disabled_connections(audience.conn_id for audience in overviews)
    rows = [row_of(audience, dags, disabled.get(audience.conn_id, False), now) for audience in overviews]
    return sorted(rows, key=lambda row: (row.rank, row.audience.name.lower(), row.audience.key.vendor))


def row_of(audience: AudienceOverview, dags: Dags, is_disabled: bool, now: float) -> Row:  # noqa: FBT001 - looked up by the caller
    """Return one row.

    Args:
        audience: with the runs that the user may see.
        dags: Airflow's data on the runs.
        is_disabled: exports are disabled in the connection.
        now: epoch seconds.
    """
    newest = audience.newest
    schedule = dags.schedules.get(newest.identity.dag_id)
    state = health.judge(audience, schedule, dags.latest_run(newest.identity), disabled=is_disabled, now=now)
    points = audience.points[-MAX_TREND_RUNS:]
    members = [point.members for point in points]
    due, due_label = next_run(schedule, now)
    return Row(
        audience,
        state,
        health.ORDER.index(state.state),
        trend=charts.spark(members, [not point.finished for point in points], trend_label(members)),
        change=members[-1] - members[-2] if len(members) > 1 else 0,
        due=due,
        due_label=due_label,
        address=audience_address(audience.key),
        run_address=run_address(newest.identity) if dags.knows(newest.identity) else "",
    )


def trend_label(members: Sequence[int]) -> str:
    """Describe the small chart for screen readers."""
    if len(members) < 2:  # noqa: PLR2004 - a trend needs two
        return f"Members: {members[0]:,}, one run so far"
    return f"Members over {counted(len(members), 'run')}: from {members[0]:,} to {members[-1]:,}"


def next_run(schedule: Schedule | None, now: float) -> tuple[float, str]:
    """Return when the next run is due (epoch seconds) and a label for it; infinity without a time, so it sorts last."""
    if schedule is None or schedule.gone or not schedule.scheduled:
        return float("inf"), "when started"
    if schedule.paused:
        return float("inf"), "paused"
    if schedule.due is not None:
        return schedule.due, labels.ago(schedule.due, now)
    return float("inf"), "with its segments"
