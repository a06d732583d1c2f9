"""Seeded schedules: days pass, people opt out, exports run in any order, and everything that can go wrong does."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from chaos.fault_injection import KillSwitch
from chaos.fault_tables import BY_ACTION, DAMAGED, ODD_COLUMNS, ODD_FOLDERS, OPT_OUTS
from chaos.fork_server import ForkServer, SharedClock, TryRequest
from chaos.population import Day, Population, address
from chaos.run_records import Row, Run, RunRecords, Try, in_audience
from chaos.simulated_audience import FOREIGN_TAG
from chaos.stage import BATCH, CONNECTIONS, Stage, Trouble, small
from chaos.troubles import MOST_STEPS, Troubles

from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S

MODES = ("upsert", "upsert", "full", "mirror", "mirror")
RUNS_OUT_S = TTL_S + SKEW_S + 1
DONE = frozenset({"finished", "StaleSnapshot", "GuardTripped"})


class Schedule:
    """The schedule of one seed at one vendor; `more` adds suspensions, damaged files, clock skew and odd names."""

    def __init__(
        self,
        sim: Simulator,
        name: str,
        home: Path,
        seed: int,
        *,
        more: bool = False,
        fork_server: ForkServer | None = None,
    ) -> None:
        self.rng = Random(f"{name}/{seed}/more" if more else f"{name}/{seed}")
        self.more, self.fork_server, self.clock = more, fork_server, home / "clock"
        shape: dict[str, Any] = {}
        if more:
            shape = {"columns": self.rng.choice(({}, *ODD_COLUMNS)), "below": self.rng.choice(("root", *ODD_FOLDERS))}
            sim.context.clock = SharedClock(self.clock, sim.context.clock.now())
        self.stage = Stage(sim, name, home, small(name), **shape)
        self.shape = shape
        self.proofs = Random(f"proofs/{name}/{seed}")
        self.people = Population(self.rng, 24, proofs=self.proofs)
        self.subscribes = name == "omnisend" and self.proofs.random() < 0.7
        self.story: list[str] = []
        self.troubles = Troubles(self.rng, self.stage, self._other_task, more=more)
        self.shared = self.rng.random() < 0.2
        self._strangers()
        self._foreign_tags(Random(f"tags/{seed}"))

    def play(self) -> RunRecords:
        """Run some exports with faults, and then an export of the newest day without faults."""
        for _ in range(self.rng.randint(2, 4)):
            self._happen()
            self._export(self._day())
            if self.rng.random() < 0.1:
                self._undo()
        day = self.people.next_day(self.stage.now())
        self.stage.sim.clear_faults()
        run = self._begin(day, self.rng.choice(MODES))
        run.options.pop("guards", None)
        for _ in range(6):
            if self._attempt(run) in DONE:
                break
            self.stage.sleep(300)
        self._tell(f"{run.name} {run.mode} of day {day.number}: calm, {run.ended}")
        if not run.finished:
            self.stage.unexpected.append(f"{run.name} is calm and newest, and ended with {run.ended}")
        return self.stage.evidence(settled=True)

    def _attempt(self, run: Run, trouble: Trouble | None = None) -> str:
        """Run one attempt. If it reports damage, perhaps from an earlier attempt, run the repair command."""
        ended = self.stage.attempt(run, trouble)
        if ended == "DamagedState":
            self.stage.repair()
        return ended

    def _tell(self, event: str) -> None:
        self.story.append(event)

    def _strangers(self) -> None:
        """Add people to the audience before the first export; some of them will later be in a segment."""
        people = [address(person) for person in self.rng.sample(range(24), 3)] + ["stranger@example.org"]
        rows = [{"email": email} for email in people]
        self.stage.sim.seed(self.stage.name, rows, self.stage.audience)
        self.stage.there_before = frozenset(people)

    def _foreign_tags(self, rng: Random) -> None:
        """Tags of others, at a vendor that merges or replaces tags in an upsert; which of the two is not documented."""
        if self.stage.name != "omnisend":
            return
        people = [address(person) for person in rng.sample(range(24), 8)] + ["stranger@example.org"]
        self.stage.sim.configure({"omnisend": {"update_tags": rng.choice(("merge", "replace"))}})
        self.stage.sim.seed("omnisend", [{"email": email, "status": "nonSubscribed"} for email in people], FOREIGN_TAG)
        self.stage.foreign_tags = frozenset(people)

    def _day(self) -> Day:
        """Return the next day, or sometimes an earlier day out of order."""
        if self.people.days and self.rng.random() < 0.25:
            return self.rng.choice(self.people.days)
        return self.people.next_day(self.stage.now())

    def _begin(self, day: Day, mode: str) -> Run:
        """A run; where the audience is shared, of one of two exports, each with its own part of the people."""
        rng, rows, options = self.rng, day.rows, dict[str, object]()
        if self.shared:
            export = rng.choice(("chaos.evens", "chaos.most"))
            rows = [row for row in rows if wants(export, row)]
            options = {"export_name": export, "allow_shared_audience": True}
        if rng.random() < 0.2:
            options["fetch_optouts"] = True
        if rng.random() < 0.1:
            options["guards"] = {}
        run = self.stage.begin(day.as_of, rows, mode, files=rng.choice((1, 1, 2)), options=options)
        run.proof = self.subscribes and self.proofs.random() < 0.8
        return run

    def _export(self, day: Day) -> None:
        """Run an export with as many attempts as it needs; sometimes abandon it, or run another in between."""
        rng, stage = self.rng, self.stage
        run = self._begin(day, rng.choice(MODES))
        if rng.random() < 0.1:
            run.dry = True
            self._tell(f"{run.name} {run.mode} of day {day.number}, dry: {stage.attempt(run)}")
            return
        for _ in range(5):
            stage.sim.clear_faults()
            if self.more and rng.random() < 0.25 and self._suspended(run):
                return
            description, trouble = self.troubles.draw()
            ended = self._attempt(run, trouble)
            self._tell(f"{run.name} {run.mode} of day {day.number}: {description}: {ended}")
            if ended in DONE:
                return
            if self.more and rng.random() < 0.2:
                self._damage(run)
            chance = rng.random()
            if ended != "waiting" and chance < 0.1:
                return  # the task is never retried
            if ended != "waiting" and chance < 0.2:
                other = self._begin(self._day(), rng.choice(MODES))
                self._tell(f"{other.name} {other.mode} comes between, as of {other.as_of}: {stage.attempt(other)}")
            if chance > 0.7:
                self._happen()
            stage.sleep(rng.choice((5, 200, 4000)))
        stage.sim.clear_faults()
        self._tell(f"{run.name}: a last try: {stage.attempt(run)}")

    def _undo(self) -> None:
        """Undo the last run, as a user would."""
        last = max(self.stage.runs.values(), key=lambda run: run.as_of)
        run = self.stage.begin(last.as_of, [], "undo", options={**last.options, "undo": Undo(), "mode": "upsert"})
        description, trouble = self.troubles.draw()
        ended = self.stage.attempt(run, trouble)
        self._tell(f"{run.name} undoes the last: {description}: {ended}")
        if ended not in DONE | {"FatalError"}:
            self.stage.sim.clear_faults()
            self._tell(f"{run.name} again: {self.stage.attempt(run)}")

    def _other_task(self) -> Callable[[], None]:
        """Return another task, which begins to write to the audience between two calls of an attempt."""
        mode, day = self.rng.choice(MODES), self._day()

        def begin() -> None:
            run = self._begin(day, mode)
            self._tell(f"{run.name} {mode} of day {day.number} begins in the middle: {self.stage.attempt(run)}")

        return begin

    def _suspended(self, run: Run) -> bool:
        """Suspend a process while another run takes over, then resume it. Return whether the run has ended."""
        stage, rng = self.stage, self.rng
        if self.fork_server is None:
            return False
        at = rng.randint(1, MOST_STEPS)
        this = Try(len(run.tries) + 1, in_audience(stage.root))
        request = TryRequest(
            stage.name,
            stage.home,
            self.clock,
            {stage.name: stage.described},
            run,
            KillSwitch(str(stage.root), at, "suspend"),
            BATCH,
            shape=self.shape,
        )
        ended, answer = self.fork_server.send(request)
        run.tries.append(this)
        description = f"{run.name} {run.mode}: suspended at step {at}"
        while ended == signal.SIGSTOP:
            if rng.random() < 0.5:
                stage.unknown_to_airflow.add(run.name)
                stage.sleep(rng.choice((1, RUNS_OUT_S, RUNS_OUT_S)))
            else:
                stage.unknown_to_airflow.discard(run.name)
            other = self._begin(self._day(), rng.choice(MODES))
            self._tell(f"{description}; {other.name} {other.mode}, as of {other.as_of}: {stage.attempt(other)}")
            ended, answer = self.fork_server.go_on(int(answer))
        (done, unexpected), _ = answer
        stage.unexpected += unexpected
        run.tries[-1] = done
        done.members |= this.members | in_audience(stage.root, versions=5)
        done.in_flight, done.ended_after = CONNECTIONS, stage.last_request()
        self._tell(f"{description}: {done.ended}")
        return done.ended in DONE

    def _damage(self, run: Run) -> None:
        """Change or truncate a file between two attempts. If an attempt reports it, run the repair command."""
        stage, rng = self.stage, self.rng
        files = sorted(
            path
            for path in [*run.folder.rglob("*"), *(stage.root / "ledgers").rglob("*")]
            if path.is_file() and path.stat().st_size and DAMAGED.match(path.name)
        )
        if not files:
            return
        path = rng.choice(files)
        content = bytearray(path.read_bytes())
        if rng.random() < 0.7:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        else:
            content = content[: rng.randrange(len(content))]
        path.write_bytes(content)
        stage.asked_again += 1000
        ended = self._attempt(run)
        self._tell(f"{path.relative_to(stage.root)} is damaged: {ended}")

    def _happen(self) -> None:
        """Let people opt out or change at the vendor."""
        stage, rng = self.stage, self.rng
        for _ in range(rng.randint(0, 2)):
            stage.sleep(60)
            members = sorted(
                email for email, person in stage.people(stage.audience).items() if stage.dialect.mailable(person)
            )
            if not members:
                return
            email, how = rng.choice(members), rng.choice(OPT_OUTS[stage.name])
            if how == "leave_list" and email not in in_audience(stage.root):
                continue  # the vendor does not list people that left a list if we never added them to it
            at = len(stage.sim.requests(vendor=stage.name))
            if how in BY_ACTION:
                stage.sim.act(stage.name, how, {"email": email, "audience": stage.audience})
            else:
                stage.sim.seed(stage.name, [{"email": email, "status": how}], stage.audience)
            (stage.left if how in {"leave_list", "deleted"} else stage.opted_out)[email] = at
            stage.opt_outs.append((email, stage.now(), at))
            self._tell(f"{email} {how} after call {at}")


def wants(export: str, row: Row) -> bool:
    """Return whether a row belongs to the people that an export sends."""
    number = "".join(filter(str.isdigit, row.address))
    return not number or int(number) % (2 if export == "chaos.evens" else 3) != 1


def play(
    sim: Simulator, name: str, home: Path, seed: int, *, more: bool = False, fork_server: ForkServer | None = None
) -> tuple[RunRecords, list[str]]:
    """Play one seed; the evidence, and what happened in words."""
    schedule = Schedule(sim, name, home, seed, more=more, fork_server=fork_server)
    return schedule.play(), schedule.story
