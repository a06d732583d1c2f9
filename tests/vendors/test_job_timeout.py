"""Jobs that do not end: a run waits for `job_timeout` and no longer, and the next run reads them."""

from __future__ import annotations

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import JobsTooLong

HOUR = 3600.0
FOR_EVER = 1e9


@pytest.fixture(params=("constant_contact", "dotdigital", "omnisend"))
def account(sim, request, tmp_path):
    """An account whose jobs do not end."""
    harness = VendorHarness(sim, request.param, tmp_path)
    sim.configure({harness.name: {"job_seconds": FOR_EVER}})
    return harness


def hourly(account: VendorHarness, *, dies_after: int = 10**6):
    """A pause of an hour, and how often it was made; the worker may die after some."""
    pauses: list[int] = []

    def pause(jobs: int) -> bool:
        pauses.append(jobs)
        if len(pauses) > dies_after:
            raise KeyboardInterrupt
        account.sim.clock.advance(HOUR)
        return True

    return pauses, pause


def test_a_run_whose_jobs_do_not_end_fails_and_names_them(account: VendorHarness):
    """The message has the jobs' ids, the limit, and what becomes of the jobs; the report has it too."""
    pauses, pause = hourly(account)
    with pytest.raises(JobsTooLong) as raised:
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    assert len(pauses) == 6
    message = str(raised.value)
    journal = (account.home / "runs" / "day-1" / "01" / "journal.jsonl").read_text()
    ticket = journal.split('"job_id":"')[1].split('"')[0]
    for part in (ticket, "`job_timeout` is 6 h", "the next run to this audience", "To fix: "):
        assert part in message


def test_the_audience_is_free_afterwards(account: VendorHarness):
    """Another run may write it at once."""
    _, pause = hourly(account)
    with pytest.raises(JobsTooLong):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    account.sim.configure({account.name: {"job_seconds": 1}})
    assert account.day(2, people(2))["counts"]["delivered"] == 2


def test_the_next_run_reads_the_results_of_jobs_that_ended_late(sim, tmp_path):
    """A day later the job has ended: its people's results are known, and no person is sent twice."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    sim.configure({account.name: {"job_seconds": 8 * HOUR}})
    _, pause = hourly(account)
    with pytest.raises(JobsTooLong):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    sim.clock.advance(24 * HOUR)
    sent = len(account.upserts())
    assert account.day(2, people(3))["counts"]["unchanged"] == 3
    assert len(account.upserts()) == sent


def test_the_time_counts_over_tries(account: VendorHarness):
    """A worker dies after four hours; its retry waits for two more."""
    _, pause = hourly(account, dies_after=4)
    with pytest.raises(KeyboardInterrupt):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    sent = len(account.upserts())
    pauses, pause = hourly(account)
    with pytest.raises(JobsTooLong):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    assert len(pauses) in {2, 3}  # the lease of the dead worker may have to pass
    assert len(account.upserts()) == sent


def test_a_cleared_task_looks_once_more(sim, tmp_path):
    """The job has ended in the meantime: the try delivers, although the timeout has passed."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    sim.configure({account.name: {"job_seconds": 8 * HOUR}})
    _, pause = hourly(account)
    with pytest.raises(JobsTooLong):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    with pytest.raises(JobsTooLong):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause))
    sim.clock.advance(3 * HOUR)
    assert account.day(1, people(3), environment=account.environment("day-1", pause=pause))["counts"]["delivered"] == 3


def test_job_timeout_is_the_exports_own(account: VendorHarness):
    """Two hours in place of six."""
    pauses, pause = hourly(account)
    with pytest.raises(JobsTooLong, match="`job_timeout` is 2 h"):
        account.day(1, people(3), environment=account.environment("day-1", pause=pause), job_timeout=2 * HOUR)
    assert len(pauses) == 2


def test_jobs_that_take_people_out_are_bounded_as_well(sim, tmp_path):
    """A removal that does not end stops a mirror; the next run reads it."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    account.day(1, people(3))
    sim.configure({account.name: {"job_seconds": FOR_EVER}})
    _, pause = hourly(account)
    with pytest.raises(JobsTooLong):
        account.day(2, people(2), environment=account.environment("day-2", pause=pause), mode="mirror")
    sim.configure({account.name: {"job_seconds": 1}})
    account.day(3, people(3), mode="mirror")
    assert {"p0@example.com", "p1@example.com"} <= account.active()


def test_a_long_export_of_many_short_jobs_is_not_stopped(sim, tmp_path):
    """The limit is for each job: the whole export may take longer."""
    account = VendorHarness(sim, "dotdigital", tmp_path, batch_rows=1, max_jobs=1)
    sim.configure({account.name: {"job_seconds": 2 * HOUR}})
    _, pause = hourly(account)
    report = account.day(1, people(5), environment=account.environment("day-1", pause=pause), job_timeout=3 * HOUR)
    assert report["counts"]["delivered"] == 5
