"""Judges an audience: `newest run, DAG, connection -> one of six states, with the reason`."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins.audiences import AudienceOverview, RunPoint

HOUR = 3600.0
GRACE_S = HOUR
"""Seconds after its due time from which a run that has not begun counts as late."""

MIN_GAPS = 3
"""Gaps between runs from which their usual length is derived; fewer do not show a rhythm."""

LATE_AFTER_GAPS = 1.5
"""Usual gaps since the last run after which an export without a due time counts as late."""


class State(StrEnum):
    """State of an audience, the most urgent first."""

    FAILING = "failing"
    AWAITING_APPROVAL = "awaiting-approval"
    LATE = "late"
    DISABLED = "disabled"
    UP_TO_DATE = "up-to-date"
    MANUAL = "manual"


LABELS = {
    State.FAILING: "Failing",
    State.AWAITING_APPROVAL: "Awaiting approval",
    State.LATE: "Late",
    State.DISABLED: "Disabled",
    State.UP_TO_DATE: "Up to date",
    State.MANUAL: "Manual",
}
ORDER = tuple(State)

RUNNING = frozenset({"running", "deferred", "up_for_reschedule", "queued", "scheduled", "restarting"})
UNPLANNED = {
    "failed": "The newest run failed before it made a plan. Its log shows the error.",
    "upstream_failed": "A task upstream of the export has failed.",
    "up_for_retry": "The last try failed; Airflow will retry.",
}
FAILED = frozenset(UNPLANNED)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A DAG's schedule, as Airflow holds it.

    Attributes:
        gone: no DAG file defines it any more.
        due: when Airflow creates the next run, epoch seconds; None without a timetable.
        scheduled: a timetable or assets create runs.
        text: the schedule as Airflow shows it.
        approval_question: question of a run that waits for an approval; empty if none does.
    """

    paused: bool = False
    gone: bool = False
    due: float | None = None
    scheduled: bool = False
    text: str = ""
    approval_question: str = ""


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The newest task instance of an export, as Airflow holds it."""

    run_id: str
    state: str
    at: float


@dataclass(frozen=True, slots=True)
class Health:
    """The state with the reason for it, and whether a run is on its way."""

    state: State
    why: str
    running: bool = False

    @property
    def text(self) -> str:
        """The state, for people."""
        return LABELS[self.state]


def judge(
    audience: AudienceOverview, schedule: Schedule | None, latest: LatestRun | None, *, disabled: bool, now: float
) -> Health:
    """Return the most urgent state of an audience.

    Args:
        audience: with its runs.
        schedule: of its DAG; None if the DAG is unknown.
        latest: its newest task instance, also one that failed before it made a plan; None if there is none.
        disabled: exports are disabled in its connection.
        now: epoch seconds.
    """
    running = latest is not None and latest.state in RUNNING
    if schedule is not None and schedule.approval_question and not disabled:
        return Health(State.AWAITING_APPROVAL, schedule.approval_question)
    if why := _why_disabled(audience, schedule, disabled=disabled):
        return Health(State.DISABLED, why, running)
    if why := _why_failing(audience.newest, latest):
        return Health(State.FAILING, why, running)
    if schedule is None or not schedule.scheduled:
        return Health(State.MANUAL, "The DAG has no schedule; it is started manually.", running)
    if why := _why_late(audience.points, schedule, now):
        return Health(State.LATE, why, running)
    return Health(State.UP_TO_DATE, "The last run finished, and the next one is not due yet.", running)


def _why_disabled(audience: AudienceOverview, schedule: Schedule | None, *, disabled: bool) -> str:
    if disabled:
        return f"'Exports enabled' is off in connection {audience.conn_id}."
    if schedule is None:
        return ""
    if schedule.gone:
        return f"DAG {audience.newest.identity.dag_id} is not in any DAG file any more."
    if schedule.paused:
        return f"DAG {audience.newest.identity.dag_id} is paused."
    return ""


def _why_failing(newest: RunPoint, latest: LatestRun | None) -> str:
    """Return the error; empty if the export does not fail. A run that failed before its plan is not in the history."""
    if latest is not None and latest.state in FAILED and latest.at > newest.ended_at:
        return UNPLANNED[latest.state]
    if newest.finished:
        return ""
    error = newest.error or "The last run did not finish."
    return f"A new try is running. Error of the last try: {error}" if latest and latest.state in RUNNING else error


def _why_late(points: Sequence[RunPoint], schedule: Schedule, now: float) -> str:
    """Return why the export is late; empty if it is not."""
    if schedule.due is not None:
        return "The next run is due but has not begun." if now - schedule.due > GRACE_S else ""
    gap = usual_gap(points)
    if gap is None or now - points[-1].ended_at <= max(gap * LATE_AFTER_GAPS, gap + GRACE_S):
        return ""
    return f"It usually runs every {span(gap)}, but has not run for {span(now - points[-1].ended_at)}."


def usual_gap(points: Sequence[RunPoint]) -> float | None:
    """Return the median time between two runs, in seconds; None if there are too few runs."""
    ends = [point.ended_at for point in points]
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    return statistics.median(gaps) if len(gaps) >= MIN_GAPS else None


def span(seconds: float) -> str:
    """Return a length of time in words, such as `hour` or `3 days`."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size * 1.5 or (seconds >= size > 60):  # noqa: PLR2004 - minutes begin at one
            count = round(seconds / size)
            return counted(count, word) if count != 1 else word
    return "minute" if seconds >= 45 else counted(max(1, round(seconds)), "second")  # noqa: PLR2004 - nearly a minute
