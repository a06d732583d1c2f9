"""The contract that every vendor keeps, held against its simulator."""

from __future__ import annotations

from pathlib import Path

import pytest
from vendors.harness import VendorHarness, people
from vendors.rows import row

from airflow_provider_segexport.errors import (
    AudienceNotFound,
    AuthenticationFailed,
    InvalidFieldMapping,
    JobSlotsFull,
    PermissionDenied,
    RateLimited,
    UnexpectedResponse,
    VendorUnavailable,
)
from airflow_provider_segexport.export.config import PendingJobs
from airflow_provider_segexport.export.pipeline import Export
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.simulator.registry import VENDORS as SIMULATED
from airflow_provider_segexport.vendors.registry import VENDORS

WIRE = Path(__file__).parents[1] / "wire"


def test_a_vendor_can_be_tested(vendor):
    """A vendor comes with its row here, with a simulator, and with samples of its wire."""
    assert row(vendor)
    assert vendor in SIMULATED, f"{vendor} has no row in airflow_provider_segexport/simulator/registry.py."
    assert list((WIRE / vendor).glob("*.json")), f"{vendor} has no wire samples in tests/wire/{vendor}/."


def test_a_vendor_takes_leavers_out(vendor):
    """A person that leaves the segment leaves the audience, at every vendor, without being unsubscribed or deleted."""
    assert VENDORS[vendor].removal, f"{vendor} has no removal: people who leave a segment would stay in its audience."
    assert row(vendor).removal, f"{vendor}'s row in tests/vendors/rows.py does not say which call takes people out."


def test_check_names_account_and_audience(account):
    """Good credentials tell the account; with an audience, its name and size too."""
    alone = account.call(account.vendor.resolve_audience(account.endpoint, None))
    resolved = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
    assert (alone.account, alone.audience, alone.base_url) == (resolved.account, "", resolved.base_url)
    assert (resolved.audience, resolved.audience_name) == (account.audience, account.described["audiences"][0]["name"])
    assert account.vendor.implicit_custom_fields or account.row.custom[0].lower() in resolved.fields
    assert account.vendor.audience_link(resolved).startswith(("https://", "http://127.0.0.1"))
    assert account.upserts() == []


def test_wrong_credentials(account):
    """The error names them, with or without an audience given, in whole sentences."""
    for audience in (None, account.audience):
        with pytest.raises(AuthenticationFailed, match=r"^(?!.*\.\.)"):
            account.call(account.vendor.resolve_audience(account.endpoint, audience), account.row.wrong)


def test_an_unknown_audience(account):
    """An id of the right form that the account lacks, and one that no audience could have."""
    for audience in account.row.unknown_audiences:
        with pytest.raises(AudienceNotFound):
            account.call(account.vendor.resolve_audience(account.endpoint, audience))


def test_a_missing_permission(account):
    """Good credentials that lack a right are no bad credentials, and it shows before anything is sent."""
    account.sim.configure({account.name: account.row.forbidden})
    with pytest.raises(PermissionDenied):
        account.export(account.segment({"email": people(3)}))
    assert account.upserts() == []


def test_upsert(account):
    """Every person arrives once, with their fields; no person is sent a mail or brought back."""
    columns = {"email": people(25), "first": [f"Ann {n}" for n in range(25)], "orders": list(range(25))}
    custom = account.row.custom[0]
    report = account.export(
        account.segment(columns), field_mapping={"first_name": "first"}, custom_fields={custom: "orders"}
    )
    assert report["counts"] == counts(25, delivered=25)
    members = account.members()
    assert sorted(members) == sorted(people(25))
    assert "7" in str(members["p7@example.com"]["fields"])
    assert "Ann 7" in str(members["p7@example.com"])
    assert [account.facts("mails"), account.facts("resubscribed")] == [0, 0]
    assert len(account.upserts()) == 1


def counts(profiles, **others):
    return {
        "profiles": profiles,
        **dict.fromkeys(("delivered", "unchanged", "rejected", "withheld", "not_attempted"), 0),
    } | others


def test_what_is_missing_is_not_sent(account):
    """A null would clear a field at some vendors: it is left out with its key, and what was there stays."""
    segment = account.segment({"email": people(2), "first": ["Ann", "Bob"]})
    account.export(segment, field_mapping={"first_name": "first"})
    account.export(
        account.segment({"email": people(2), "first": ["Zoe", None]}), "later", field_mapping={"first_name": "first"}
    )
    members = account.members()
    assert "Zoe" in str(members["p0@example.com"])
    assert "Bob" in str(members["p1@example.com"])


def test_a_person_that_the_vendor_rejects(account):
    """The row ends with its reason, by file and row; the others are delivered."""
    status, reason = account.row.rejected_status or pytest.skip("this vendor turns nobody away")
    seeded = [{"email": "p2@example.com", "status": status}]
    account.sim.seed(account.name, seeded, account.audience if status != "globallySuppressed" else None)
    report = account.export(account.segment({"email": people(5)}))
    assert report["counts"] == counts(5, delivered=4, rejected=1)
    (rejected,) = account.rejects()
    assert (rejected["file_row"], rejected["email"], rejected["reason"]) == (2, "p2@example.com", str(reason))
    assert account.facts("resubscribed") == 0


def test_a_refused_batch_is_halved(account):
    """One row that fails the whole call is alone in a batch in the end; the others are delivered."""
    account.fault(contains="p3@example.com", refuse=True, count=0)
    report = account.export(account.segment({"email": people(8)}))
    assert report["counts"] == counts(8, delivered=7, rejected=1)
    (rejected,) = account.rejects()
    assert (rejected["file_row"], rejected["reason"]) == (3, "rejected_by_vendor")
    assert rejected["vendor_code"]
    assert sorted(account.members()) == sorted(set(people(8)) - {"p3@example.com"})
    assert len(account.upserts()) == 7


def test_every_way_to_say_later(account):
    """The wait is the one that the vendor asks for, and the batch arrives."""
    for number, quota in enumerate(account.row.quota):
        apart = VendorHarness(account.sim, account.name, account.home / str(number))
        apart.sim.clear_faults()
        apart.fault(**quota.fault)
        report = apart.export(apart.segment({"email": people(3)}), adopt_existing=True)  # no read of the audience
        assert report["counts"]["delivered"] == 3
        assert len(apart.slept) == 1
        assert quota.waits in {None, apart.slept[0]}


def test_a_wait_longer_than_a_minute_is_not_sat_out(account):
    """The run ends with what it has, says when to come again, and goes on then."""
    account.fault(status=429, headers={"Retry-After": "600"}, body={})
    patience = RetryLimits(attempts=1, max_wait_s=0.5)
    with pytest.raises((RateLimited, VendorUnavailable)):
        account.export(account.segment({"email": people(3)}), environment=account.environment(patience=patience))
    assert account.export(account.segment({"email": people(3)}))["counts"] == counts(3, delivered=3)


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": True},
        {"drop": True, "when": "after"},
        {"garble": "html"},
        {"garble": "html", "status": 200},
        {"garble": "truncated", "when": "after"},
        {"status": 500},
    ],
)
def test_a_call_that_breaks_off(account, fault):
    """Before its effect or after it, cut or garbled: the batch goes again and every person is there once."""
    account.fault(**fault)
    report = account.export(account.segment({"email": people(4)}))
    assert report["counts"] == counts(4, delivered=4)
    assert sorted(account.members()) == people(4)
    assert len(account.upserts()) == 2


def test_a_vendor_that_is_down(account):
    """Nothing is lost: the report says what was not attempted, and the next try does it."""
    account.fault(status=503, count=0)
    segment = account.segment({"email": people(4)})
    with pytest.raises(VendorUnavailable):
        account.export(segment, environment=account.environment(patience=RetryLimits(attempts=2)))
    account.sim.clear_faults()
    assert account.export(segment)["counts"] == counts(4, delivered=4)


def test_custom_fields_that_the_account_lacks(account):
    """Named before anything is sent, and made on request."""
    segment = account.segment({"email": people(2), "shop": ["Leeds", "York"]})
    lacking = {account.row.custom[1]: "shop"}
    if account.vendor.implicit_custom_fields:
        pytest.skip("custom fields come into being when they are first sent")
    with pytest.raises(InvalidFieldMapping, match=f"no field '{account.row.custom[1]}'.*create_custom_fields=True"):
        account.export(segment, custom_fields=lacking)
    assert account.upserts() == []
    report = account.export(segment, custom_fields=lacking, create_custom_fields=True)
    assert report["counts"]["delivered"] == 2
    assert "Leeds" in str(account.members()["p0@example.com"]["fields"])


@pytest.fixture
def jobs(account):
    """An account at a vendor that works in jobs."""
    if not account.vendor.limits.max_jobs:
        pytest.skip("this vendor has no jobs")
    return account


def script(jobs, *states):
    jobs.sim.act(jobs.name, "script_jobs", {"scripts": [list(states)]})


def test_a_job_is_waited_for(jobs):
    """As long as it runs it is polled; then its rows have their results."""
    running, done, _, _ = jobs.row.states
    script(jobs, running, running, done)
    assert jobs.export(jobs.segment({"email": people(3)}))["counts"] == counts(3, delivered=3)
    assert len(jobs.paused) == 3


def test_what_a_poll_has_read_is_not_read_again(jobs):
    """A report that came with the state, or an activity that was asked for by itself, costs one call."""
    running, done, _, _ = jobs.row.states
    script(jobs, running, done)
    jobs.export(jobs.segment({"email": people(3)}))
    reads = [
        (call["path"], str(call["query"])) for call in jobs.sim.requests(vendor=jobs.name) if call["method"] == "GET"
    ]
    most = max(reads.count(read) for read in reads)
    assert most == len(jobs.paused) == 2


def test_a_job_that_fails_goes_again(jobs):
    """Whatever the vendor calls it, its rows are sent once more."""
    _, _, failures, _ = jobs.row.states
    for number, failed in enumerate(failures):
        apart = VendorHarness(jobs.sim, jobs.name, jobs.home / str(number))
        script(apart, failed)
        report = apart.export(apart.segment({"email": people(3)}), adopt_existing=True)  # no read of the audience
        assert report["counts"] == counts(3, delivered=3)
    assert len(jobs.upserts()) == 2 * len(failures)


def test_a_job_that_keeps_failing_is_given_up(jobs):
    """Its rows are rejected with that reason after a few tries, and not sent for ever."""
    if not jobs.row.states[2]:
        pytest.skip("this vendor's jobs do not fail as a whole")
    jobs.sim.configure({jobs.name: {"job_states": [jobs.row.states[2][0]]}})
    report = jobs.export(jobs.segment({"email": people(3)}))
    assert report["reasons"] == {"rejected": {"job_failed": 3}}
    assert len(jobs.upserts()) == 4


def test_an_undocumented_job_state(jobs, published):
    """It stops the run loudly, and the job is looked at again by the next try."""
    *_, unknown = jobs.row.states
    script(jobs, unknown)
    segment = jobs.segment({"email": people(3)})
    with pytest.raises(UnexpectedResponse, match=unknown):
        jobs.export(segment)
    published.clear()
    assert jobs.rejects() == []
    assert len(jobs.upserts()) == 1


def test_full_job_slots(jobs):
    """Batches wait until one of the jobs ends; no row is lost."""
    settings, _ = jobs.row.slots or pytest.skip("this vendor names no number of jobs")
    jobs = VendorHarness(jobs.sim, jobs.name, jobs.home, batch_rows=2)
    jobs.sim.configure({jobs.name: settings})
    report = jobs.export(jobs.segment({"email": people(8)}))
    assert report["counts"] == counts(8, delivered=8)


def test_somebody_else_fills_the_job_slots(jobs):
    """The run ends, to be tried again later, with nothing lost."""
    _, full = jobs.row.slots or pytest.skip("this vendor names no number of jobs")
    jobs.fault(status=429, body=full, count=0)
    segment = jobs.segment({"email": people(3)})
    with pytest.raises(JobSlotsFull):
        jobs.export(segment)
    jobs.sim.clear_faults()
    assert jobs.export(segment)["counts"] == counts(3, delivered=3)


def test_waiting_elsewhere(jobs):
    """The run leaves with its job ids, and resumes to results without sending a batch again."""
    jobs = VendorHarness(jobs.sim, jobs.name, jobs.home, batch_rows=2)
    segment = jobs.segment({"email": people(6)})
    environment = jobs.environment(pause=lambda _: False)
    waiting = Export(jobs.vendor, jobs.endpoint, jobs.config(segment), environment).run()
    assert isinstance(waiting, PendingJobs)
    assert (len(waiting.job_ids), waiting.min_done) == (3, 3)
    report = jobs.export(segment)
    assert report["counts"] == counts(6, delivered=6)
    assert len(jobs.upserts()) == 3
