"""Builds the list of audiences: `state root, Airflow database -> rows`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins import attempts, audiences, charts, health, labels
from airflow_provider_segexport.plugins.attempts import Attempts
from airflow_provider_segexport.plugins.audiences import AudienceOverview, RunIdentity
from airflow_provider_segexport.plugins.dags import Dags, disabled_connections
from airflow_provider_segexport.plugins.health import Health, Schedule
from airflow_provider_segexport.plugins.pages import audience_address, log_address, run_address, tab_address
from airflow_provider_segexport.plugins.permissions import Rights
from airflow_provider_segexport.plugins.unread import Unread
from airflow_provider_segexport.storage.paths import StoragePath

MAX_TREND_RUNS = 30
"""Runs in the small chart of a row: a month of daily runs."""

DECISIVE_ATTEMPTS = 5
"""Newest attempts of an audience whose task instances are read: those under way, and the last that has ended."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the list.

    Attributes:
        rank: position of the state in `health.ORDER`.
        trend: small chart of the members.
        change: members since the run before; negative if there are fewer.
        due: when the next run is due, epoch seconds; infinity without a time.
        address: of the audience's page; empty if no run has filled the audience.
        run_address: of the last run in Airflow's UI; empty if Airflow does not have the run.
        tab_address: of the task's tab *Export*; empty likewise.
        log_address: of the log with the error that is the reason of the state; empty if there is none.
    """

    audience: AudienceOverview
    health: Health
    rank: int
    trend: Markup
    change: int
    due: float
    due_label: str
    address: str
    run_address: str
    tab_address: str
    log_address: str


def page(root: StoragePath, user: Rights, now: float) -> dict[str, Any]:
    """Return the template's values.

    Args:
        root: state root.
        user: the rights that decide which runs are shown.
        now: epoch seconds.
    """
    unread: Unread = []
    overviews = audiences.list_audiences(root, user.can_see_run, unread)
    tried = attempts.read(root, overviews, user.can_see_run, now, unread)
    rows = rows_of([*attempts.with_attempts(overviews, tried), *tried.never_filled], tried, now)
    tallies = {state: sum(row.health.state is state for row in rows) for state in health.ORDER}
    return {
        "title": "Segment exports",
        "now": now,
        "rows": rows,
        "segment_name": segment_name,
        "states": [(state, health.LABELS[state], tally) for state, tally in tallies.items() if tally],
        "vendors": sorted({row.audience.vendor for row in rows if row.audience.key.vendor}),
        "members": sum(row.audience.members for row in rows),
        "unread": len(unread),
    }


def rows_of(overviews: Sequence[AudienceOverview], tried: Attempts, now: float) -> list[Row]:
    """Return the rows, with audiences that need attention first.

    Args:
        overviews: the audiences with their attempts.
        tried: the attempts of all audiences.
        now: epoch seconds.
    """
    dags = Dags(identities(overviews), tried.targets)
    disabled = disabled_connections(audience.conn_id for audience in overviews)
    rows = [row_of(audience, dags, disabled.get(audience.conn_id, False), now) for audience in overviews]
    return sorted(rows, key=lambda row: (row.rank, natural(row.audience.name), row.audience.key.vendor))


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key by which 2 comes before 11."""
    parts = re.split(r"([0-9]{1,18})", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def segment_name(segment: str) -> str:
    """Return the last part of a segment's path that is a name, and no partition, pattern, date or number."""
    parts = [part for part in segment.rstrip("/").split("/") if part]
    named = [part for part in parts if "=" not in part and "*" not in part and re.search(r"[^\W\d_]", part)]
    return (named or parts or [""])[-1]


def identities(overviews: Sequence[AudienceOverview]) -> Iterator[RunIdentity]:
    """Yield the runs by which the states of audiences are determined."""
    for audience in overviews:
        yield audience.last_run.identity
        yield from (attempt.identity for attempt in audience.attempts[-DECISIVE_ATTEMPTS:])


def row_of(audience: AudienceOverview, dags: Dags, is_disabled: bool, now: float) -> Row:  # noqa: FBT001 - looked up by the caller
    """Return one row.

    Args:
        audience: the audience with the runs that the user may see.
        dags: Airflow's data on the runs.
        is_disabled: exports are disabled in the audience's connection.
        now: epoch seconds.
    """
    last = audience.last_run
    facts = dags.facts(audience)
    state = health.judge(audience, facts, disabled=is_disabled, now=now)
    points = audience.points[-MAX_TREND_RUNS:]
    members = [point.members for point in points]
    due, due_label = next_run(facts.schedule, now)
    in_airflow = dags.knows(last.identity)
    tab = tab_address(last.identity, dags.mapped_path(last.identity)) if in_airflow else ""
    return Row(
        audience,
        state,
        health.ORDER.index(state.state),
        trend=charts.spark(members, [not point.finished for point in points], trend_label(members)),
        change=members[-1] - members[-2] if len(members) > 1 else 0,
        due=due,
        due_label=due_label,
        address=audience_address(audience.key) if points else "",
        run_address=run_address(last.identity) if in_airflow else "",
        tab_address=tab,
        log_address=log_of(state, dags),
    )


def log_of(state: Health, dags: Dags) -> str:
    """Return the address of the log with the error that is the reason of a state; empty if there is none."""
    cause = state.cause
    return log_address(cause, dags.mapped_path(cause)) if cause is not None and dags.knows(cause) else ""


def trend_label(members: Sequence[int]) -> str:
    """Return the text of the small chart for screen readers."""
    if not members:
        return "No run has filled this audience yet"
    if len(members) < 2:  # noqa: PLR2004 - a trend needs two
        return f"Members: {members[0]:,}, one run so far"
    return f"Members over {counted(len(members), 'run')}: from {members[0]:,} to {members[-1]:,}"


def next_run(schedule: Schedule | None, now: float) -> tuple[float, str]:
    """Return when the next run is due and a label for it: epoch seconds, or infinity if there is no time."""
    if schedule is None or schedule.gone or not schedule.scheduled:
        return float("inf"), "when triggered"
    if schedule.paused:
        return float("inf"), "paused"
    if schedule.due is not None:
        return schedule.due, labels.ago(schedule.due, now)
    return float("inf"), "when its assets are updated"
