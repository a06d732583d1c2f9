"""Writers of one audience, each paused, resumed or killed at any step, by clocks that are wrong and that jump.

Lease, fencing, takeover, recovery, doubts, journal, ledger and state are the real ones, on a folder. A vendor that
keeps what landed last, a plan of two rows and the calls are the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from core.factories import TARGET
from core.fencing_state import LONGEST_CALL_S, WANTS, Late, Model

from airflow_provider_segexport import fencing
from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export import doubts
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.export.config import ExportEnvironment as Surroundings
from airflow_provider_segexport.storage import durable, takeover
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.lease_files import MAX_LEASE_AHEAD_S, SKEW_S, TTL_S
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import local_path
from airflow_provider_segexport.storage.plan import PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder

recover = import_module("airflow_provider_segexport.export.recover")  # the package has a function of that name

ROWS = ("row-1", "row-2")
RUNS_OUT_S = TTL_S + SKEW_S + 1
STEPS = 12
"""Number of steps; a writer needs fewer."""


def held(ledger: Ledger) -> dict[str, str | None]:
    """The ledger's content of each row; None where it is not known."""
    rows: dict[str, str | None] = ledger.facts().get("rows", {})
    return dict(rows)


def commit_unknown(by: str, ledger: Ledger, rows: Mapping[str, str | None]) -> int:
    """A version in which some rows have another content, or one that is not known."""
    return ledger.commit([], ledger.version(), {"by": by, "rows": {**held(ledger), **rows}})


def lease_of(model: Model, name: str, clock: Callable[[], float]) -> Lease:
    """The lease of a writer whose only looks at the store are those of its steps."""
    lease = Lease(
        model.path,
        f"dag/task/{name}/0",
        clock=clock,
        sleep=model.pass_time,
        is_task_running=lambda _: False if model.ended else None,
        monotonic=lambda: model.now,
    )
    lease._keep = lambda: None  # no thread looks on behind the model
    return lease


def writer(model: Model, name: str) -> Iterator[None]:
    """Run one export, one step at a time; end when it is refused."""
    clock = lambda: model.now + model.skew.get(name, 0.0)  # noqa: E731
    run = RunFolder(local_path(str(model.path.parent / f"run-{model.path.name}-{name}")))
    run.journal.clock = clock
    lease = lease_of(model, name, clock)
    try:
        lease.acquire()
        model.takings.append(name)
        fence = Late(lease) if model.late else lease
        ledger = Ledger(model.path, fence)
        takeover.take_over(lease, ledger, LONGEST_CALL_S, clock)
        yield
        surroundings = Surroundings(None, run, local_path(str(model.path)), lambda _: True, clock=clock)
        job = ExportContext(
            SimpleNamespace(import_readds_leavers=False, experiment=None),
            None,
            SimpleNamespace(run=name),
            surroundings,
            fence,
        )
        audience_state = recover.recover(job, ledger, AudienceState.of(model.path))
        if audience_state.begun.get("e", "") > name:
            return
        base, ledger_rows = ledger.version(), held(ledger)
        yield
        audience_state = audience_state.began("e", name).opened(name, str(run.path), lease.writer_token)
        audience_state.write(model.path, fence)
        yield
        for row in ROWS:
            if ledger_rows.get(row) == WANTS.get(name, "new"):
                continue
            run.journal.write([Entry(row, State.SENDING, 1)])
            yield
            with fencing.fenced(lease.check):
                fencing.check_fence()
                call = model.leave(name, row)
            yield
            model.land(call)
            run.journal.write([Entry(row, State.SETTLED, 1, accepted=1)])
            yield
        ledger.commit([], base, {"by": name, "rows": {**ledger_rows, **dict.fromkeys(ROWS, WANTS.get(name, "new"))}})
        yield
        replace(AudienceState.of(model.path), open_run_folder="").write(model.path, fence)
        yield
    except SegexportError:
        return
    finally:
        if name not in model.killed:
            lease.release()


@dataclass(frozen=True)
class Turn:
    """A writer's turn: so many steps, after the clock has moved; then it may be killed."""

    name: str
    steps: int
    jump: float = RUNS_OUT_S
    skew: float | None = None
    kill: bool = False


def play(path: Path, turns: list[Turn], *, late: bool = False, ended: bool = False) -> Model:
    """Carry turns out, let all writers come to their end, and run twice more: when any lease has run out, and again."""
    model = Model(path, late=late, ended=ended)
    writers: dict[str, Iterator[None]] = {}
    turns = [
        Turn("0", STEPS),
        *turns,
        *(Turn(name, STEPS) for name in "abc"),
        Turn("y", STEPS, MAX_LEASE_AHEAD_S),
        Turn("z", STEPS),
    ]
    for turn in turns:
        model.pass_time(turn.jump)
        if turn.skew is not None:
            model.skew[turn.name] = turn.skew
        going = writers.setdefault(turn.name, writer(model, turn.name))
        for _ in range(turn.steps):
            with suppress(StopIteration):
                next(going)
            model.look()
        model.look_at_the_state()
        if turn.kill and turn.name not in model.killed:
            model.killed.add(turn.name)
            model.flying = [call for call in model.flying if not (late and call.by == turn.name)]
            going.close()
    return model


def broken(model: Model) -> list[str]:
    """Complaints about a played model: rules that the writers broke, and what the last state lacks."""
    complaints = list(model.complaints)
    order = [model.takings.index(by) for _, by in model.heads]
    if sorted(order) != order:
        complaints.append("a superseded writer moved the head back")
    if sorted(version for version, _ in model.heads) != [version for version, _ in model.heads]:
        complaints.append("a version number went back")
    if model.takings[-1] != "z":
        complaints.append("the last writer was not let in")
    if model.vendor != dict.fromkeys(ROWS, "new"):
        complaints.append("the vendor holds old rows")
    if held(Ledger(model.path)) != dict.fromkeys(ROWS, "new"):
        complaints.append("the ledger holds old rows")
    return complaints


SKEWS = (0.0, 0.0, 3600.0, -3600.0, 86_400.0, -86_400.0)


def chance(rng: Random) -> tuple[list[Turn], dict[str, bool]]:
    """Turns of three writers in any order, with pauses, kills and clocks that are set."""
    turns = [
        Turn(
            rng.choice("abc"),
            rng.randint(1, STEPS),
            jump=rng.choice((1.0, LONGEST_CALL_S + 1, RUNS_OUT_S, RUNS_OUT_S, 90_000.0)),
            skew=rng.choice((None, rng.choice(SKEWS))),
            kill=rng.random() < 0.15,
        )
        for _ in range(rng.randint(2, 7))
    ]
    return turns, {"late": rng.random() < 0.3, "ended": rng.random() < 0.4}


def pauses(*, kill: bool = False, jump: float = RUNS_OUT_S) -> Iterator[list[Turn]]:
    """The first writer is paused once, or killed, at each of its steps; in between, another one runs to its end."""
    for steps in range(1, STEPS - 1):
        yield [Turn("a", steps, kill=kill), Turn("b", STEPS, jump=jump)]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the parts of the product that the model simulates, and do not wait for the disk."""
    monkeypatch.setattr(durable, "sync_file", lambda _: None)
    monkeypatch.setattr(durable, "sync_folder", lambda _: None)
    planned = SimpleNamespace(batches=ROWS, removal_batches=())
    facts = PlanFacts("plain", TARGET, "full", "", 0.0, 0)
    monkeypatch.setattr(RunFolder, "plan", lambda _: (planned, facts))
    monkeypatch.setattr(recover, "_collect_results", lambda *_: None)

    def write(job, ledger, audience_state, folder):
        states = folder.journal.states()
        value = WANTS.get(audience_state.run, "new")
        rows = {name: value if entry.state is State.SETTLED else None for name, entry in states.items()}
        commit_unknown(job.config.run, ledger, rows)

    def settle(_, ledger, folder, names, origin):
        by = folder.path.name.rpartition("-")[2]
        del by, origin
        return commit_unknown(settling[-1], ledger, dict.fromkeys(names.late[0]))

    settling: list[str] = []
    plain = doubts._settle

    def named(job, ledger, folder):
        settling.append(job.config.run)
        plain(job, ledger, folder)

    monkeypatch.setattr(doubts, "_settle", named)
    monkeypatch.setattr(recover, "_write", write)
    monkeypatch.setattr(doubts, "engine", nullcontext)
    monkeypatch.setattr(
        doubts, "update_ledger", SimpleNamespace(PlanBatches=doubts.update_ledger.PlanBatches, update_ledger=settle)
    )
