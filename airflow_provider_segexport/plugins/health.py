"""Determines the state of an audience: `newest run, DAG, connection -> one of six states, with the reason`."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.plugins.audiences import Attempt, AudienceOverview, RunIdentity, RunPoint
from airflow_provider_segexport.plugins.siblings import failed_sibling
from airflow_provider_segexport.storage.attempts import Status

HOUR = 3600.0
GRACE_S = HOUR
"""Seconds after its due time from which a run that has not begun counts as late."""

MIN_GAPS = 3
"""Least number of gaps between runs from which the usual gap is derived."""

LATE_AFTER_GAPS = 1.5
"""An export without a due time counts as late if its last run was this many usual gaps ago."""


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
"""The states, the most urgent first."""

RUNNING = frozenset({"running", "deferred", "up_for_reschedule", "queued", "scheduled", "restarting"})
"""States of a task instance that runs or will be run."""

UNRECORDED = {
    "failed": "The newest task instance failed before the export began, or its worker died. Its log shows the error.",
    "upstream_failed": "A task upstream of the export has failed.",
    "up_for_retry": "The last try failed before the export began; Airflow will retry.",
}
"""Why an export fails, by the state of a task instance that recorded no attempt."""

FAILED = frozenset(UNRECORDED)
"""States of a task instance that has failed."""

WORKER_LOST = "The task was killed, or its worker died, before the run ended. A retry resumes where it stopped."


@dataclass(frozen=True, slots=True)
class Schedule:
    """A DAG's schedule, as Airflow holds it.

    Attributes:
        paused: the DAG is paused.
        gone: no DAG file defines the DAG any more.
        due: when Airflow creates the next run, epoch seconds; None without a timetable.
        scheduled: a timetable or assets create runs.
        text: the schedule as Airflow shows it.
        approval_question: the question of a run that waits for an approval; empty if no run waits.
    """

    paused: bool = False
    gone: bool = False
    due: float | None = None
    scheduled: bool = False
    text: str = ""
    approval_question: str = ""


@dataclass(frozen=True, slots=True)
class LatestRun:
    """The newest task instance of an export, as Airflow holds it.

    Attributes:
        at: when it ended, began or was due, epoch seconds.
    """

    identity: RunIdentity
    state: str
    at: float


@dataclass(frozen=True, slots=True)
class AirflowFacts:
    """Airflow's data on the exports to one audience.

    Attributes:
        schedule: the DAG's schedule; None if Airflow does not have the DAG.
        latest: the newest task instance that certainly exports to this audience; None if there is none.
        states: the state of the task instance of each of the audience's attempts, if Airflow still has the instance.
    """

    schedule: Schedule | None = None
    latest: LatestRun | None = None
    states: Mapping[RunIdentity, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """An audience's state with its reason.

    Attributes:
        state: the most urgent state.
        why: the reason, a sentence.
        running: a run is under way.
        code: code of the error that is the reason; empty if the reason is no error.
        cause: the run whose log has the error; None if the reason is no error.
    """

    state: State
    why: str
    running: bool = False
    code: str = ""
    cause: RunIdentity | None = None

    @property
    def text(self) -> str:
        """The state's label."""
        return LABELS[self.state]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last attempt that was not skipped ended.

    Attributes:
        error: why it failed; empty if it did not fail.
        code: the error's code; empty without an error.
        identity: the run; None if there is no run.
        at: when it ended, epoch seconds.
        running: an attempt is under way.
        skipped: why a newer attempt was skipped; empty if no newer attempt was skipped.
    """

    error: str = ""
    code: str = ""
    identity: RunIdentity | None = None
    at: float = 0.0
    running: bool = False
    skipped: str = ""


def judge(audience: AudienceOverview, airflow: AirflowFacts, *, disabled: bool, now: float) -> Health:
    """Return the most urgent state of an audience.

    Args:
        audience: the audience with its runs and attempts.
        airflow: Airflow's data on the runs and attempts.
        disabled: exports are disabled in the audience's connection.
        now: epoch seconds.
    """
    schedule, outcome = airflow.schedule, last_outcome(audience, airflow)
    running = outcome.running
    if schedule is not None and schedule.approval_question and not disabled:
        return Health(State.AWAITING_APPROVAL, schedule.approval_question)
    if why := _why_disabled(audience, schedule, disabled=disabled):
        return Health(State.DISABLED, why, running)
    if outcome.error:
        return Health(State.FAILING, outcome.error, running, outcome.code, outcome.identity)
    if schedule is None or not schedule.scheduled:
        why = "The DAG has no schedule; it is started manually."
        return Health(State.MANUAL, _with_skip(why, outcome), running)
    if why := _why_late(audience.points, schedule, now):
        return Health(State.LATE, _with_skip(why, outcome), running)
    why = "The last run finished, and the next one is not due yet."
    return Health(State.UP_TO_DATE, _with_skip(why, outcome), running)


def _with_skip(why: str, outcome: Outcome) -> str:
    return f"{why} The newest run was skipped: {outcome.skipped}" if outcome.skipped else why


def _why_disabled(audience: AudienceOverview, schedule: Schedule | None, *, disabled: bool) -> str:
    if disabled:
        return f"'Exports enabled' is off in connection {audience.conn_id}."
    if schedule is None:
        return ""
    if schedule.gone:
        return f"DAG {audience.last_run.identity.dag_id} is not in any DAG file any more."
    if schedule.paused:
        return f"DAG {audience.last_run.identity.dag_id} is paused."
    return ""


def last_outcome(audience: AudienceOverview, airflow: AirflowFacts) -> Outcome:
    """Return how the last attempt to an audience ended.

    A task instance that recorded no attempt counts too, if it is newer and certainly exports to this audience. A
    success does not end the failure of another task instance of the same DAG run.
    """
    outcome, latest = _last_recorded(audience, airflow.states), airflow.latest
    failed = None if outcome.error else failed_sibling(audience.attempts, outcome.identity, airflow.states)
    if failed is not None:
        outcome = _failed(failed, airflow.states.get(failed.identity, ""), outcome.skipped, running=outcome.running)
    if latest is None or any(attempt.identity == latest.identity for attempt in audience.attempts):
        return outcome
    if latest.state in RUNNING:
        return outcome if outcome.running else _retrying(replace(outcome, running=True))
    if latest.state in FAILED and latest.at > outcome.at:
        return Outcome(UNRECORDED[latest.state], identity=latest.identity, at=latest.at)
    return outcome


def _last_recorded(audience: AudienceOverview, states: Mapping[RunIdentity, str]) -> Outcome:
    point, running, skipped = audience.newest, False, ""
    for attempt in reversed(audience.attempts):
        if attempt.dry_run:
            continue
        if point is not None and attempt.at < point.ended_at:
            break
        state = states.get(attempt.identity, "")
        if attempt.status is Status.SKIPPED:
            skipped = skipped or attempt.error
        elif attempt.status is Status.FINISHED:
            return Outcome("", "", attempt.identity, attempt.at, running, skipped)
        elif attempt.status is Status.FAILED or (attempt.status is Status.RUNNING and attempt.error):
            return _failed(attempt, state, skipped, running=running)
        elif state in RUNNING:
            running = True
        elif state in FAILED:
            return Outcome(WORKER_LOST, "worker-lost", attempt.identity, attempt.at, running, skipped)
    if point is None:
        return Outcome(running=running, skipped=skipped)
    error = "" if point.finished else point.error or "The last run did not finish."
    return _retrying(Outcome(error, point.code, point.identity, point.ended_at, running, skipped))


def _failed(attempt: Attempt, state: str, skipped: str, *, running: bool) -> Outcome:
    """Return the outcome of an attempt that has failed or whose last try has failed.

    Args:
        attempt: the attempt.
        state: state of the attempt's task instance; empty if Airflow does not have it any more.
        skipped: why a newer attempt was skipped; empty if no newer attempt was skipped.
        running: a newer attempt is under way.
    """
    error = attempt.error or "The last run did not finish."
    if state == "up_for_retry":
        error = f"{error} Airflow will retry."
    outcome = Outcome(error, attempt.code, attempt.identity, attempt.at, running or state in RUNNING, skipped)
    return _retrying(outcome)


def _retrying(outcome: Outcome) -> Outcome:
    """Return the outcome. If a try is running after an error, the error's text begins with a sentence on that try."""
    if not (outcome.error and outcome.running):
        return outcome
    return replace(outcome, error=f"A new try is running. Error of the last try: {outcome.error}")


def _why_late(points: Sequence[RunPoint], schedule: Schedule, now: float) -> str:
    """Return why the export is late; empty if it is not."""
    if schedule.due is not None:
        return "The next run is due but has not begun." if now - schedule.due > GRACE_S else ""
    if not points:
        return ""
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
