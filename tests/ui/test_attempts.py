"""Which audience an attempt belongs to, without Airflow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ui_factories import DAY, NOW, ledger_path, summary, write_run

from airflow_provider_segexport.plugins import attempts as page_attempts
from airflow_provider_segexport.plugins import audiences
from airflow_provider_segexport.storage.attempts import (
    KEPT_ATTEMPTS,
    Attempt,
    Status,
    attempts,
    attempts_file,
    old_files,
    record,
)

FAILED = Attempt(
    "exports/export/new/0",
    Status.FAILED,
    NOW,
    NOW,
    NOW + 1,
    conn_id="campaign_monitor_default",
    audience="aa11",
    vendor="campaign_monitor",
    code="authentication-failed",
    error="The key is not accepted.",
)


def write(root, attempt: Attempt, argument: str | None = None) -> None:
    """Record an attempt as its run does."""
    dag, task, *_ = attempt.run.split("/")
    record(
        attempts_file(root, attempt.conn_id, attempt.audience if argument is None else argument, f"{dag}/{task}"),
        attempt,
    )


def read(root, may_see=lambda _: True, now=NOW + 2):
    """The pages' view of an attempt."""
    overviews = audiences.list_audiences(root, may_see)
    return overviews, page_attempts.read(root, overviews, may_see, now)


def test_an_attempt_is_read_as_it_was_written_and_replaces_that_of_its_run(tmp_path):
    """The file keeps a month of daily runs, and is for this user alone."""
    file = attempts_file(tmp_path, "c", "a", "d/t")
    for number in range(KEPT_ATTEMPTS + 5):
        record(file, replace(FAILED, run=f"d/t/{number}/0"))
    record(file, replace(FAILED, run="d/t/20/0", status=Status.FINISHED, ledger=("v", "a", "b")))
    stored = attempts(file)
    assert KEPT_ATTEMPTS == len(stored) == len({attempt.run for attempt in stored})
    assert ("d/t/20/0", Status.FINISHED, ("v", "a", "b")) == (stored[-1].run, stored[-1].status, stored[-1].ledger)
    assert 0o600 == file.stat().st_mode & 0o777


def test_the_failure_of_one_of_many_map_indexes_is_kept(tmp_path):
    """The others finish after it."""
    file = attempts_file(tmp_path, "c", "a", "d/t")
    for number in range(5):
        record(file, replace(FAILED, run=f"d/t/day {number}/0", status=Status.FINISHED))
    for index in range(3 * KEPT_ATTEMPTS):
        record(file, replace(FAILED, run=f"d/t/r/{index}", status=Status.FINISHED if index else Status.FAILED))
    stored = attempts(file)
    assert KEPT_ATTEMPTS == len(stored)
    assert "d/t/r/0" in {attempt.run for attempt in stored}
    assert f"d/t/r/{3 * KEPT_ATTEMPTS - 1}" == stored[-1].run


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"attempts": 3}', '{"attempts": [{"run": 5}]}', '{"attempts": [3]}']
)
def test_a_file_that_cannot_be_read_is_written_again(tmp_path, content):
    """Half written, or of another version."""
    file = attempts_file(tmp_path, "c", "a", "d/t")
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert [] == attempts(file)
    record(file, FAILED)
    assert [FAILED] == attempts(file)


@pytest.mark.parametrize("moment", ["1e300", "NaN", "Infinity", "-1", "253402300800"])
@pytest.mark.parametrize("name", ["started_at", "try_started_at", "ended_at"])
def test_an_attempt_with_a_time_that_no_calendar_has_is_left_out(tmp_path, name, moment):
    """No page could show it, and the others of the file stay."""
    file = attempts_file(tmp_path, "c", "a", "d/t")
    record(file, FAILED)
    damaged = f'{{"attempts": [{{"run": "d/t/r/0", "{name}": {moment}}}, '
    file.write_text(file.read_text().replace('{"attempts": [', damaged))
    assert [FAILED] == attempts(file)


def test_a_file_of_nothing_but_brackets_is_damage(tmp_path):
    """JSON that is nested deeper than Python reads."""
    file = attempts_file(tmp_path, "c", "a", "d/t")
    file.parent.mkdir(parents=True)
    file.write_text("[" * 100_000)
    assert [] == attempts(file)


def test_texts_of_a_connection_and_an_argument_lead_to_no_other_folder(tmp_path):
    """A connection id and a tag may hold any character."""
    file = attempts_file(tmp_path, "../../etc", "../x", "d/t")
    assert file.resolve().is_relative_to(tmp_path / "attempts")


@pytest.mark.parametrize("argument", ["aa11", "name:Newsletter"])
def test_a_try_that_failed_first_is_of_the_audience_that_it_names(tmp_path, argument):
    """After an upgrade there are ledgers and no attempts: connection and argument name the audience."""
    write_run(tmp_path, summary(ended_at=NOW - DAY), members=5)
    write(tmp_path, replace(FAILED, audience=argument))
    (overview,), tried = read(tmp_path)
    assert ["The key is not accepted."] == [attempt.error for attempt in tried.by_audience[overview.key]]
    assert () == tried.never_filled


def test_a_try_without_an_argument_is_of_the_audience_of_the_try_before(tmp_path):
    """The connection's default audience was found then."""
    write_run(tmp_path, summary(ended_at=NOW - DAY), members=5)
    ledger = ledger_path(tmp_path, summary()).parts[-3:]
    write(tmp_path, replace(FAILED, run="exports/export/old/0", status=Status.FINISHED, ledger=ledger), argument="")
    write(tmp_path, replace(FAILED, conn_id="campaign_monitor_default"), argument="")
    (overview,), tried = read(tmp_path)
    assert ["old", "new"] == [attempt.identity.run_id for attempt in tried.by_audience[overview.key]]


def test_an_audience_that_no_run_has_filled_is_listed(tmp_path):
    """Wrong credentials from the first day; a month later it is forgotten."""
    write(tmp_path, FAILED)
    _, tried = read(tmp_path)
    (never,) = tried.never_filled
    assert ("aa11", "Campaign Monitor", "campaign_monitor_default") == (never.name, never.vendor, never.conn_id)
    assert () == read(tmp_path, now=NOW + 40 * DAY)[1].never_filled


def test_an_audience_without_a_vendor_is_listed(tmp_path):
    """The connection does not exist, so its vendor is not known."""
    write(tmp_path, replace(FAILED, vendor="", code="invalid-connection"))
    (never,) = read(tmp_path)[1].never_filled
    assert ("", "audience") == (never.vendor, never.word)


def test_an_attempt_of_another_dag_is_not_shown(tmp_path):
    """By the rights of its own run."""
    write_run(tmp_path, summary(run="mine/export/r/0", ended_at=NOW - DAY), members=5)
    write(tmp_path, FAILED)
    overviews, tried = read(tmp_path, lambda run: run.dag_id == "mine")
    assert 1 == len(overviews)
    assert {} == tried.by_audience
    assert () == tried.never_filled


def test_a_dag_that_may_not_write_the_audience_does_not_make_it_fail(tmp_path):
    """Its attempt is listed by itself."""
    write_run(tmp_path, summary(ended_at=NOW - DAY), members=5)
    write(tmp_path, replace(FAILED, run="other/export/new/0", code="connection-not-allowed"))
    _, tried = read(tmp_path)
    assert {} == tried.by_audience
    assert ["other"] == [never.last_run.identity.dag_id for never in tried.never_filled]


def test_a_corrected_argument_is_listed_no_more(tmp_path):
    """A misspelt name was no audience; the same task has exported to another one since."""
    write(tmp_path, replace(FAILED, audience="name:Newsleter", code="audience-not-found"))
    assert 1 == len(read(tmp_path)[1].never_filled)
    finished = replace(
        FAILED, run="exports/export/z/0", status=Status.FINISHED, try_started_at=NOW + 50, ended_at=NOW + 60
    )
    write(tmp_path, finished)
    assert () == read(tmp_path)[1].never_filled


def test_a_task_is_known_by_the_audiences_that_it_exports_to(tmp_path):
    """A templated argument makes several of one task."""
    write_run(tmp_path, summary(), members=5)
    assert [1] == [len(names) for names in read(tmp_path)[1].targets.values()]
    write(tmp_path, replace(FAILED, audience="other"))
    assert [2] == [len(names) for names in read(tmp_path)[1].targets.values()]


def test_files_that_no_run_has_written_for_long_are_old(tmp_path):
    """`airflow segexport prune` deletes them."""
    write(tmp_path, FAILED)
    (file,) = old_files(tmp_path, before=1e12)
    assert file.name.endswith(".json")
    assert [] == list(old_files(tmp_path, before=0.0))
