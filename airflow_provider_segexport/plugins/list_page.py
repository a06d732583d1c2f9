"""The list of audiences: `state root, Airflow's facts -> rows`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import audiences, charts, health, labels
from airflow_provider_segexport.plugins.audiences import AudienceOverview
from airflow_provider_segexport.plugins.dags import Dags, switched_off
from airflow_provider_segexport.plugins.health import Health, Schedule
from airflow_provider_segexport.plugins.pages import audience_address, run_address
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.storage.paths import StoragePath

TREND = 30
"""Runs in the small chart."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    audience: AudienceOverview
    health: Health
    rank: int
    trend: Markup
    change: int
    due: float
    due_words: str
    address: str
    run_address: str


def page(root: StoragePath, user: Rights, now: float) -> dict[str, Any]:
    """What the template shows."""
    rows = rows_of(audiences.list_audiences(root, user.sees), now)
    tallies = {state: sum(row.health.state is state for row in rows) for state in health.ORDER}
    return {
        "title": "Segment exports",
        "now": now,
        "rows": rows,
        "states": [(state, health.WORDS[state], tally) for state, tally in tallies.items() if tally],
        "vendors": sorted({row.audience.vendor for row in rows}),
        "members": sum(row.audience.newest.members for row in rows),
    }


def rows_of(found: Sequence[AudienceOverview], now: float) -> list[Row]:
    """The rows, those first that need a person."""
    dags = Dags(audience.newest.identity for audience in found)
    off = switched_off(audience.conn_id for audience in found)
    rows = [row_of(audience, dags, off.get(audience.conn_id, False), now) for audience in found]
    return sorted(rows, key=lambda row: (row.rank, row.audience.name.lower(), row.audience.key.vendor))


def row_of(audience: AudienceOverview, dags: Dags, off: bool, now: float) -> Row:  # noqa: FBT001 - one of two states
    """One row."""
    newest = audience.newest
    schedule = dags.schedules.get(newest.identity.dag_id)
    state = health.judge(audience, schedule, dags.attempt(newest.identity), switched_off=off, now=now)
    points = audience.points[-TREND:]
    members = [point.members for point in points]
    due, due_words = next_run(schedule, now)
    return Row(
        audience,
        state,
        health.ORDER.index(state.state),
        trend=charts.spark(members, [not point.finished for point in points], trend_words(members)),
        change=members[-1] - members[-2] if len(members) > 1 else 0,
        due=due,
        due_words=due_words,
        address=audience_address(audience.key),
        run_address=run_address(newest.identity) if dags.knows(newest.identity) else "",
    )


def trend_words(members: Sequence[int]) -> str:
    """What the small chart shows."""
    if len(members) < 2:  # noqa: PLR2004 - a trend needs two
        return f"Members: {members[0]:,}, one run so far"
    return f"Members over {counted(len(members), 'run')}: from {members[0]:,} to {members[-1]:,}"


def next_run(schedule: Schedule | None, now: float) -> tuple[float, str]:
    """When the next run comes, and that in words; those without a time sort last."""
    if schedule is None or schedule.gone or not schedule.scheduled:
        return float("inf"), "when started"
    if schedule.paused:
        return float("inf"), "paused"
    if schedule.due is not None:
        return schedule.due, labels.ago(schedule.due, now)
    return float("inf"), "with its segments"
