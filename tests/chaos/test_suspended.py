"""SIGSTOP and SIGCONT, in earnest: a process that was superseded while it was suspended sends nothing more.

`make chaos` tries it at each vendor with state in a folder and in object storage, with conditional writes and without;
`make test` at one vendor in a folder.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from chaos.fault_injection import KillSwitch
from chaos.fork_server import ForkServer, SharedClock, TryRequest
from chaos.invariants import broken
from chaos.population import Population
from chaos.run_records import Run, Try, in_audience
from chaos.stage import CONNECTIONS, Stage, small

from airflow_provider_segexport.simulator.clock import MANUAL_START
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.vendors.registry import VENDORS

ALL = bool(os.environ.get("CHAOS_SUSPENDED"))
STORES = ("folder", "s3", "s3 without conditional writes")
CASES = list(itertools.product(VENDORS, STORES)) if ALL else [("campaign_monitor", "folder")]
STEPS = int(os.environ.get("CHAOS_SUSPENDED") or 0)
BATCH = 2
ENDS = {"Superseded", "finished", "StaleSnapshot", "RetryableError"}
"""How a suspended run may end: it was superseded, it had sent everything, or it had not begun to write. Then a version
of the ledger that it was about to read may be gone."""

RUNS_OUT_S = TTL_S + SKEW_S + 1


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, object] | None]:
    """Where state lies; None for a folder."""
    if request.param == "folder":
        yield None
        return
    from s3 import KEYS, Heedless, new_bucket, s3_server  # noqa: PLC0415 - a folder does not wait for it

    with s3_server() as server:
        if request.param != "s3":
            server.app = Heedless(server.app)
        endpoint, bucket = f"http://127.0.0.1:{server.port}", f"suspended-{time.monotonic_ns()}"
        new_bucket(endpoint, bucket)
        options = {**KEYS, "client_kwargs": {"endpoint_url": endpoint}}
        yield {"url": f"s3://{bucket}/state", "bucket": bucket, "endpoint": endpoint, "options": options}


class Pair:
    """An audience to which a process exports that is suspended, and this one after it."""

    def __init__(self, sim, fork_server: ForkServer, name: str, home: Path, store: dict[str, object] | None) -> None:
        sim.context.clock = SharedClock(home / "clock", MANUAL_START)
        sim.reset(seed=1)
        self.fork_server = fork_server
        self.stage = Stage(sim, name, home, small(name, BATCH), store=store)
        self.people = Population(Random(name), 16, changes=1.0)
        self.clock = home / "clock"

    def begin(self) -> Run:
        """The next day's run."""
        day = self.people.next_day()
        return self.stage.begin(day.as_of, day.rows, "mirror")

    def day(self) -> Run:
        """A day that this process exports to its end."""
        run = self.begin()
        assert self.stage.attempt(run) == "finished", run.tries[-1].texts[-1]
        return run

    def suspended(self, run: Run, kill_switch: KillSwitch) -> int | None:
        """A run in a process that suspends itself; its id, or None where it came to its end before."""
        stage = self.stage
        stage.fetch()
        self.this = Try(len(run.tries) + 1, in_audience(stage.root))
        request = TryRequest(
            stage.name,
            stage.home,
            self.clock,
            {stage.name: stage.described},
            run,
            kill_switch,
            BATCH,
            store=stage.store,
        )
        ended, answer = self.fork_server.send(request)
        run.tries.append(self.this)
        if ended == signal.SIGSTOP:
            return int(answer)
        self._record_try(run, ended, answer)
        return None

    def go_on(self, run: Run, process: int) -> str:
        """Let it go on; how it ended."""
        self._record_try(run, *self.fork_server.go_on(process))
        return run.ended

    def _record_try(self, run: Run, ended: int, answer) -> None:
        assert not ended, f"ended by signal {ended}"
        (done, unexpected), self.steps = answer
        self.stage.unexpected += unexpected
        run.tries[-1] = done
        done.members |= self.this.members
        done.in_flight = CONNECTIONS

    def head(self) -> dict[str, object]:
        """The facts in the newest version of the ledger."""
        (path,) = (self.stage.state_path / "ledgers" / self.stage.name).glob("*/*")
        return Ledger(path).facts()

    def calls(self) -> int:
        return len(self.stage.sim.requests(vendor=self.stage.name))

    def audience(self) -> dict[str, str]:
        """Members of the audience that get mail, with the vendor's name for each."""
        self.stage.sleep(60)
        dialect = self.stage.dialect
        members = self.stage.people(self.stage.audience).items()
        return {email: dialect.name_of(member) for email, member in members if dialect.mailable(member)}


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The vendor."""
    return str(request.param)


@pytest.fixture
def pair(sim, fork_server, name, store, tmp_path) -> Pair:
    return Pair(sim, fork_server, name, tmp_path, store)


@pytest.mark.parametrize(("name", "store"), CASES, indirect=True)
@pytest.mark.parametrize("how", ["its lease runs out", "Airflow marks it failed"] if ALL else ["its lease runs out"])
def test_a_process_that_is_suspended_between_two_attempts_sends_nothing_more(pair: Pair, how: str):
    """A newer mirror has taken over, sent rows, removed people: the ledger and vendor stay as that run left them."""
    pair.day()
    method, path = pair.stage.dialect.upsert
    busy = {"status": 503, "headers": {"Retry-After": "30"}, "body": {}, "count": 2}
    pair.stage.sim.faults([{"vendor": pair.stage.name, "method": method, "path": path, "nth": 2, **busy}])
    second = pair.begin()
    process = pair.suspended(second, KillSwitch(str(pair.stage.root), kind="suspend", nap=25))
    assert process, second.tries[-1].texts[-3:]
    if how == "its lease runs out":
        pair.stage.unknown_to_airflow.add(second.name)
        pair.stage.sleep(RUNS_OUT_S)
    third = pair.day()
    calls, audience = pair.calls(), pair.audience()
    assert pair.go_on(second, process) == "Superseded"
    assert pair.calls() == calls
    assert (pair.head()["as_of"], pair.head()["by"]) == (third.as_of, third.name)
    assert pair.audience() == audience
    assert audience == third.wanted
    assert broken(pair.stage.evidence()) == []
    pair.day()
    assert broken(pair.stage.evidence(settled=True)) == []


@pytest.mark.skipif(not ALL, reason="make chaos suspends a process at many steps")
@pytest.mark.parametrize(("name", "store"), CASES, indirect=True)
def test_a_process_may_be_suspended_anywhere(pair: Pair):
    """Before and after each call, and at each change of a file; a newer run goes on, and all promises hold."""
    pair.day()
    kill_switch = KillSwitch(str(pair.stage.root))
    assert pair.suspended(pair.begin(), kill_switch) is None
    steps, superseded = pair.steps, 0
    for number in range(STEPS):
        run = pair.begin()
        at = 1 + number * steps // STEPS
        process = pair.suspended(run, KillSwitch(str(pair.stage.root), at, "suspend"))
        if process is None:  # a day with less to do
            continue
        pair.stage.unknown_to_airflow.add(run.name)
        pair.stage.sleep(RUNS_OUT_S)
        after = pair.day()
        calls = pair.calls()
        ended = pair.go_on(run, process)
        assert ended in ENDS, f"suspended at step {at}: {run.tries[-1].texts[-1]}"
        superseded += ended == "Superseded"
        more = pair.stage.sim.requests(vendor=pair.stage.name)[calls:]
        writes = [call["path"] for call in more if ended == "Superseded" or pair.stage.dialect.is_write(call)]
        assert writes == [], f"suspended at step {at}"
        assert pair.head()["as_of"] == after.as_of
    pair.day()
    assert broken(pair.stage.evidence(settled=True)) == []
    assert superseded > STEPS // 3
