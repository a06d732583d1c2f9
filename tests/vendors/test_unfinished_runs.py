"""A run that ended before its jobs did: the next run of the audience waits for them, and plans on what they did."""

from __future__ import annotations

import re

import pytest
from vendors.harness import VendorHarness, people

from airflow_provider_segexport.errors import RetryableError, SegexportError, StaleSnapshot, VendorUnavailable
from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.model import BatchKind
from airflow_provider_segexport.storage.sealing import with_checksum

WITH_JOBS = ("constant_contact", "dotdigital", "omnisend")
JOB_S = 600


@pytest.fixture(params=WITH_JOBS)
def account(sim, request, tmp_path):
    """An account whose jobs take ten minutes."""
    harness = VendorHarness(sim, request.param, tmp_path)
    sim.configure({harness.name: {"job_seconds": JOB_S}})
    return harness


def dies(_: int) -> bool:
    raise KeyboardInterrupt


def leaves(_: int) -> bool:
    return False


def die(account: VendorHarness, number: int, emails: list[str], **options) -> None:
    """Run a day's export until it would wait for its jobs; there the worker is killed."""
    name = options.pop("name", f"day-{number}")
    with pytest.raises(KeyboardInterrupt):
        account.day(number, emails, name=name, environment=account.environment(name, pause=dies), **options)
    account.sim.clock.advance(180)
    account.sim.configure({account.name: {"job_seconds": 1}})  # jobs handed in from now on overtake it


def names(account: VendorHarness) -> dict[str, str]:
    """First name at the vendor, by address."""
    return {
        email: str(next((v for k, v in member["fields"].items() if k.lower().replace("_", "") == "firstname"), ""))
        for email, member in account.members().items()
    }


def test_a_newer_mirror_removes_the_people_that_a_dead_runs_job_adds(account: VendorHarness):
    """Killed while its import runs; three minutes later comes a mirror without its people: one remains."""
    die(account, 1, people(30))
    report = account.day(2, people(1))
    account.sim.clock.advance(2 * JOB_S)
    assert account.active() == {"p0@example.com"}
    assert {email for email, row in account.ledger().items() if row["state"] == "member"} == {"p0@example.com"}
    assert (report["removals"]["planned"], report["removals"]["removed"]) == (29, 29)


def test_old_values_do_not_overwrite_newer_ones(account: VendorHarness):
    """The dead run's job ends before the newer values go out."""
    die(account, 1, people(2), first=dict.fromkeys(people(2), "Old"))
    account.day(2, people(2), first=dict.fromkeys(people(2), "New"))
    account.sim.clock.advance(2 * JOB_S)
    assert set(names(account).values()) == {"New"}


def test_a_deferrable_run_leaves_its_worker_while_it_waits_for_them(account: VendorHarness):
    """It names the jobs and where they run, sends nothing, and goes on when they have ended."""
    die(account, 1, people(30))
    sent = len(account.upserts())
    segment = account.segment({"email": people(1), "first": ["Same"]})
    order = account.config(
        segment,
        as_of="2026-01-02T00:00:00Z",
        by="dag/task/day-2/0",
        mode="mirror",
        field_mapping={"first_name": "first"},
    )
    environment = account.environment("day-2", pause=leaves)
    pending = Export(account.vendor, account.endpoint, order, environment).run()
    environment.http.close()
    assert isinstance(pending, PendingJobs)
    assert (len(pending.job_ids), pending.kind, pending.audience) == (1, BatchKind.UPSERT, account.audience)
    assert pending.base_url
    assert len(account.upserts()) == sent
    account.sim.clock.advance(JOB_S)
    account.day(2, people(1))
    assert account.active() == {"p0@example.com"}


@pytest.mark.parametrize("name", ["constant_contact", "dotdigital"])
def test_a_removal_job_does_not_overtake_a_person_who_is_back(sim, tmp_path, name):
    """Killed while the removal runs: the person returns the next day, and is in the audience at the end."""
    account = VendorHarness(sim, name, tmp_path)
    account.day(1, people(3))
    sim.configure({account.name: {"job_seconds": JOB_S}})
    die(account, 2, people(2))
    account.day(3, people(3))
    account.sim.clock.advance(2 * JOB_S)
    assert account.active() == set(people(3))


def test_a_run_that_failed_while_its_jobs_ran_is_waited_for_too(account: VendorHarness):
    """It wrote its report and what it knew; the jobs that it could not wait for are looked at by the next run."""

    def fails(_: int) -> bool:
        raise VendorUnavailable("The vendor is down.")

    with pytest.raises(VendorUnavailable):
        account.day(1, people(30), environment=account.environment("day-1", pause=fails))
    account.sim.clock.advance(180)
    account.day(2, people(1))
    account.sim.clock.advance(2 * JOB_S)
    assert account.active() == {"p0@example.com"}


def test_its_own_retry_still_goes_on_where_it_stopped(account: VendorHarness):
    """Nothing is sent twice, and no other run is in between."""
    die(account, 1, people(30))
    sent = len(account.upserts())
    assert account.day(1, people(30))["counts"]["delivered"] == 30
    assert len(account.upserts()) == sent


def test_an_older_snapshot_is_refused_after_the_jobs_were_waited_for(account: VendorHarness):
    """The audience was begun to be brought to a newer state."""
    die(account, 2, people(3))
    with pytest.raises(StaleSnapshot):
        account.day(1, people(2))
    assert {row["state"] for row in account.ledger().values()} == {"member"}


def test_jobs_that_cannot_be_asked_for_hold_the_run_back(account: VendorHarness):
    """The vendor is out of reach: the run tries again later, and sends nothing before it knows."""
    die(account, 1, people(3))
    sent = len(account.upserts())
    fault = {"vendor": account.name, "method": "GET", "path": account.row.job_path, "status": 500}
    account.sim.faults([{**fault, "body": {}, "count": 0}])
    with pytest.raises(SegexportError):
        account.day(2, ["new@example.com"], environment=account.environment("day-2", patience=RetryLimits(attempts=1)))
    assert len(account.upserts()) == sent
    account.sim.clear_faults()
    account.day(2, ["new@example.com"])
    account.sim.clock.advance(2 * JOB_S)
    assert account.active() == {"new@example.com"}


def test_a_job_that_the_vendor_has_forgotten_holds_nothing_back(account: VendorHarness):
    """Its rows count as perhaps there, with unknown content: they are sent again, or taken out."""
    die(account, 1, people(3))
    account.sim.clock.advance(2 * JOB_S)
    journal = account.home / "runs" / "day-1" / "01" / "journal.jsonl"
    gone = re.sub(rb'"job_id":"[^"]+"', b'"job_id":"00000000-0000-4000-8000-000000000000"', journal.read_bytes())
    bare = re.sub(rb',"checksum":"[^"]+"', b"", gone)
    journal.write_bytes(b"".join(with_checksum(line) + b"\n" for line in bare.splitlines()))
    report = account.day(2, people(2))
    assert report["counts"]["delivered"] == 2
    assert account.active() == set(people(2))


def test_a_job_that_never_ends_is_waited_for_so_long_and_no_longer(sim, tmp_path):
    """After six hours the run goes on; what the job holds counts as perhaps there."""
    account = VendorHarness(sim, "dotdigital", tmp_path)
    sim.configure({account.name: {"job_seconds": 1e9}})
    die(account, 1, people(3))
    waited = []

    def hourly(jobs: int) -> bool:
        waited.append(jobs)
        sim.clock.advance(3600)
        return len(waited) < 20

    report = account.day(2, people(2), environment=account.environment("day-2", pause=hourly))
    assert report["counts"]["delivered"] == 2
    assert 6 <= len(waited) <= 8


def test_a_person_put_in_by_the_dead_run_is_unchanged_for_the_next(account: VendorHarness):
    """Rows that its jobs accepted have a result like any other: they are not sent again."""
    die(account, 1, people(3))
    report = account.day(2, people(3))
    assert (report["counts"]["unchanged"], report["counts"]["delivered"]) == (3, 0)


def test_a_retry_does_not_forget_another_run_that_broke_off_since(account: VendorHarness):
    """Its plan is discarded, and the new plan recovers the other export's run, whose people are removed later."""
    daily, vip = ({"export_name": name, "allow_shared_audience": True} for name in ("daily", "vip"))
    account.day(1, people(1), name="first", **daily)
    account.fault(status=503)
    with pytest.raises(VendorUnavailable):
        account.day(2, people(2), environment=account.environment("day-2", patience=RetryLimits(attempts=1)), **daily)
    die(account, 2, ["new@example.com"], name="other", **vip)
    with pytest.raises(RetryableError, match="The next try makes a new plan"):
        account.day(2, people(2), **daily)
    account.day(2, people(2), **daily)
    account.sim.clock.advance(2 * JOB_S)
    assert account.active() == {*people(2), "new@example.com"}
    account.day(3, people(1), **vip)
    assert account.active() == set(people(2))
