"""The list of audiences: `state root, Airflow's facts -> rows`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import cards, charts, condition, words
from airflow_provider_segexport.plugins.cards import Audience
from airflow_provider_segexport.plugins.condition import Condition, Schedule
from airflow_provider_segexport.plugins.dags import Dags, switched_off
from airflow_provider_segexport.plugins.pages import audience_address, run_address
from airflow_provider_segexport.plugins.rights import Rights
from airflow_provider_segexport.ports.places import Place

TREND = 30
"""Runs in the small chart."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    audience: Audience
    condition: Condition
    rank: int
    trend: Markup
    change: int
    due: float
    due_words: str
    address: str
    run_address: str


def page(root: Place, user: Rights, now: float) -> dict[str, Any]:
    """What the template shows."""
    rows = rows_of(cards.listed(root, user.sees), now)
    tallies = {state: sum(row.condition.state is state for row in rows) for state in condition.ORDER}
    return {
        "title": "Segment exports",
        "now": now,
        "rows": rows,
        "states": [(state, condition.WORDS[state], tally) for state, tally in tallies.items() if tally],
        "vendors": sorted({row.audience.vendor for row in rows}),
        "members": sum(row.audience.newest.members for row in rows),
    }


def rows_of(found: Sequence[Audience], now: float) -> list[Row]:
    """The rows, those first that need a person."""
    dags = Dags(audience.newest.who for audience in found)
    off = switched_off(audience.conn_id for audience in found)
    rows = [row_of(audience, dags, off.get(audience.conn_id, False), now) for audience in found]
    return sorted(rows, key=lambda row: (row.rank, row.audience.name.lower(), row.audience.key.vendor))


def row_of(audience: Audience, dags: Dags, off: bool, now: float) -> Row:  # noqa: FBT001 - one of two states
    """One row."""
    newest = audience.newest
    schedule = dags.schedules.get(newest.who.dag_id)
    state = condition.judge(audience, schedule, dags.attempt(newest.who), switched_off=off, now=now)
    points = audience.points[-TREND:]
    members = [point.members for point in points]
    due, due_words = next_run(schedule, now)
    return Row(
        audience,
        state,
        condition.ORDER.index(state.state),
        trend=charts.spark(members, [not point.finished for point in points], trend_words(members)),
        change=members[-1] - members[-2] if len(members) > 1 else 0,
        due=due,
        due_words=due_words,
        address=audience_address(audience.key),
        run_address=run_address(newest.who) if dags.knows(newest.who) else "",
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
        return schedule.due, words.ago(schedule.due, now)
    return float("inf"), "with its segments"
