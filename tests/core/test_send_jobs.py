"""The sending loop and the vendor's jobs: how many at a time, when they are polled, and how their results are read."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from core.factories import batch_of, limited
from core.sending import Vendor, go, names

from airflow_provider_segexport.errors import VendorUnavailable
from airflow_provider_segexport.model import BatchResult, JobId, JobState
from airflow_provider_segexport.stages.send import InFlight, SendCallbacks, Stopped, send


@pytest.fixture
def five():
    return [batch_of(1, start=n) for n in range(5)]


def test_as_many_jobs_as_the_vendor_allows(five):
    """Calls in flight count as jobs to come; a job that ends makes room."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))
    pauses = []
    go(vendor, five, max_concurrency=2, max_jobs=3, pause=lambda jobs: pauses.append(jobs) or True)
    assert (vendor.most_jobs, pauses) == (3, [3, 2])
    replies = Counter(type(reply).__name__ for _, reply in vendor.recorded)
    assert replies == {"JobId": 5, "BatchResult": 5}


def test_a_job_is_polled_until_it_ends(five):
    """A failed job is collected too: its reply says what becomes of its rows."""
    states = [JobState.RUNNING, JobState.RUNNING, JobState.FAILED]
    vendor = Vendor(lambda _: JobId("a"), {"a": states})
    pauses = []
    go(vendor, five[:1], max_jobs=3, pause=lambda jobs: pauses.append(jobs) or True)
    assert [pauses, [type(reply).__name__ for _, reply in vendor.recorded]] == [[1, 1, 1], ["JobId", "BatchResult"]]


def test_where_a_call_tells_of_one_job_several_are_asked_for_at_once(five):
    """Each job once a look, over all connections: one after the other, looks would take the time of the calls."""
    vendor = Vendor(lambda batch: JobId(batch.id))
    together, polled, poll = threading.Barrier(2, timeout=10), [], vendor.poll

    def slow(tickets):
        together.wait()
        polled.append(tickets)
        return poll(tickets)

    vendor.poll = slow
    assert [] == go(vendor, five[:4], max_concurrency=2, max_jobs=4, poll_one_per_call=True)[1]
    assert [2, 2] == [len(part) for part in polled]
    assert {batch.id for batch in five[:4]} == {ticket for part in polled for ticket in part}
    assert 4 == sum(isinstance(reply, BatchResult) for _, reply in vendor.recorded)


def test_jobs_are_looked_at_before_no_room_is_left():
    """While a look is on its way batches go on going out; another one comes when half of the jobs have ended."""
    looks = []

    class Slow(Vendor):
        def poll(self, tickets):
            looks.append((len(tickets), len(self.sent)))
            in_worker = threading.current_thread() is not threading.main_thread()
            assert not in_worker or more.wait(5), "nothing went out while it looked"
            more.clear()
            return super().poll(tickets)

    def answer(batch):
        if looks:
            more.set()
        return JobId(f"job {batch.rows[0]}")

    more = threading.Event()
    vendor = Slow(answer)
    pauses = []
    go(
        vendor,
        [batch_of(1, start=n) for n in range(60)],
        max_concurrency=2,
        max_jobs=20,
        pause=lambda jobs: pauses.append(jobs) or True,
    )
    assert (60, 60) == (len(vendor.sent), len(set(names(vendor))))
    assert 20 >= vendor.most_jobs
    assert [1] == [len(pauses)]
    assert all(16 <= jobs <= 18 for jobs, _ in looks[:-1])


def test_jobs_that_run_on_are_not_looked_at_over_and_over():
    """A look that found little is not made again with every batch: it would take the calls that batches need."""
    waits = {f"job {n}": [JobState.RUNNING, JobState.RUNNING, JobState.FINISHED] for n in range(40)}
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"), waits)
    looks = []
    poll = vendor.poll
    vendor.poll = lambda tickets: looks.append(len(tickets)) or poll(tickets)
    go(vendor, [batch_of(1, start=n) for n in range(40)], max_concurrency=2, max_jobs=20)
    assert 40 == len(vendor.recorded) - len([1 for _, reply in vendor.recorded if isinstance(reply, JobId)])
    assert len(looks) <= 8


def test_an_error_of_a_look_on_the_way_ends_the_sending():
    """Its jobs stay in flight, and the results of the concurrent calls are recorded."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))

    def poll(tickets):
        raise VendorUnavailable("down")

    vendor.poll = poll
    in_flight = InFlight(iter([batch_of(1, start=n) for n in range(40)]))
    calls = SendCallbacks(vendor.upsert, vendor.poll, vendor.collect, vendor.announced.extend, vendor.answered)
    with pytest.raises(Stopped, match="down"):
        send(in_flight, calls, limited(max_concurrency=2, max_jobs=20).limits, pause=lambda _: True, stop=lambda: None)
    assert set(in_flight.jobs) == {f"job {batch.rows[0]}" for batch in vendor.sent}


def test_results_of_jobs_are_read_side_by_side(five):
    """As many at a time as the vendor bears calls; one after the other they would leave its quota unused."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))
    together = threading.Barrier(2, timeout=5)

    def collect(batch, ticket):
        if ticket != "job 4":  # five is odd
            together.wait()
        return BatchResult()

    vendor.collect = collect
    in_flight, left = go(vendor, five, max_concurrency=2, max_jobs=9)
    assert ([], True) == (left, in_flight.done)
    assert [0, 1, 2, 3, 4] == sorted(
        batch.rows[0] for batch, reply in vendor.recorded if isinstance(reply, BatchResult)
    )


def test_a_result_that_cannot_be_read_leaves_its_job_in_flight(five):
    """The others are recorded; the next try reads it."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))

    def collect(_, ticket):
        if ticket == "job 3":
            raise VendorUnavailable("down")
        return BatchResult()

    vendor.collect = collect
    with pytest.raises(Stopped, match="down"):
        go(vendor, five, max_concurrency=5, max_jobs=9)
    assert 3 not in [batch.rows[0] for batch, reply in vendor.recorded if isinstance(reply, BatchResult)]


def test_waiting_elsewhere(five):
    """When `pause` says to leave, the tickets are handed back and nothing more is sent."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))
    in_flight, tickets = go(vendor, five, max_concurrency=2, max_jobs=3, pause=lambda _: False)
    assert sorted(tickets) == ["job 0", "job 1", "job 2"]
    assert not in_flight.exhausted


def test_jobs_of_an_earlier_try_are_adopted(five):
    """A batch whose job runs already is not sent again, and takes its place among the jobs."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))
    vendor.running = {"old": [JobState.RUNNING, JobState.FINISHED]}
    go(vendor, [(five[0], "old"), *five[1:4]], max_jobs=2, max_concurrency=2)
    assert sorted(batch.rows[0] for batch in vendor.sent) == [1, 2, 3]
    assert Counter(names(vendor)) == {0: 1, 1: 2, 2: 2, 3: 2}
    assert vendor.most_jobs == 2


@pytest.mark.parametrize("operation", ["poll", "collect"])
def test_an_error_while_looking_after_jobs(five, operation):
    """A poll that fails ends the try; the tickets stay in the journal."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))

    def fail(*_):
        raise VendorUnavailable("down")

    setattr(vendor, operation, fail)
    with pytest.raises(Stopped, match="down"):
        go(vendor, five, max_jobs=9)
