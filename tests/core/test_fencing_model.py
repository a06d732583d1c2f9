"""Every interleaving of two writers, each paused at every step: the real lease, ledger and state, on a folder.

A writer takes the lease, reads the ledger, sends one call, commits and writes the state. Between any two of these steps
the other one may take over because the clock moved, and the first one goes on afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from airflow_provider_segexport.errors import AudienceBusy, SegexportError
from airflow_provider_segexport.ports import fencing
from airflow_provider_segexport.ports.lease import SKEW_S, TTL_S, Lease
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.standing import Standing

STEPS = 7


class Late:
    """The fence of a writer that is paused between its check and the write."""

    def __init__(self, lease: Lease) -> None:
        self.number, self.mark = lease.number, lease.mark

    def check(self) -> None:
        """It has passed before the pause."""


class World:
    """What both writers share: a folder, a clock and a vendor that keeps the order of its calls."""

    def __init__(self, place: Path) -> None:
        self.place, self.now = place, 1_767_225_600.0
        self.late = False
        self.calls: list[str] = []
        self.takings: list[str] = []
        self.heads: list[tuple[int, str]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def writer(world: World, name: str, skew: float = 0.0) -> Iterator[None]:
    """One run, a step at a time; it ends where it is refused."""
    lease = Lease(world.place, f"dag/task/{name}/0", clock=lambda: world.now + skew, sleep=world.sleep)
    lease._keep = lambda: None  # no thread looks on behind the model
    try:
        lease.take()
    except AudienceBusy:
        return
    world.takings.append(name)
    fence = Late(lease) if world.late else lease
    ledger = Ledger(world.place, fence)
    try:
        if lease.unclean:
            ledger.seal()
        yield
        standing = Standing.of(world.place)
        base = ledger.version()
        yield
        standing.opened(name, f"runs/{name}", lease.mark).write(world.place, fence)
        yield
        with fencing.fenced(lease.check):
            fencing.ask()
            world.calls.append(name)
        yield
        ledger.commit([], base, {"by": name})
        yield
        Standing.of(world.place).opened(name, "", "").write(world.place, fence)
        yield
    except SegexportError:
        return
    finally:
        lease.release()


def orders() -> Iterator[tuple[int, ...]]:
    """Which of the writer's steps come before each step of the other: all interleavings."""
    total = 2 * STEPS
    for first in combinations(range(total), STEPS):
        yield tuple(0 if at in first else 1 for at in range(total))


def run(place: Path, order: tuple[int, ...], jumps: float, skew: float, *, late: bool = False) -> World:
    """Carry an interleaving out; the clock moves on whenever the other writer has its turn."""
    world = World(place)
    world.late = late
    writers = [writer(world, "a"), writer(world, "b", skew)]
    before = order[0]
    for turn in order:
        if turn != before:
            world.now += jumps
        before = turn
        next(writers[turn], None)
        if Ledger(place).version():
            head = Ledger(place).version(), str(Ledger(place).facts()["by"])
            if not world.heads or world.heads[-1] != head:
                world.heads.append(head)
    for left in writers:
        left.close()
    return world


def broken(world: World) -> list[str]:
    """What must hold: nothing goes out, and the head does not move, after the other one has taken over."""
    complaints = []
    last = world.takings[-1]
    if last in world.calls and world.calls[-1] != last:
        complaints.append("a superseded writer sent after its successor")
    heads = [by for _, by in world.heads]
    if last in heads and heads[-1] != last:
        complaints.append("a superseded writer moved the head back")
    if len(heads) != len(set(heads)):
        complaints.append("the head went to and fro")
    if sorted(world.heads) != world.heads:
        complaints.append("a version number went back")
    standing = Standing.of(world.place)
    if last in heads and standing.run != last:
        complaints.append("a superseded writer's state is read")
    return complaints


RUNS_OUT_S = TTL_S + SKEW_S + 1


@pytest.mark.parametrize(("jumps", "skew"), [(RUNS_OUT_S, 0.0), (RUNS_OUT_S, -3600.0), (1.0, 86_400.0)])
def test_in_every_interleaving_the_newest_writer_alone_sends_and_commits(tmp_path, jumps, skew):
    """Also where a clock is wrong by an hour or a day."""
    both = 0
    for number, order in enumerate(orders()):
        if number % 17:  # one in seventeen of 3,432: the rest differ in steps after a writer has ended
            continue
        world = run(tmp_path / str(number), order, jumps, skew)
        assert [] == broken(world), order
        both += len(world.takings) > 1
    assert both > 20


def caught(tmp_path: Path, *, late: bool = False) -> list[str]:
    """What is found in interleavings where one writer is paused once, at each of its steps."""
    complaints: list[str] = []
    for at in range(1, STEPS):
        order = (0,) * at + (1,) * STEPS + (0,) * (STEPS - at)
        complaints += broken(run(tmp_path / str(at), order, RUNS_OUT_S, 0.0, late=late))
    return complaints


@pytest.mark.parametrize("late", [False, True])
def test_no_pause_breaks_anything(tmp_path, late):
    """With `late` each write is paused between its check and the write: the token in the names alone decides."""
    assert [] == caught(tmp_path, late=late)


def test_a_lease_that_is_looked_at_in_memory_is_caught(tmp_path, monkeypatch):
    """A planted fault: the call of the superseded writer goes out."""
    monkeypatch.setattr(Lease, "check", lambda _: None)
    assert "a superseded writer sent after its successor" in caught(tmp_path)


def test_a_version_without_a_token_is_caught(tmp_path, monkeypatch):
    """A planted fault: the superseded writer reads its base again and moves the head."""
    plain = Ledger.commit

    def commit(ledger, rows, base, facts):
        return plain(Ledger(ledger.place), rows, Ledger(ledger.place).version(), facts)

    monkeypatch.setattr(Ledger, "commit", commit)
    monkeypatch.setattr(Ledger, "seal", lambda _: None)
    assert "a superseded writer moved the head back" in caught(tmp_path, late=True)


def test_a_state_without_a_token_is_caught(tmp_path, monkeypatch):
    """A planted fault: the superseded writer's state replaces its successor's."""
    plain = Standing.write
    monkeypatch.setattr(Standing, "write", lambda standing, place, fence=None: plain(standing, place))
    assert "a superseded writer's state is read" in caught(tmp_path, late=True)
