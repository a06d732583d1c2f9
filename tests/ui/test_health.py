"""How an audience is said to be, without Airflow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_segexport.plugins.audiences import Attempt, AudienceKey, AudienceOverview, RunIdentity, RunPoint
from airflow_provider_segexport.plugins.health import AirflowFacts, LatestRun, Schedule, State, judge, span, usual_gap
from airflow_provider_segexport.storage.attempts import Status

HOUR, DAY = 3600.0, 86400.0
NOW = 100 * DAY
NIGHTLY = Schedule(scheduled=True, due=NOW + 5 * HOUR)
BY_ASSET = Schedule(scheduled=True)
NEW = RunIdentity("exports", "export", "new", 0)


def point(ended_at: float, *, finished: bool = True) -> RunPoint:
    identity = RunIdentity("exports", "export", f"r{ended_at}", 0)
    error = "" if finished else "The vendor refused the key."
    return RunPoint(identity, ended_at, "upsert", "", finished, error, {"rejected": 0}, 0, 10, 1.0, 1, f"/{ended_at}")


def audience(*points: RunPoint) -> AudienceOverview:
    return AudienceOverview(AudienceKey("omnisend", "a", "b"), "VIP", "Acme", "vip", "omnisend_default", points, {}, {})


DAILY = audience(*(point(NOW - back * DAY - HOUR) for back in (4, 3, 2, 1, 0)))
FAILED = audience(point(NOW - DAY), point(NOW - HOUR, finished=False))


def state(of=DAILY, schedule=NIGHTLY, attempt=None, *, off=False, now=NOW) -> State:
    return judge(of, AirflowFacts(schedule, attempt), disabled=off, now=now).state


def test_a_run_that_finished_before_the_next_is_due_is_fresh():
    """The usual case."""
    assert State.UP_TO_DATE is state()


def test_a_run_that_did_not_finish_fails_with_its_own_words():
    """The card holds the error."""
    health = judge(FAILED, AirflowFacts(NIGHTLY), disabled=False, now=NOW)
    assert (State.FAILING, "The vendor refused the key.") == (health.state, health.why)


@pytest.mark.parametrize("ended", ["failed", "upstream_failed", "up_for_retry"])
def test_a_newer_run_that_failed_before_it_had_a_plan_fails(ended):
    """Credentials that expired leave no card."""
    assert State.FAILING is state(attempt=LatestRun(NEW, ended, NOW))


def test_an_older_failure_is_over():
    """Runs before the last good one do not count."""
    assert State.UP_TO_DATE is state(attempt=LatestRun(NEW, "failed", NOW - 3 * DAY))


def test_a_new_try_is_shown_with_the_failure_before_it():
    """It still fails until the new one has finished."""
    health = judge(FAILED, AirflowFacts(NIGHTLY, LatestRun(NEW, "running", NOW)), disabled=False, now=NOW)
    assert (State.FAILING, True) == (health.state, health.running)
    assert "A new try is running" in health.why


def test_a_connection_that_is_switched_off_is_off_before_all_else():
    """An administrator has stopped it: no user needs to look at why it failed."""
    assert State.DISABLED is state(FAILED, off=True)


@pytest.mark.parametrize("schedule", [Schedule(scheduled=True, paused=True), Schedule(scheduled=True, gone=True)])
def test_a_dag_that_is_paused_or_gone_is_off(schedule):
    """Nothing will run by itself."""
    assert State.DISABLED is state(schedule=schedule)


def test_a_run_that_waits_for_a_person_says_what_is_asked():
    """The question is the reason."""
    schedule = Schedule(scheduled=True, approval_question="Remove 900 of 1,000?")
    health = judge(DAILY, AirflowFacts(schedule), disabled=False, now=NOW)
    assert (State.AWAITING_APPROVAL, "Remove 900 of 1,000?") == (health.state, health.why)


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
    ("seconds", "text"),
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
def test_a_length_of_time_is_said_as_one_says_it(seconds, text):
    """One unit is enough."""
    assert text == span(seconds)


REFUSED = "The API key is not accepted. To fix: check it."


def attempt(status: str, at: float = NOW, run_id: str = "new", error: str = "", **more) -> Attempt:
    """An attempt of the same export, an hour after the last run."""
    ended = at if status in {"failed", "finished", "skipped"} else 0.0
    identity = RunIdentity("exports", "export", run_id, 0)
    return Attempt(identity, Status(status), at - 60, at - 60, ended, error=error, code="x" if error else "", **more)


def judged(*attempts: Attempt, points=DAILY.points, states=None, latest=None):
    """The health of an audience with these attempts."""
    facts = AirflowFacts(
        NIGHTLY, latest, {item.identity: (states or {}).get(item.identity.run_id, "") for item in attempts}
    )
    return judge(replace(DAILY, points=points, attempts=attempts), facts, disabled=False, now=NOW)


def test_a_failed_attempt_shows_its_own_sentence_code_and_run():
    """A 401 before the plan is in no history."""
    health = judged(attempt("failed", error=REFUSED))
    assert (State.FAILING, REFUSED, "x", "new") == (health.state, health.why, health.code, health.cause.run_id)


def test_a_run_of_another_audience_changes_nothing():
    """The newest task instance of the DAG succeeded; this audience's own last attempt did not."""
    latest = LatestRun(RunIdentity("exports", "export", "later", 0), "success", NOW)
    assert State.FAILING is judged(attempt("failed", error=REFUSED), latest=latest).state


def test_a_run_that_made_a_plan_later_is_the_last_one():
    """Also if the attempt could not be recorded then."""
    assert State.UP_TO_DATE is judged(attempt("failed", NOW - 2 * DAY, error=REFUSED)).state


def test_a_finished_attempt_ends_the_failure():
    """It is newer than the failed run in the history, as after a try that found a finished report."""
    assert State.UP_TO_DATE is judged(attempt("finished"), points=FAILED.points).state


def sibling(map_index: int = 1, **changes) -> Attempt:
    """A failed attempt of another instance of the task, before the last finished one."""
    failed = attempt("failed", NOW - 60, error=REFUSED)
    return replace(failed, identity=replace(failed.identity, map_index=map_index, **changes))


@pytest.mark.parametrize("other", [{}, {"task_id": "export_more", "map_index": 0}])
def test_a_success_does_not_end_the_failure_of_another_instance_of_its_dag_run(other):
    """A mapped task, or two tasks of a DAG, export to one audience, and another one than the last has failed."""
    health = judged(sibling(**other), attempt("finished"))
    assert (State.FAILING, REFUSED, "x") == (health.state, health.why, health.code)
    assert health.cause == sibling(**other).identity


def test_a_success_ends_the_failure_of_an_earlier_dag_run_and_of_its_own_instance():
    """A process or a later call of the same instance has the same map index."""
    assert State.UP_TO_DATE is judged(sibling(run_id="older"), attempt("finished")).state
    assert State.UP_TO_DATE is judged(sibling(map_index=0, call="2"), attempt("finished")).state


@pytest.mark.parametrize("ended", ["success", "skipped", "removed"])
def test_a_failure_that_airflow_knows_to_be_over_is_over(ended):
    """As after a task instance was marked as successful, or its list became shorter."""
    states = {"new": ended}
    assert State.UP_TO_DATE is judged(sibling(), attempt("finished"), states=states).state


def test_an_attempt_whose_task_airflow_calls_failed_lost_its_worker():
    """A killed process records no end."""
    health = judged(attempt("running"), states={"new": "failed"})
    assert (State.FAILING, "worker-lost") == (health.state, health.code)


@pytest.mark.parametrize("status", ["running", "waiting"])
def test_an_attempt_under_way_leaves_the_state_of_the_one_before(status):
    """It has neither failed nor succeeded yet."""
    under_way = attempt(status, run_id="newer")
    health = judged(under_way, states={"newer": "deferred"})
    assert (State.UP_TO_DATE, True) == (health.state, health.running)
    health = judged(attempt("failed", NOW - 600, error=REFUSED), under_way, states={"newer": "deferred"})
    assert (State.FAILING, True) == (health.state, health.running)
    assert health.why == f"A new try is running. Error of the last try: {REFUSED}"


def test_a_retry_keeps_the_error_of_the_try_before():
    """The same run, running again."""
    health = judged(attempt("running", error=REFUSED), states={"new": "running"})
    assert (State.FAILING, True) == (health.state, health.running)
    assert "A new try is running" in health.why
    assert judged(attempt("failed", error=REFUSED), states={"new": "up_for_retry"}).why.endswith("Airflow will retry.")


def test_a_skipped_attempt_leaves_the_state_and_gives_its_reason():
    """A skipped run shows only why."""
    health = judged(attempt("skipped", error="The audience has a newer state."))
    assert State.UP_TO_DATE is health.state
    assert health.why.endswith("The newest run was skipped: The audience has a newer state.")


def test_a_dry_run_is_no_attempt():
    """It neither ends a failure nor is one."""
    assert State.UP_TO_DATE is judged(attempt("failed", error=REFUSED, dry_run=True)).state
    failed = attempt("failed", NOW - 600, run_id="old", error=REFUSED)
    assert State.FAILING is judged(failed, attempt("finished", dry_run=True)).state


def test_a_task_instance_that_a_record_names_is_not_counted_twice():
    """Airflow calls a dry run failed; the record says that it was one."""
    dry = attempt("failed", error=REFUSED, dry_run=True)
    assert State.UP_TO_DATE is judged(dry, latest=LatestRun(dry.identity, "failed", NOW + 1)).state
