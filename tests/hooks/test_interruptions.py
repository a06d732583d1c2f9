"""Blocks that a signal stops: blocks that overlap, and a block that catches the handler's exception."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest

from airflow_provider_segexport.hooks.interruptible import Interruptible
from airflow_provider_segexport.hooks.interruptions import stops_at_signals


@pytest.fixture
def handler():
    """The handler of SIGALRM, as that of `execution_timeout`."""

    def stop(number, frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    yield stop
    signal.signal(signal.SIGALRM, before)


def test_blocks_that_overlap_leave_the_handler_that_was_set_before(handler):
    """The first one ends before the second, as two generators of a program may."""
    sessions = Interruptible(), Interruptible()
    first, second = map(stops_at_signals, sessions)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with pytest.raises(TimeoutError):
        signal.raise_signal(signal.SIGALRM)
    assert [False, True] == [session.stop_requested for session in sessions]
    with pytest.raises(TimeoutError):
        second.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_a_block_inside_another_ends_first(handler):
    """Both are stopped."""
    outer, first, second = (Interruptible() for _ in range(3))

    def blocks():
        with stops_at_signals(outer):
            with stops_at_signals(first):
                pass
            with stops_at_signals(second):
                signal.raise_signal(signal.SIGALRM)

    with pytest.raises(TimeoutError):
        blocks()
    assert [True, False, True] == [session.stop_requested for session in (outer, first, second)]
    assert signal.getsignal(signal.SIGALRM) is handler


def test_a_block_that_catches_the_exception_ends_with_it(handler):
    """A timeout rings once, so code after the block would run without one."""
    with pytest.raises(TimeoutError), stops_at_signals(Interruptible()), suppress(TimeoutError):
        signal.raise_signal(signal.SIGALRM)
