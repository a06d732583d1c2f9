"""How the job of a batch is found whose call had no answer, at every vendor that has a trace of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from vendors.batches import upserts
from vendors.harness import people
from vendors.removals import RemovalRunner

from airflow_provider_segexport.model import BatchKind, JobState, batch_id


@pytest.fixture
def lost(account):
    """An account at a vendor where jobs can be found again."""
    if not account.vendor.find_lost_jobs:
        pytest.skip("this vendor keeps no trace by which a job could be found")
    return account


def batch(account, *emails):
    return upserts(account.name, account.audience, emails)


def target(account):
    return account.call(account.vendor.resolve_audience(account.endpoint, account.audience))


def send(account, batch):
    """The ticket of a batch that the vendor took."""
    return account.call(account.vendor.upsert(target(account), batch))


def lost_jobs(account, *batches, since=None, known_ids=()):
    """The jobs that the vendor lists for batches of a run that began, with its check, at a time."""
    since = account.sim.clock.now() if since is None else since
    checked = target(account)
    checked = replace(checked, extra={**checked.extra, "checked_at": str(int(since))})
    return account.call(account.vendor.find_lost_jobs(checked, batches, since, frozenset(known_ids)))


def test_a_batch_that_became_a_job(lost):
    """Its job is listed, and leads to the result as if the response had arrived."""
    sent = batch(lost, "p0@example.com", "p1@example.com", "bad..@example", "p3@example.com")
    since = lost.sim.clock.now()
    ticket = send(lost, sent)
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, sent, since=since) == {sent.id: ticket}
    (state,) = lost.call(lost.vendor.poll(target(lost), [ticket.id])).values()
    assert state is JobState.FINISHED
    settled = lost.call(lost.vendor.collect(target(lost), sent, ticket.id))
    assert [refused.index for refused in settled.rejected] == [2]


def test_a_job_that_is_not_done(lost):
    """It is waited for a little, as long as the vendor does not list it."""
    sent = batch(lost, *people(5))
    since = lost.sim.clock.now()
    ticket = send(lost, sent)
    assert lost_jobs(lost, sent, since=since) == {sent.id: ticket}


def test_a_job_that_takes_long(lost):
    """The lookup comes to an end, and the batch goes out again if nothing is proven of it."""
    lost.sim.configure({lost.name: {"job_seconds": 3600}})
    sent = batch(lost, *people(5))
    since = lost.sim.clock.now()
    ticket = send(lost, sent)
    assert lost_jobs(lost, sent, since=since) in ({}, {sent.id: ticket})
    assert sum(lost.slept) < 60


def test_a_batch_that_never_arrived(lost):
    """It has no job, whatever others have sent."""
    since = lost.sim.clock.now()
    send(lost, batch(lost, "somebody@example.com", "else@example.com"))
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, batch(lost, *people(5)), since=since) == {}
    assert lost_jobs(lost, since=since) == {}


def test_several_batches(lost):
    """Each has its own job; those of others are not taken for it."""
    since = lost.sim.clock.now()
    sizes = [batch(lost, *people(5)[:size]) for size in (2, 3, 4)]
    tickets = [send(lost, batch_sent) for batch_sent in sizes]
    send(lost, batch(lost, "somebody@example.com"))
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, *sizes, since=since) == {
        batch_sent.id: ticket for batch_sent, ticket in zip(sizes, tickets, strict=True)
    }


def test_jobs_that_look_alike(lost):
    """A vendor that lists the content of a batch identifies it."""
    since = lost.sim.clock.now()
    ours = batch(lost, *people(3))
    ticket = send(lost, ours)
    send(lost, batch(lost, "x@example.com", "y@example.com", "z@example.com"))
    lost.sim.clock.advance(30)
    listed = lost_jobs(lost, ours, since=since)
    assert listed == {ours.id: ticket}


def test_a_job_that_is_known(lost):
    """It is another batch's, whose response arrived: without that one, batches that look alike are distinguishable."""
    since = lost.sim.clock.now()
    ours, other = batch(lost, *people(3)), batch(lost, "x@example.com", "y@example.com", "z@example.com")
    theirs = send(lost, other)
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, ours, since=since, known_ids=[theirs.id]) == {}
    ticket = send(lost, ours)
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, ours, since=since, known_ids=[theirs.id]) == {ours.id: ticket}


def test_two_batches_for_one_job(lost):
    """A job is never assigned to two batches."""
    since = lost.sim.clock.now()
    first, second = batch(lost, *people(3)), batch(lost, "x@example.com", "y@example.com", "z@example.com")
    ticket = send(lost, first)
    lost.sim.clock.advance(30)
    listed = lost_jobs(lost, first, second, since=since)
    assert listed == {first.id: ticket}


def test_a_job_of_earlier(lost):
    """The same people were sent before, by another run: that job is not this batch's."""
    sent = batch(lost, *people(3))
    send(lost, sent)
    lost.sim.clock.advance(3600)
    assert lost_jobs(lost, sent) == {}


def test_a_job_of_just_before(lost):
    """A run that ended a minute before this one began had the same people and values, and one between them others."""
    sent = batch(lost, *people(3))
    send(lost, sent)
    lost.sim.clock.advance(20)
    items = [item.removesuffix("}") + ',"firstName":"Ann"}' for item in sent.items]
    send(lost, replace(sent, id=batch_id(items), items=items))
    lost.sim.clock.advance(20)
    checked, since = target(lost), lost.sim.clock.now()
    assert {} == lost.call(lost.vendor.find_lost_jobs(checked, [sent], since, frozenset()))
    ticket = send(lost, sent)
    assert {sent.id: ticket} == lost.call(lost.vendor.find_lost_jobs(checked, [sent], since, frozenset()))


def test_a_job_with_other_values(lost):
    """The same people were sent just before, with other values: taken for this batch, the new ones would be lost."""
    send(lost, batch(lost, *people(3)))
    lost.sim.clock.advance(30)
    sent = batch(lost, *people(3))
    items = [item.removesuffix("}") + ',"firstName":"Ann"}' for item in sent.items]
    ours = replace(sent, id=batch_id(items), items=items)
    assert lost_jobs(lost, ours, since=lost.sim.clock.now() - 31) == {}
    ticket = send(lost, ours)
    lost.sim.clock.advance(30)
    assert lost_jobs(lost, ours, since=lost.sim.clock.now() - 61) == {ours.id: ticket}


def test_a_job_that_failed(lost):
    """There is nothing to wait for: its batch goes out again."""
    failed = lost.row.states[2]
    if not failed:
        pytest.skip("this vendor's jobs do not fail as a whole")
    lost.sim.act(lost.name, "script_jobs", {"scripts": [[failed[0]]]})
    sent = batch(lost, *people(3))
    since = lost.sim.clock.now()
    send(lost, sent)
    assert lost_jobs(lost, sent, since=since) == {}


def test_a_removal(lost):
    """It is found where removals are jobs, and an import of as many people is not taken for it."""
    lost.sim.seed(lost.name, [{"email": email} for email in people(3)], lost.audience)
    lost.members()
    leaving, since = RemovalRunner(lost), lost.sim.clock.now()
    leavers = leaving.batch(people(3))
    send(lost, batch(lost, "x@example.com", "y@example.com", "z@example.com"))
    ticket = lost.call(leaving.removal.remove(leaving.target, leavers))
    lost.sim.clock.advance(30)
    listed = lost_jobs(lost, leavers, since=since)
    assert listed == ({leavers.id: ticket} if leaving.removal.limits.max_jobs else {})
    revived = upserts(lost.name, lost.audience, people(3), BatchKind.REVIVE)
    assert lost_jobs(lost, revived, since=since) == {}
