"""A call that is on its way to the socket asks again when either clock says that time has passed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import Superseded
from airflow_provider_segexport.storage.lease import Lease

SUSPENDED = {
    "a process that was suspended": (300.0, 300.0),
    "a machine that slept, whose monotonic clock stood still": (0.0, 300.0),
    "a process that was suspended while its wall clock was set back": (300.0, 0.0),
    "a wall clock that was set back by a day": (0.2, -86_400.0),
}


@pytest.fixture
def clocks(monkeypatch):
    """The two clocks, which a test moves."""
    now = SimpleNamespace(monotonic=1000.0, wall=1_767_225_600.0)
    monkeypatch.setattr(fencing, "time", SimpleNamespace(monotonic=lambda: now.monotonic, time=lambda: now.wall))
    return now


def leaves(clocks, monotonic, wall):
    """Whether a call leaves that was checked, then held up, while another run has taken the audience over."""
    taken_over = []

    def check():
        if taken_over:
            raise Superseded("taken over")

    with fencing.fenced(check):
        fencing.check_fence()
        taken_over.append(True)
        clocks.monotonic += monotonic
        clocks.wall += wall
        try:
            fencing.recheck_fence()
        except Superseded:
            return False
    return True


@pytest.mark.parametrize("how", SUSPENDED)
def test_a_call_that_was_held_up_does_not_leave(clocks, how):
    """Whichever clock has seen it."""
    assert not leaves(clocks, *SUSPENDED[how])


def test_a_call_that_was_not_held_up_is_not_asked_for_twice(clocks):
    """An answer of the store counts for a second: a takeover waits longer than that."""
    assert leaves(clocks, 0.5, 0.5)


@pytest.mark.parametrize("clock", ["monotonic", "wall"])
def test_a_check_by_one_clock_is_caught(clocks, monkeypatch, clock):
    """A planted fault: the other clock is not looked at."""
    monkeypatch.setattr(fencing, "_clocks", lambda: (getattr(clocks, clock),) * 2)
    assert any(leaves(clocks, *held_up) for held_up in SUSPENDED.values())


@pytest.mark.parametrize("checked_clock", ["wall", "monotonic"])
def test_a_lease_by_one_clock_is_caught(tmp_path, monkeypatch, checked_clock):
    """A planted fault: a lease that has run out by the other clock is not acquired again before a call leaves."""
    now = {"wall": 1_767_225_600.0, "monotonic": 0.0}

    def renewed(clock, name):
        lease = Lease(
            tmp_path / name / clock,
            "dag/task/run/0",
            clock=lambda: now["wall"],
            sleep=lambda _: None,
            monotonic=lambda: now["monotonic"],
        )
        lease._start_watcher = lambda: None
        lease.acquire()
        now[clock] += 3600
        lease.check()
        return lease.number == 2

    assert all(renewed(clock, "right") for clock in now)
    left = {
        "wall": lambda lease: lease._held.until - now["wall"] if lease._held else 0.0,
        "monotonic": lambda lease: lease._ends_at - now["monotonic"] if lease._held else 0.0,
    }
    monkeypatch.setattr(Lease, "_left_s", left[checked_clock])
    assert not all(renewed(clock, "wrong") for clock in now)
