"""The sending loop, against vendors that are a function: calls, full slots, errors, kills."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from core.factories import batch_of, limited
from core.sending import Vendor, go, names

from airflow_provider_segexport.errors import BatchRejected, FatalError, JobSlotsFull, VendorUnavailable
from airflow_provider_segexport.http import concurrency
from airflow_provider_segexport.model import BatchResult, JobId, JobState
from airflow_provider_segexport.stages import send as loop
from airflow_provider_segexport.stages.send import InFlight, SendCallbacks, Stopped, send


@pytest.fixture
def five():
    return [batch_of(1, start=n) for n in range(5)]


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


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyError("bug")])
def test_two_unexpected_errors_lose_no_result_of_another_call(monkeypatch, five, error):
    """Two of three calls in flight fail in a way that the loop does not know; the third one's result is recorded."""
    all_sent, finishing = threading.Barrier(3, timeout=5), threading.Event()

    def answer(batch):
        all_sent.wait()
        if batch.rows[0]:
            assert finishing.wait(5)
        return BatchResult() if batch.rows[0] == 2 else error

    finish = loop._finish

    def finished(*args):
        finishing.set()
        finish(*args)

    monkeypatch.setattr(loop, "_finish", finished)
    vendor = Vendor(answer)
    with pytest.raises(type(error)):
        go(vendor, five, max_concurrency=3)
    assert names(vendor) == [2]


def test_intent_that_cannot_be_written_sends_nothing(five):
    """A full disk stops before the call, not after it."""
    vendor = Vendor()

    def full(_):
        raise OSError(28, "No space left on device")

    calls = SendCallbacks(vendor.upsert, vendor.poll, vendor.collect, full, vendor.answered)
    with pytest.raises(OSError, match="No space"):
        send(InFlight(iter(five)), calls, limited().limits, pause=lambda _: True, stop=lambda: None)
    assert vendor.sent == []
