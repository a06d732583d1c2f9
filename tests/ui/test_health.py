"""How an audience is said to be, without Airflow."""

from __future__ import annotations

import pytest

from airflow_provider_segexport.plugins.audiences import AudienceKey, AudienceOverview, RunIdentity, RunPoint
from airflow_provider_segexport.plugins.health import LatestRun, Schedule, State, judge, span, usual_gap

HOUR, DAY = 3600.0, 86400.0
NOW = 100 * DAY
NIGHTLY = Schedule(scheduled=True, due=NOW + 5 * HOUR)
BY_ASSET = Schedule(scheduled=True)


def point(ended_at: float, *, finished: bool = True) -> RunPoint:
    who = RunIdentity("exports", "export", f"r{ended_at}", 0)
    error = "" if finished else "The vendor refused the key."
    return RunPoint(who, ended_at, "upsert", "", finished, error, {"rejected": 0}, 0, 10, 1.0, 1, f"/{ended_at}")


def audience(*points: RunPoint) -> AudienceOverview:
    return AudienceOverview(AudienceKey("omnisend", "a", "b"), "VIP", "Acme", "vip", "omnisend_default", points, {}, {})


DAILY = audience(*(point(NOW - back * DAY - HOUR) for back in (4, 3, 2, 1, 0)))
FAILED = audience(point(NOW - DAY), point(NOW - HOUR, finished=False))


def state(of=DAILY, schedule=NIGHTLY, attempt=None, *, off=False, now=NOW) -> State:
    return judge(of, schedule, attempt, disabled=off, now=now).state


def test_a_run_that_finished_before_the_next_is_due_is_fresh():
    """The usual case."""
    assert State.UP_TO_DATE is state()


def test_a_run_that_did_not_finish_fails_with_its_own_words():
    """The card holds the error."""
    found = judge(FAILED, NIGHTLY, None, disabled=False, now=NOW)
    assert (State.FAILING, "The vendor refused the key.") == (found.state, found.why)


@pytest.mark.parametrize("ended", ["failed", "upstream_failed", "up_for_retry"])
def test_a_newer_run_that_failed_before_it_had_a_plan_fails(ended):
    """Credentials that expired leave no card."""
    assert State.FAILING is state(attempt=LatestRun("new", ended, NOW))


def test_an_older_failure_is_over():
    """What came before the last good run says nothing of now."""
    assert State.UP_TO_DATE is state(attempt=LatestRun("old", "failed", NOW - 3 * DAY))


def test_a_new_try_is_told_with_the_failure_before_it():
    """It still fails until the new one has finished."""
    found = judge(FAILED, NIGHTLY, LatestRun("new", "running", NOW), disabled=False, now=NOW)
    assert (State.FAILING, True) == (found.state, found.running)
    assert "A new try is running" in found.why


def test_a_connection_that_is_switched_off_is_off_before_all_else():
    """An administrator has stopped it: nobody needs to look at why it failed."""
    assert State.DISABLED is state(FAILED, off=True)


@pytest.mark.parametrize("schedule", [Schedule(scheduled=True, paused=True), Schedule(scheduled=True, gone=True)])
def test_a_dag_that_is_paused_or_gone_is_off(schedule):
    """Nothing will run by itself."""
    assert State.DISABLED is state(schedule=schedule)


def test_a_run_that_waits_for_a_person_says_what_is_asked():
    """The question is the reason."""
    found = judge(
        DAILY, Schedule(scheduled=True, approval_question="Remove 900 of 1,000?"), None, disabled=False, now=NOW
    )
    assert (State.AWAITING_APPROVAL, "Remove 900 of 1,000?") == (found.state, found.why)


def test_a_run_that_was_due_long_ago_is_late():
    """The scheduler has not made it; an hour's grace."""
    assert State.LATE is state(schedule=Schedule(scheduled=True, due=NOW - 2 * HOUR))
    assert State.UP_TO_DATE is state(schedule=Schedule(scheduled=True, due=NOW - HOUR / 2))


def test_an_export_that_follows_its_segments_is_late_by_its_own_habit():
    """A daily one is late after a day and a half."""
    assert State.UP_TO_DATE is state(schedule=BY_ASSET, now=NOW + DAY / 4)
    assert State.LATE is state(schedule=BY_ASSET, now=NOW + 1.5 * DAY)


def test_an_export_with_few_runs_has_no_habit_yet():
    """Two runs show nothing."""
    assert None is usual_gap((point(1.0), point(2.0), point(3.0)))
    assert State.UP_TO_DATE is state(audience(point(NOW - 50 * DAY)), BY_ASSET)


@pytest.mark.parametrize("schedule", [None, Schedule()])
def test_what_only_a_person_starts_is_never_late(schedule):
    """A DAG without a schedule, and a hook outside any DAG."""
    assert State.MANUAL is state(schedule=schedule, now=NOW + 365 * DAY)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "20 seconds"),
        (50, "minute"),
        (60, "minute"),
        (90, "2 minutes"),
        (3600, "hour"),
        (5400, "2 hours"),
        (7200, "2 hours"),
        (86400, "day"),
        (129600, "2 days"),
        (864000, "10 days"),
    ],
)
def test_a_length_of_time_is_said_as_one_says_it(seconds, words):
    """One unit is enough."""
    assert words == span(seconds)
