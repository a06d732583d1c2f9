"""The guard `max_rejected_share` while a run sends: each row has a result, or was not sent."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import GuardTripped
from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.model import BatchResult, JobState, Reason, RowRejection

NAMES_ROWS = ("constant_contact", "dotdigital")


def refusing(account: VendorHarness, first: int) -> None:
    """The vendor rejects all rows from a number on."""

    def collect(_target, batch, _ticket):
        refused = [
            RowRejection(at, Reason.REJECTED_BY_VENDOR, "", "no") for at, row in enumerate(batch.rows) if row >= first
        ]
        return BatchResult(rejected=tuple(refused))
        yield  # an operation is a generator

    account.vendor = replace(account.vendor, collect=collect, embedded_job_reads=None)


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_a_run_that_the_guard_stops_has_a_verdict_for_every_row_that_it_sent(sim, tmp_path, name):
    """Four jobs of 100 rows, all of them refused: two go out, both are counted, and the rest stays here."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100)
    refusing(account, 0)
    with pytest.raises(GuardTripped, match="200 of the first 200 rows"):
        account.export(account.segment({"email": people(400)}))
    assert len(account.upserts()) == 2
    counts = account.latest_summary()["counts"]
    assert (counts["rejected"], counts["not_attempted"]) == (200, 200)


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_a_job_that_ends_before_the_other_makes_no_room_for_a_third(sim, tmp_path, name):
    """The first hundred rejected rows do not let other rows out before the second hundred have a result."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100)

    def collect(_audience, batch, _job_id):
        deadline = time.monotonic() + 0.3
        while min(batch.rows) >= 100 and len(account.upserts()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        return BatchResult(
            rejected=tuple(RowRejection(at, Reason.REJECTED_BY_VENDOR, "", "no") for at in range(len(batch)))
        )
        yield  # an operation is a generator

    account.vendor = replace(account.vendor, collect=collect, embedded_job_reads=None)
    with pytest.raises(GuardTripped, match="200 of the first 200 rows"):
        account.export(account.segment({"email": people(400)}))
    assert len(account.upserts()) == 2


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_jobs_that_run_when_the_guard_trips_are_waited_for(sim, tmp_path, name):
    """The first rows are good; of those that follow, in several jobs at once, all that went out have a result."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100, max_jobs=3)
    refusing(account, 200)
    with pytest.raises(GuardTripped):
        account.export(account.segment({"email": people(900)}))
    counts = account.latest_summary()["counts"]
    assert counts["not_attempted"] == 900 - 100 * len(account.upserts())
    assert counts["delivered"] == 200


def test_a_good_run_is_not_held_back_after_its_first_verdicts(sim, tmp_path):
    """All rows go out; only the first 200 were waited for."""
    account = VendorHarness(sim, "omnisend", tmp_path)
    report = account.export(account.segment({"email": people(1000)}))
    assert report["counts"]["delivered"] == 1000


def one_at_a_time(account: VendorHarness) -> None:
    """A look finds one job ended at most."""
    look = account.vendor.poll

    def poll(target, tickets):
        return dict.fromkeys(tickets, JobState.RUNNING) | (yield from look(target, tickets[:1]))

    account.vendor = replace(account.vendor, poll=poll)


def dies(_: int) -> bool:
    raise KeyboardInterrupt


def to_the_end(account: VendorHarness, rows: int, waits: int = 0) -> dict[str, int]:
    """Export; the run looks once at its jobs, and gives its place back when it would wait again. Returns the counts."""
    segment = account.segment({"email": people(rows)})
    while True:
        looks = iter([True])
        environment = account.environment(pause=lambda _, looks=looks: next(looks, False))
        try:
            report = Export(account.vendor, account.endpoint, account.config(segment), environment).run()
        finally:
            environment.http.close()
        if not isinstance(report, PendingJobs):
            return report["counts"]
        waits += 1
        assert waits < 20
        account.sim.clock.advance(60)


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_a_deferral_begins_no_new_count(sim, tmp_path, name):
    """200 of 800 rows are refused, all of them after the last deferral: below the limit of 0.3, by all rows."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100, max_jobs=2)
    refusing(account, 600)
    counts = to_the_end(account, 800)
    assert (counts["delivered"], counts["rejected"]) == (600, 200)


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_a_run_that_waits_elsewhere_when_the_guard_trips_has_a_verdict_for_what_it_sent(sim, tmp_path, name):
    """The guard trips while jobs run, and the task is deferred: their rows are not called `not_attempted`."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100, max_jobs=4)
    refusing(account, 200)
    one_at_a_time(account)
    with pytest.raises(GuardTripped):
        to_the_end(account, 900)
    counts = account.latest_summary()["counts"]
    assert counts["not_attempted"] == 900 - 100 * len(account.upserts()) > 0
    assert counts["delivered"] == 200


@pytest.mark.parametrize("name", NAMES_ROWS)
def test_rows_in_flight_when_a_worker_died_are_judged_by_the_next_try(sim, tmp_path, name):
    """Both jobs are read again, and the guard trips by their results."""
    account = VendorHarness(sim, name, tmp_path, batch_rows=100)
    refusing(account, 0)
    segment = account.segment({"email": people(400)})
    with pytest.raises(KeyboardInterrupt):
        account.export(segment, environment=account.environment(pause=dies))
    with pytest.raises(GuardTripped, match="200 of the first 200 rows"):
        account.export(segment)
    counts = account.latest_summary()["counts"]
    assert (counts["rejected"], counts["not_attempted"], len(account.upserts())) == (200, 200, 2)
