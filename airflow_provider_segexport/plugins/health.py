"""How an audience is: `its last run, its DAG, its connection -> one of six words, and why`."""

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
"""A run that was due this long ago, and has not begun, is late."""

FEW = 3
"""So many runs show how often an export runs; fewer do not."""

LATE_BY = 1.5
"""An export without a time of its own is late when this many of its usual gaps have passed."""


class State(StrEnum):
    """In the order in which a person should look at them."""

    FAILING = "failing"
    AWAITING_APPROVAL = "awaiting-approval"
    LATE = "late"
    DISABLED = "disabled"
    UP_TO_DATE = "up-to-date"
    MANUAL = "manual"


WORDS = {
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
    "failed": "The newest run failed before it had planned anything. Its log says why.",
    "upstream_failed": "A task before the export has failed.",
    "up_for_retry": "The last try failed; Airflow tries again.",
}
FAILED = frozenset(UNPLANNED)


@dataclass(frozen=True, slots=True)
class Schedule:
    """What Airflow knows of a DAG.

    Attributes:
        gone: it is in no file any more.
        due: when the next run is to be made (epoch seconds); None where no time makes it.
        scheduled: something makes runs by itself: a time, or assets.
        approval_question: there is a run that waits for a person's answer, and this is what is asked.
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
        return WORDS[self.state]


def judge(
    audience: AudienceOverview, schedule: Schedule | None, attempt: LatestRun | None, *, switched_off: bool, now: float
) -> Health:
    """The one thing to know about an audience now."""
    running = attempt is not None and attempt.state in RUNNING
    if schedule is not None and schedule.approval_question and not switched_off:
        return Health(State.AWAITING_APPROVAL, schedule.approval_question)
    if off := _off(audience, schedule, switched_off=switched_off):
        return Health(State.DISABLED, off, running)
    if failing := _failing(audience.newest, attempt):
        return Health(State.FAILING, failing, running)
    if schedule is None or not schedule.scheduled:
        return Health(State.MANUAL, "The DAG has no schedule; a person starts it.", running)
    if late := _late(audience.points, schedule, now):
        return Health(State.LATE, late, running)
    return Health(State.UP_TO_DATE, "The last run finished, and the next one is not due yet.", running)


def _off(audience: AudienceOverview, schedule: Schedule | None, *, switched_off: bool) -> str:
    if switched_off:
        return f"'Exports enabled' is off in connection {audience.conn_id}."
    if schedule is None:
        return ""
    if schedule.gone:
        return f"DAG {audience.newest.identity.dag_id} is in no file any more."
    if schedule.paused:
        return f"DAG {audience.newest.identity.dag_id} is paused."
    return ""


def _failing(newest: RunPoint, attempt: LatestRun | None) -> str:
    """What went wrong; a run that failed before it had a plan is not on the card."""
    if attempt is not None and attempt.state in FAILED and attempt.at > newest.ended_at:
        return UNPLANNED[attempt.state]
    if newest.finished:
        return ""
    said = newest.error or "The last run did not finish."
    return f"A new try is running. The last one said: {said}" if attempt and attempt.state in RUNNING else said


def _late(points: Sequence[RunPoint], schedule: Schedule, now: float) -> str:
    """Why the export is late; empty when it is not."""
    if schedule.due is not None:
        return "The next run was due, and has not begun." if now - schedule.due > GRACE_S else ""
    gap = usual_gap(points)
    if gap is None or now - points[-1].ended_at <= max(gap * LATE_BY, gap + GRACE_S):
        return ""
    return f"It usually runs every {span(gap)}, and has not for {span(now - points[-1].ended_at)}."


def usual_gap(points: Sequence[RunPoint]) -> float | None:
    """The usual time between two runs; None where too few are known."""
    ends = [point.ended_at for point in points]
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    return statistics.median(gaps) if len(gaps) >= FEW else None


def span(seconds: float) -> str:
    """A length of time, as one says it."""
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size * 1.5 or (seconds >= size > 60):  # noqa: PLR2004 - minutes begin at one
            count = round(seconds / size)
            return counted(count, word) if count != 1 else word
    return "minute" if seconds >= 45 else counted(max(1, round(seconds)), "second")  # noqa: PLR2004 - nearly a minute
