"""SIGKILL, in earnest, at every place of the way: each write of a file, before and after it, and each call."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

from chaos.fault_injection import KillSwitch
from chaos.fork_server import ForkServer, SharedClock, TryRequest
from chaos.invariants import broken
from chaos.population import Population
from chaos.run_records import Run, Try, in_audience
from chaos.stage import CONNECTIONS, Stage, small

from airflow_provider_segexport.simulator.clock import MANUAL_START

KILLS_PER_RUN = int(os.environ.get("CHAOS_PLACES", "10"))
BATCH = 2


class Deathbed:
    """One audience after another day, each exported by a process that is killed somewhere, and then by another."""

    def __init__(self, sim, fork_server: ForkServer, name: str, home: Path) -> None:
        clock = SharedClock(home / "clock", MANUAL_START)
        sim.context.clock = clock
        sim.reset(seed=1)
        self.fork_server = fork_server
        self.stage = Stage(sim, name, home, small(name, BATCH))
        self.people = Population(Random(name), 20, changes=1.0)
        self.clock = home / "clock"
        self.described = {name: self.stage.described}

    def begin(self) -> Run:
        """The next day's run."""
        day = self.people.next_day()
        return self.stage.begin(day.as_of, day.rows, "mirror")

    def child(self, run: Run, at: int, *, torn: bool = False) -> tuple[bool, int]:
        """One try in a process of its own, killed before its step `at`: whether it was, and how many steps it took."""
        kill_switch = KillSwitch(str(self.stage.root), at, "kill", torn=torn)
        this = Try(len(run.tries) + 1, in_audience(self.stage.root))
        request = TryRequest(self.stage.name, self.stage.home, self.clock, self.described, run, kill_switch, BATCH)
        killed, answer = self.fork_server.send(request)
        if killed:
            assert killed == signal.SIGKILL
            this.ended, this.in_flight = "killed", CONNECTIONS
            run.tries.append(this)
            return True, at
        (done, unexpected), steps = answer
        self.stage.unexpected += unexpected
        run.tries.append(done)
        return False, steps


def steps_to_kill_before(rng: Random, steps: int) -> Iterator[int]:
    """Steps to be killed before: as many as are asked for, spread over the whole way, then the rest, then any of them.

    A day with less to do may end before its step comes.
    """
    spread = sorted({1 + number * steps // KILLS_PER_RUN for number in range(KILLS_PER_RUN)})
    rest = sorted(set(range(1, steps + 1)) - set(spread))
    rng.shuffle(rest)
    yield from spread
    yield from rest
    while True:
        yield rng.randint(1, steps)


def test_killed_anywhere_nothing_is_lost_and_nothing_is_sent_three_times(sim, fork_server, vendor, tmp_path):
    """At ten places over the whole run (`make chaos`: 80): the next process goes on, and all promises hold."""
    bed = Deathbed(sim, fork_server, vendor, tmp_path)
    killed, steps = bed.child(bed.begin(), 0)
    assert not killed
    struck = 0
    for at in steps_to_kill_before(Random(vendor), steps):
        run = bed.begin()
        if bed.child(run, at, torn=at % 2 == 0)[0]:
            struck += 1
            ended = bed.stage.attempt(run)
            assert ended == "finished", f"{run.name}, killed at step {at}: {''.join(run.tries[-1].texts[-1:])[-400:]}"
        if struck == KILLS_PER_RUN:
            break
    assert broken(bed.stage.evidence(settled=True)) == []
    assert struck == KILLS_PER_RUN
