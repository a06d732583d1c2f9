"""A lease is kept while its holder renews it, and a holder that was superseded finds out before its next call."""

from __future__ import annotations

import threading

import pytest
from core.lease_holders import NOW, OTHER, OWNER

from airflow_provider_segexport.errors import AudienceLocked, RetryableError, Superseded
from airflow_provider_segexport.storage import lease as leases
from airflow_provider_segexport.storage import lease_files
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import TTL_S, Times, holder, newest


def test_a_process_that_slept_past_its_time_stops(audience):
    """Another run has written since, and may have released the audience: nothing more is sent."""
    sleeper, other = audience.lease(), audience.lease(OTHER)
    sleeper.acquire()
    audience.now += 3600
    other.acquire()
    for _ in range(2):
        with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
            sleeper.check()
    other.release()
    with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
        sleeper.renew()
    sleeper.release()
    assert None is holder(audience.path, audience.now)
    assert OTHER == newest(audience.path / "lease")[1].owner


def test_a_process_that_slept_and_was_not_missed_goes_on(audience):
    """No other run wanted the audience: it is acquired again under the next number."""
    lease = audience.lease()
    lease.acquire()
    audience.now += 3600
    lease.check()
    assert 2 == lease.number
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER).acquire()


def test_a_check_is_one_listing(audience, monkeypatch):
    """Thousands of calls ask: each costs one request to the store, and nothing is read or written."""
    lease = audience.lease()
    lease.acquire()
    looks = []
    plain = lease_files.listing
    with monkeypatch.context() as patch:
        patch.setattr(lease_files, "listing", lambda path: looks.append(path) or plain(path))
        patch.setattr(lease_files, "read_file", None)
        patch.setattr(leases, "write", None)
        for _ in range(100):
            lease.check()
    assert len(looks) == 100


def test_a_run_that_goes_on_keeps_it(audience):
    """For hours, when it checks or its thread beats."""
    lease = audience.lease()
    lease.acquire()
    for number in range(200):
        audience.now += TTL_S / 2
        lease.check() if number % 2 else lease.heartbeat()
        with pytest.raises(AudienceLocked):
            audience.lease(OTHER).acquire()
    assert 1 == lease.number


def test_a_thread_renews_it(audience, monkeypatch):
    """A long call to the vendor, or a plan of a million rows, asks for nothing."""

    class Beats(threading.Event):
        """Waits are handed out one by one; the clock moves with them."""

        def wait(self, timeout=None):
            if self.is_set() or len(beats) == 30:
                finished.set()
                return True
            beats.append(timeout)
            audience.now += timeout
            return False

    beats, finished = [], threading.Event()
    lease = audience.lease()
    monkeypatch.setattr(leases, "Event", Beats)
    lease.acquire()
    assert finished.wait(30)
    assert [TTL_S / 12] * 30 == beats
    assert 1 == lease.number
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER).acquire()


def test_who_was_superseded_learns_it_from_a_beat(audience):
    """Long before its own time is out: a run that was taken for dead and is not stops within seconds."""
    lease = audience.lease()
    lease.acquire()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    lease.heartbeat()
    with pytest.raises(RetryableError, match=f"taken over by {OTHER}"):
        lease.check()


def test_a_superseded_run_finds_out_at_its_next_call(audience):
    """The store is asked, and not memory: there is no moment in which two runs send."""
    lease = audience.lease()
    lease.acquire()
    lease.check()
    audience.ended.add(OWNER)
    audience.lease(OTHER).acquire()
    with pytest.raises(Superseded, match=f"taken over by {OTHER}"):
        lease.check()


@pytest.mark.parametrize(("wall", "monotonic"), [(3600, 0), (0, 3600), (-86_400, 3600), (3600, 3600), (86_400, 0)])
def test_a_lease_has_run_out_when_one_clock_says_so(audience, wall, monotonic):
    """A suspended process, a sleeping machine, a changed clock: the lease is acquired again before a call leaves."""
    passed = [0.0]
    lease = Lease(audience.path, OWNER, clock=lambda: audience.now, sleep=audience.sleep, monotonic=lambda: passed[0])
    audience.taken.append(lease)
    lease.acquire()
    audience.now += wall
    passed[0] += monotonic
    lease.check()
    assert 2 == lease.number


def test_a_lease_that_cannot_be_reached_is_kept_until_its_time(audience, monkeypatch, caplog):
    """A store that is away for a minute holds calls back; one that is away longer ends the run."""
    lease = audience.lease()
    lease.acquire()
    plain, away_until = lease_files.listing, NOW + 60

    def away(path):
        if audience.now < away_until:
            raise OSError(5, "Input/output error")
        return plain(path)

    monkeypatch.setattr(lease_files, "listing", away)
    lease.check()
    assert audience.now == away_until
    away_until = NOW + 1000
    audience.now += 50
    lease.heartbeat()
    assert "Renewing a lease failed and is tried again" in caplog.text
    with pytest.raises(RetryableError, match="neither renewed nor read"):
        lease.check()
    lease.release()
    assert "Releasing a lease failed" in caplog.text


def test_a_renewal_that_came_too_late_is_none(audience, monkeypatch):
    """The write took longer than the time left: another run may have seen the lease expire, so it is acquired again."""
    lease = audience.lease()
    lease.acquire()
    plain = leases.write

    def slow(path, content):
        plain(path, content)
        audience.now += 30

    monkeypatch.setattr(leases, "write", slow)
    audience.now += TTL_S - 20
    lease.renew()
    assert 2 == lease.number


def test_how_long_a_lease_lasts_is_the_callers_to_say(audience):
    """A worker on a slow store may want longer, and a test seconds."""
    audience.lease(times=Times(ttl_s=3, skew_s=1)).acquire()
    audience.now += 3.5
    with pytest.raises(AudienceLocked):
        audience.lease(OTHER, times=Times(ttl_s=3, skew_s=1)).acquire()
    audience.now += 0.5
    audience.lease(OTHER, times=Times(ttl_s=3, skew_s=1)).acquire()
