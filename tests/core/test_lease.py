"""One writer per audience: who holds the lease, until when, and who may take it over."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter

import pytest
from core.lease_holders import NOW, OTHER, OWNER, Audience
from core.racing import take_leases

from airflow_provider_segexport.errors import AudienceLocked, RetryableError
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S, holder, newest


def test_a_second_run_s_error_names_the_writer_and_the_time(audience):
    """The message names the holder and the time, and says that nothing is wrong."""
    audience.lease().acquire()
    with pytest.raises(
        AudienceLocked, match=r"sync/export/run 1/-1, which holds it until 2026-01-01 00:02:00"
    ) as raised:
        audience.lease(OTHER).acquire()
    assert [OWNER, TTL_S + SKEW_S] == [raised.value.holder, raised.value.retry_after_s]


def test_what_was_given_back_is_free(audience):
    """The next run takes it at once, under a higher number."""
    first, second = audience.lease(), audience.lease(OTHER)
    first.acquire()
    first.release()
    second.acquire()
    assert [1, 2, ["00000002.json"]] == [first.number, second.number, audience.files]


def test_a_holder_that_says_nothing_more_loses_it(audience):
    """A killed run holds its audience for two minutes, and what clocks may be apart."""
    audience.lease().acquire()
    other = audience.lease(OTHER)
    audience.now += TTL_S + SKEW_S - 1
    with pytest.raises(AudienceLocked):
        other.acquire()
    audience.now += 1
    other.acquire()


def test_a_holder_that_is_known_to_have_ended_loses_it_at_once(audience, caplog):
    """If Airflow says that the task is over, no run waits for a dead run's time."""
    audience.lease().acquire()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    assert f"(owner={OWNER})" in caplog.text


def test_the_same_owner_comes_in_again_at_once(audience):
    """A retry need not wait for its first try's time; the first try, should it still run, stops."""
    first, retry = audience.lease(), audience.lease()
    first.acquire()
    retry.acquire()
    retry.check()
    audience.now += TTL_S / 2
    with pytest.raises(RetryableError, match="taken over by another attempt of this task"):
        first.check()


def test_a_takeover_waits_until_the_last_holder_has_stopped(audience):
    """Or for as long as its last call may take."""
    first, second = audience.lease(), audience.lease(OTHER)
    first.acquire()
    audience.ended.add(OWNER)
    second.acquire()
    assert second.unclean
    before = audience.now
    assert not second.wait_for_stop(first.writer_token, 130)
    assert audience.now == before + 130
    first.release()
    before = audience.now
    assert second.wait_for_stop(first.writer_token, 130)
    assert audience.now == before
    second.release()
    third = audience.lease()
    third.acquire()
    assert third.unclean  # the second one has not waited for the first one's last call, as `release` does not
    third.unclean = False
    third.release()
    fourth = audience.lease()
    fourth.acquire()
    assert not fourth.unclean


def test_a_run_that_waits_for_the_vendor_keeps_its_audience(audience):
    """It has given its place back, and says what it waits for; when it comes again, it is let in."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 9000, "waits for 3 jobs at the vendor")
    with pytest.raises(RetryableError, match="not held"):
        lease.check()
    audience.now += 8000
    with pytest.raises(AudienceLocked, match=r"\(waits for 3 jobs at the vendor\).*until 2026-01-01 02:30:00"):
        audience.lease(OTHER).acquire()
    audience.lease().acquire()
    assert [OWNER, ""] == [(held := holder(audience.path, audience.now)).owner, held.reason]


def test_a_run_that_never_comes_again_loses_it(audience):
    """After the time it left for."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 9000, "waits")
    audience.now += 9000 + SKEW_S
    audience.lease(OTHER).acquire()


def test_of_many_threads_one_wins(tmp_path):
    """Over many rounds, in which all come at the same moment."""
    threads, rounds = 4, 50
    barrier, won = threading.Barrier(threads), []

    def race(owner):
        for number in range(rounds):
            harness = Audience(tmp_path / str(number))
            lease = harness.lease(owner)
            barrier.wait()
            try:
                lease.acquire()
            except AudienceLocked:
                continue
            won.append((number, lease))

    runners = [threading.Thread(target=race, args=(f"dag/task/run {n}/-1",)) for n in range(threads)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    for _, lease in won:
        lease.release()
    assert list(range(rounds)) == sorted(number for number, _ in won)


def test_of_many_processes_one_wins(tmp_path):
    """Nothing is shared between them but the disk."""
    processes, rounds = 3, 100
    context = multiprocessing.get_context("spawn")
    barrier, won = context.Barrier(processes), context.Queue()
    runners = [
        context.Process(target=take_leases, args=(barrier, str(tmp_path), f"dag/task/run {n}/-1", rounds, won))
        for n in range(processes)
    ]
    for runner in runners:
        runner.start()
    winners = [won.get(timeout=60) for _ in range(rounds)]
    for runner in runners:
        runner.join(60)
    assert won.empty()
    assert Counter(range(rounds)) == Counter(number for number, _ in winners)


@pytest.mark.parametrize("errno", [1, 95])
def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch, errno):
    """Some network disks and memory sticks know none: the file is made under its name, if there is none."""

    def refuse(source, target):
        raise OSError(errno, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    harness = Audience(tmp_path)
    lease = harness.lease()
    lease.acquire()
    with pytest.raises(AudienceLocked):
        harness.lease(OTHER).acquire()
    lease.release()


@pytest.mark.parametrize(("airflow", "free"), [("ours", True), ("theirs", False), ("", False)])
def test_a_holder_whose_run_was_deleted_while_it_waited_is_taken_over(audience, airflow, free):
    """Its own Airflow says that the run is gone; another Airflow cannot know, so its time is awaited."""
    lease = audience.lease()
    lease.acquire()
    lease.hold_until(NOW + 86_400, "it waits for jobs at the vendor", airflow)
    other = audience.lease(OTHER)
    with pytest.raises(AudienceLocked):
        other.acquire()
    audience.deleted.add(OWNER)
    if free:
        other.acquire()
        assert newest(audience.path / "lease")[1].owner == OTHER
    else:
        with pytest.raises(AudienceLocked):
            other.acquire()
