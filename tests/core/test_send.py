"""The sending loop, against vendors that are a function."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from core.factories import batch_of, limited

from airflow_provider_segexport.errors import BatchRejected, FatalError, JobSlotsFull, VendorUnavailable
from airflow_provider_segexport.http import concurrency
from airflow_provider_segexport.model import BatchResult, JobId, JobState
from airflow_provider_segexport.stages import send as loop
from airflow_provider_segexport.stages.send import InFlight, SendCallbacks, Stopped, send


class Vendor:
    """Answers each batch with what `answer` makes of it; keeps the sent batches, the replies and the concurrency."""

    def __init__(self, answer=lambda _: BatchResult(), jobs=None):
        self.answer = answer
        self.jobs = jobs or {}
        self.lock = threading.Lock()
        self.open = self.most_open = self.most_jobs = 0
        self.sent, self.announced, self.recorded = [], [], []
        self.instead = {}
        self.running = {}

    def upsert(self, batch):
        with self.lock:
            assert batch in self.announced, "intent comes before the act"
            self.sent.append(batch)
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            reply = self.answer(batch)
            if isinstance(reply, BaseException):
                raise reply
        finally:
            with self.lock:
                self.open -= 1
        if isinstance(reply, JobId):
            with self.lock:
                self.running[reply.id] = list(self.jobs.get(reply.id, [JobState.FINISHED]))
                self.most_jobs = max(self.most_jobs, len(self.running))
        return reply

    def poll(self, tickets):
        return {ticket: self.running[ticket].pop(0) for ticket in tickets}

    def collect(self, batch, ticket):
        del self.running[ticket]
        return BatchResult()

    def answered(self, batch, reply):
        self.recorded.append((batch, reply))
        return self.instead.pop(batch.id, [])


def go(vendor, batches, *, pause=lambda _: True, stop=lambda: None, **limits):
    in_flight = InFlight(iter(batches))
    calls = SendCallbacks(vendor.upsert, vendor.poll, vendor.collect, vendor.announced.extend, vendor.answered)
    try:
        return in_flight, send(in_flight, calls, limited(**limits).limits, pause=pause, stop=stop)
    finally:
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("segexport_")]


@pytest.fixture
def five():
    return [batch_of(1, start=n) for n in range(5)]


def names(vendor):
    return [batch.rows[0] for batch, _ in vendor.recorded]


def test_every_batch_goes_out_once_and_is_recorded(five):
    """Answers at once need neither job nor pause."""
    vendor = Vendor()
    _, tickets = go(vendor, five, pause=lambda _: pytest.fail("nothing to wait for"))
    assert tickets == []
    assert sorted(names(vendor)) == [0, 1, 2, 3, 4]


def test_nothing_to_send():
    """An empty plan ends at once."""
    assert go(Vendor(), [])[1] == []


def test_as_many_calls_as_the_vendor_allows(five):
    """Two connections carry two calls at a time, and not three."""
    gate = threading.Barrier(2, timeout=5)

    def answer(batch):
        if batch.rows[0] < 4:
            gate.wait()
        return BatchResult()

    vendor = Vendor(answer)
    go(vendor, five, max_concurrency=2)
    assert vendor.most_open == 2


def test_one_call_at_a_time_where_answers_come_at_once(monkeypatch):
    """A second thread would only wait for the first one's turn to compute."""
    monkeypatch.setattr(concurrency, "SLOW_RESPONSE_S", 5.0)  # on a machine that is busy an answer may take its time
    vendor = Vendor()
    go(vendor, [batch_of(1, start=n) for n in range(40)], max_concurrency=4)
    assert (vendor.most_open, len(vendor.recorded)) == (1, 40)


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


def test_batches_that_go_out_instead(five):
    """Halves of a refused batch and rows to be sent again go before what was not sent yet, halves first of all."""
    vendor = Vendor(lambda batch: BatchRejected("400", "") if len(batch) == 4 else BatchResult())
    refused = batch_of(4, start=10)
    again = batch_of(1, start=20, generation=1)
    vendor.instead = {refused.id: list(refused.halves()), five[0].id: [refused, again]}
    go(vendor, five, max_concurrency=1)
    assert [batch.rows[0] for batch in vendor.sent] == [0, 10, 10, 12, 20, 1, 2, 3, 4]


def test_full_slots_wait_for_a_job_of_ours(five):
    """No batch is lost when the vendor takes no further job: it goes out when one ends."""
    left = iter([JobId("a"), JobSlotsFull("25 run already")])
    states = {"a": [JobState.RUNNING, JobState.FINISHED]}
    vendor = Vendor(lambda batch: next(left, None) or JobId(f"job {batch.rows[0]}"), states)
    pauses = []
    go(vendor, five, max_jobs=9, max_concurrency=1, pause=lambda jobs: pauses.append(jobs) or True)
    assert Counter(names(vendor)) == dict.fromkeys(range(5), 2)
    assert [batch.rows[0] for batch in vendor.sent] == [0, 1, 1, 2, 3, 4]


def test_full_slots_and_no_job_of_ours(five):
    """Another program's jobs fill the account: no job of this run will free a slot, so another try must."""
    with pytest.raises(Stopped) as caught:
        go(Vendor(lambda _: JobSlotsFull("25 run already")), five, max_jobs=9, max_concurrency=2)
    assert isinstance(caught.value.error, JobSlotsFull)


def test_full_slots_while_the_last_call_is_refused(five):
    """The loop ends also when the call that might have become a job did not."""
    gate = threading.Barrier(2, timeout=5)
    first = five[0].id

    def answer(batch):
        if vendor.recorded:
            return JobSlotsFull("25 run already")
        gate.wait()
        return BatchRejected("400", "") if batch.id == first else JobSlotsFull("25 run already")

    vendor = Vendor(answer)
    vendor.instead = {first: [batch_of(1, start=9)]}
    with pytest.raises(Stopped) as caught:
        go(vendor, five, max_jobs=9, max_concurrency=2)
    assert isinstance(caught.value.error, JobSlotsFull)


def test_an_error_keeps_the_results_of_the_other_calls(five):
    """One of two calls in flight fails: the other's result is recorded, and the failed batch is left for a retry."""
    gate = threading.Barrier(2, timeout=5)
    failing = five[1].id

    def answer(batch):
        gate.wait()
        return VendorUnavailable("down") if batch.id == failing else BatchResult()

    vendor = Vendor(answer)
    with pytest.raises(Stopped) as caught:
        go(vendor, five, max_concurrency=2)
    assert isinstance(caught.value.error, VendorUnavailable)
    assert names(vendor) == [0]
    assert len(vendor.sent) == 2


@pytest.mark.parametrize("late", [BatchResult(), JobId("job"), BatchRejected("400", ""), VendorUnavailable("down too")])
def test_a_late_response_after_an_error_is_recorded(monkeypatch, five, late):
    """The loop waits for what is in flight; a second error says nothing new."""
    second, failed = threading.Event(), threading.Event()

    def answer(batch):
        if batch.rows[0] == 0:
            assert second.wait(5)
            return FatalError("no permission")
        second.set()
        assert failed.wait(5)
        return late

    vendor = Vendor(answer)
    gather = loop._collect_done  # raises once the loop has seen the error

    def gathered(*args):
        try:
            gather(*args)
        except FatalError:
            failed.set()
            raise

    monkeypatch.setattr(loop, "_collect_done", gathered)
    with pytest.raises(Stopped, match="no permission"):
        go(vendor, five, max_concurrency=2)
    assert names(vendor) == ([] if isinstance(late, VendorUnavailable) else [1])


def test_the_bookkeeping_may_end_the_sending(five):
    """An error that it raises stops the loop before the next batch goes out."""
    vendor = Vendor()
    errors = iter([None, None, FatalError("contact limit")])
    with pytest.raises(Stopped, match="contact limit"):
        go(vendor, five, max_concurrency=1, stop=lambda: next(errors))
    assert len(vendor.sent) == 2


@pytest.mark.parametrize("operation", ["poll", "collect"])
def test_an_error_while_looking_after_jobs(five, operation):
    """A poll that fails ends the try; the tickets stay in the journal."""
    vendor = Vendor(lambda batch: JobId(f"job {batch.rows[0]}"))

    def fail(*_):
        raise VendorUnavailable("down")

    setattr(vendor, operation, fail)
    with pytest.raises(Stopped, match="down"):
        go(vendor, five, max_jobs=9)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device"), KeyError("bug")])
def test_a_kill_keeps_the_results_of_calls_in_flight(five, error):
    """Ctrl-C, a full disk or a bug leaves no thread behind, and loses no answer that came."""
    gate = threading.Barrier(2, timeout=5)

    def answer(_):
        gate.wait()
        return BatchResult()

    vendor = Vendor(answer)
    original, raised = vendor.answered, []

    def answered(batch, reply):
        if not raised:
            raised.append(batch)
            raise error
        return original(batch, reply)

    vendor.answered = answered
    with pytest.raises(type(error)):
        go(vendor, five, max_concurrency=2)
    assert len(vendor.recorded) == 1


def test_intent_that_cannot_be_written_sends_nothing(five):
    """A full disk stops before the call, not after it."""
    vendor = Vendor()

    def full(_):
        raise OSError(28, "No space left on device")

    calls = SendCallbacks(vendor.upsert, vendor.poll, vendor.collect, full, vendor.answered)
    with pytest.raises(OSError, match="No space"):
        send(InFlight(iter(five)), calls, limited().limits, pause=lambda _: True, stop=lambda: None)
    assert vendor.sent == []
