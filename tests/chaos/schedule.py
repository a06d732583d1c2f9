"""Seeded schedules: days pass, people opt out, exports run in any order, and everything that can go wrong does."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from chaos.fault_injection import Between, KillSwitch
from chaos.fork_server import ForkServer, SharedClock, TryRequest
from chaos.population import Day, Population, address
from chaos.run_records import Row, Run, RunRecords, Try, in_audience
from chaos.stage import BATCH, CONNECTIONS, FOREIGN_TAG, Stage, Trouble, small

from airflow_provider_segexport.export.config import Undo
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.lease_files import SKEW_S, TTL_S

MODES = ("upsert", "upsert", "full", "mirror", "mirror")
RUNS_OUT_S = TTL_S + SKEW_S + 1
MOST_STEPS = 75
"""About as many steps as one export of two dozen people takes."""

OPT_OUTS: dict[str, Sequence[str]] = {
    "campaign_monitor": ("unsubscribed", "bounced", "deleted"),
    "dotdigital": ("unsubscribed", "unsubscribedFromList", "hardBounced"),
    "constant_contact": ("unsubscribe", "leave_list"),
    "omnisend": ("unsubscribe",),
}
"""Ways in which a member stops to get mail: statuses to seed, or the vendor's own actions."""

BY_ACTION = frozenset({"unsubscribe", "leave_list"})
DONE = frozenset({"finished", "StaleSnapshot", "GuardTripped"})


ODD_COLUMNS: Sequence[dict[str, str]] = (
    {"email": "e mail", "name": "select", "consent": "from", "consented_at": "at"},
    {"email": 'e"mail', "name": "it's; drop table clean; --", "consent": "{}", "consented_at": '"'},
    {
        "email": "E-Mail \N{LATIN SMALL LETTER U WITH DIAERESIS}",
        "name": "\N{HIRAGANA LETTER A}",
        "consent": "$1",
        "consented_at": "'; \\",
    },
    {"email": "row", "name": "aside", "consent": "filename", "consented_at": "proof_at"},
)
ODD_FOLDERS = ("ro ot", "ro'ot", "ro[o]t*", "day=2026-01-01", "100%25", "\N{HIRAGANA LETTER A}{x}")


class Schedule:
    """One seed at one vendor; `more` brings in what suspends, damages, skews and misnames."""

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
        self.shared = self.rng.random() < 0.2
        self._strangers()
        self._foreign_tags(Random(f"tags/{seed}"))

    def play(self) -> RunRecords:
        """Some exports with trouble, and a calm one of the newest day."""
        for _ in range(self.rng.randint(2, 4)):
            self._happen()
            self._export(self._day())
            if self.rng.random() < 0.1:
                self._undo()
        day = self.people.next_day(self.stage.now())
        self.stage.sim.clear_faults()
        run = self._begin(day, self.rng.choice(MODES))
        run.asked.pop("guards", None)
        for _ in range(6):
            if self.stage.attempt(run) in DONE:
                break
            self.stage.sleep(300)
        self._tell(f"{run.name} {run.mode} of day {day.number}: calm, {run.ended}")
        if not run.finished:
            self.stage.unexpected.append(f"{run.name} is calm and newest, and ended with {run.ended}")
        return self.stage.evidence(settled=True)

    def _tell(self, words: str) -> None:
        self.story.append(words)

    def _strangers(self) -> None:
        """People who were in the audience before we came; some will be in a segment one day, some never."""
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
        """Mostly the next one; sometimes one that has been, out of order."""
        if self.people.days and self.rng.random() < 0.25:
            return self.rng.choice(self.people.days)
        return self.people.next_day(self.stage.now())

    def _begin(self, day: Day, mode: str) -> Run:
        """A run; where the audience is shared, of one of two exports, each with its own part of the people."""
        rng, rows, asked = self.rng, day.rows, dict[str, object]()
        if self.shared:
            export = rng.choice(("chaos.evens", "chaos.most"))
            rows = [row for row in rows if wants(export, row)]
            asked = {"export_name": export, "allow_shared_audience": True}
        if rng.random() < 0.2:
            asked["fetch_optouts"] = True
        if rng.random() < 0.1:
            asked["guards"] = {}
        run = self.stage.begin(day.as_of, rows, mode, files=rng.choice((1, 1, 2)), asked=asked)
        run.proof = self.subscribes and self.proofs.random() < 0.8
        return run

    def _export(self, day: Day) -> None:
        """A run with as many tries as it takes; now and then it is left lying, or another comes between."""
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
            words, trouble = self._trouble()
            ended = stage.attempt(run, trouble)
            self._tell(f"{run.name} {run.mode} of day {day.number}: {words}: {ended}")
            if ended in DONE:
                return
            if self.more and rng.random() < 0.2:
                self._damage(run)
            chance = rng.random()
            if ended != "waiting" and chance < 0.1:
                return  # nobody ever tries again
            if ended != "waiting" and chance < 0.2:
                other = self._begin(self._day(), rng.choice(MODES))
                self._tell(f"{other.name} {other.mode} comes between, as of {other.as_of}: {stage.attempt(other)}")
            if chance > 0.7:
                self._happen()
            stage.sleep(rng.choice((5, 200, 4000)))
        stage.sim.clear_faults()
        self._tell(f"{run.name}: a last try: {stage.attempt(run)}")

    def _undo(self) -> None:
        """Somebody takes the last run back."""
        last = max(self.stage.runs.values(), key=lambda run: run.as_of)
        run = self.stage.begin(last.as_of, [], "undo", asked={**last.asked, "undo": Undo(), "mode": "upsert"})
        words, trouble = self._trouble()
        ended = self.stage.attempt(run, trouble)
        self._tell(f"{run.name} undoes the last: {words}: {ended}")
        if ended not in DONE | {"FatalError"}:
            self.stage.sim.clear_faults()
            self._tell(f"{run.name} again: {self.stage.attempt(run)}")

    def _trouble(self) -> tuple[str, Trouble]:
        """What the next try meets."""
        rng = self.rng
        kinds: list[Callable[[], tuple[str, Trouble]]] = [
            lambda: ("calm", Trouble()),
            lambda: ("leaves", Trouble(leaves=True)),
            self._kill,
            self._kill,
            self._race,
            self._disk,
            self._faults,
            self._faults,
            self._jobs,
        ]
        if self.more:
            kinds = [*kinds, self._hostile, self._hostile, self._skewed, self._skewed]
        return rng.choice(kinds)()

    def _kill(self) -> tuple[str, Trouble]:
        at, torn = self.rng.randint(1, MOST_STEPS), self.rng.random() < 0.5
        kill_switch = KillSwitch(str(self.stage.root), at, "stop", torn=torn)
        return f"killed at step {at}{' in half a line' if torn else ''}", Trouble(kill_switch)

    def _race(self) -> tuple[str, Trouble]:
        """Another task begins to write the audience between two calls of this one."""
        rng = self.rng
        at, mode, day = rng.randint(1, 20), rng.choice(MODES), self._day()

        def other() -> None:
            run = self._begin(day, mode)
            self._tell(f"{run.name} {mode} of day {day.number} begins in the middle: {self.stage.attempt(run)}")

        return f"raced at call {at}", Trouble(Between(str(self.stage.root), at, other))

    def _disk(self) -> tuple[str, Trouble]:
        at, more = self.rng.randint(1, MOST_STEPS), self.rng.randint(1, 10)
        kind, words = self.rng.choice((("disk", "disk full"), ("away", "no store")))
        return f"{words} at step {at} for {more}", Trouble(KillSwitch(str(self.stage.root), at, kind, more))

    def _faults(self) -> tuple[str, Trouble]:
        """A few calls go wrong, in ways that may be hidden from us or from the vendor."""
        rng, stage = self.rng, self.stage
        method, path = stage.dialect.upsert
        lines = []
        for _ in range(rng.randint(1, 3)):
            where = {"vendor": stage.name, "nth": rng.randint(1, 8), "count": rng.choice((1, 1, 2, 7))}
            if rng.random() < 0.6:
                where |= {"method": method, "path": path, "nth": rng.randint(1, 3)}
            lines.append(where | rng.choice(FAULTS))
        if rng.random() < 0.3:
            person = address(rng.randrange(24))
            poison = {"contains": f'"{person}"', "count": 0, "refuse": True}
            lines.append({"vendor": stage.name, "method": method, "path": path, **poison})
        stage.sim.faults(lines)
        return f"faults {lines}", Trouble(leaves=rng.random() < 0.2)

    def _jobs(self) -> tuple[str, Trouble]:
        """Jobs that fail at the vendor, where it has jobs."""
        stage, rng = self.stage, self.rng
        action, details = rng.choice(JOBS[stage.name]) if JOBS[stage.name] else ("", {})
        if action:
            stage.sim.act(stage.name, action, dict(details))
            stage.asked_again += 4
        return f"jobs {details}", Trouble(leaves=rng.random() < 0.3)

    def _hostile(self) -> tuple[str, Trouble]:
        """The vendor's replies, or those of something in its place, are not what they should be."""
        stage, rng = self.stage, self.rng
        method, path = stage.dialect.upsert
        when = rng.choice(("before", "after"))
        line = {"vendor": stage.name, "nth": rng.randint(1, 6), "count": rng.choice((1, 2)), "when": when}
        if rng.random() < 0.6:
            line |= {"method": method, "path": path, "nth": rng.randint(1, 3)}
        how, reply = rng.choice(HOSTILE)
        stage.sim.faults([{**line, **reply}])
        return f"hostile {how}, {when}, {line}", Trouble()

    def _skewed(self) -> tuple[str, Trouble]:
        """The worker's clock is wrong by an hour or a day."""
        skew = self.rng.choice((3600.0, -3600.0, 86_400.0, -86_400.0))
        return f"a clock that is {skew:+.0f} s off", Trouble(skew=skew)

    def _suspended(self, run: Run) -> bool:
        """A process that is suspended; another run takes over from it, and it goes on. True where the run has ended."""
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
        ended, told = self.fork_server.send(request)
        run.tries.append(this)
        words = f"{run.name} {run.mode}: suspended at step {at}"
        while ended == signal.SIGSTOP:
            if rng.random() < 0.5:
                stage.nobody_knows.add(run.name)
                stage.sleep(rng.choice((1, RUNS_OUT_S, RUNS_OUT_S)))
            else:
                stage.nobody_knows.discard(run.name)
            other = self._begin(self._day(), rng.choice(MODES))
            self._tell(f"{words}; {other.name} {other.mode}, as of {other.as_of}: {stage.attempt(other)}")
            ended, told = self.fork_server.go_on(int(told))
        (done, unexpected), _ = told
        stage.unexpected += unexpected
        run.tries[-1] = done
        done.members |= this.members | in_audience(stage.root, versions=5)
        done.in_flight = CONNECTIONS
        self._tell(f"{words}: {done.ended}")
        return done.ended in DONE

    def _damage(self, run: Run) -> None:
        """A file is changed or cut between two tries; somebody repairs what a try complains of."""
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
        ended = stage.attempt(run)
        self._tell(f"{path.relative_to(stage.root)} is damaged: {ended}")
        if ended == "DamagedState":
            stage.repair()

    def _happen(self) -> None:
        """People do things at the vendor."""
        stage, rng = self.stage, self.rng
        for _ in range(rng.randint(0, 2)):
            stage.sleep(60)
            members = sorted(
                email for email, one in stage.people(stage.audience).items() if stage.dialect.mailable(one)
            )
            if not members:
                return
            email, how = rng.choice(members), rng.choice(OPT_OUTS[stage.name])
            if how == "leave_list" and email not in in_audience(stage.root):
                continue  # the vendor tells nobody who has left a list that we never put them on
            at = len(stage.sim.requests(vendor=stage.name))
            if how in BY_ACTION:
                stage.sim.act(stage.name, how, {"email": email, "audience": stage.audience})
            else:
                stage.sim.seed(stage.name, [{"email": email, "status": how}], stage.audience)
            (stage.left if how in {"leave_list", "deleted"} else stage.opted_out)[email] = at
            stage.opt_outs.append((email, stage.now(), at))
            self._tell(f"{email} {how} after call {at}")


def wants(export: str, row: Row) -> bool:
    """Whether a row is in the part of the people that an export sends."""
    number = "".join(filter(str.isdigit, row.address))
    return not number or int(number) % (2 if export == "chaos.evens" else 3) != 1


FAULTS: Sequence[dict[str, object]] = (
    {"status": 429, "headers": {"Retry-After": "2"}},
    {"status": 503},
    {"status": 503, "when": "after"},
    {"drop": True},
    {"drop": True, "when": "after"},
    {"garble": "truncated", "when": "after"},
    {"garble": "html", "when": "after"},
    {"garble": "html"},
)

HOSTILE: Sequence[tuple[str, dict[str, object]]] = (
    ("depth", {"status": 200, "body": "[" * 100_000}),
    ("number", {"status": 200, "body": '{"id": 1e999, "status": ' + "9" * 5000 + "}"}),
    ("surrogate", {"status": 400, "body": '{"Code": 1, "Message": "\\ud800 \\u001b[2J <b>\\n"}'}),
    ("another kind", {"status": 200, "body": "null"}),
    ("a list", {"status": 200, "body": [[[]]]}),
    ("an empty page", {"status": 200, "body": ""}),
    ("a length of 300 MB", {"status": 502, "body": "x" * 3_000_000}),
    ("a time far ahead", {"status": 503, "headers": {"Retry-After": "9" * 30}}),
    ("a time that is past", {"status": 503, "headers": {"Retry-After": "-5"}}),
    ("a redirect", {"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}),
)
DAMAGED = re.compile(r"plan\.json|journal\.jsonl|(upserts|removals)\.arrow|standing.*\.json|0.*\.json")
"""Files that are read again; the last are leases and the history. A ledger that is lost forgets people whom a mirror
would take out, so `tests/vendors/test_damaged_state.py` damages those."""

JOBS: dict[str, Sequence[tuple[str, dict[str, object]]]] = {
    "campaign_monitor": (),
    "dotdigital": (
        ("script_jobs", {"scripts": [["NotFinished", "Failed"]]}),
        ("script_jobs", {"scripts": [["NotFinished"] * 3 + ["Finished"], ["Failed"], ["NotFinished", "Failed"]]}),
    ),
    "constant_contact": (
        ("script_jobs", {"scripts": [["initialized", "failed"]]}),
        ("script_jobs", {"scripts": [["initialized", "completed"], ["processing", "timed_out"], ["failed"]]}),
    ),
    "omnisend": (
        ("stop_batches", {"after": [2, 0]}),
        ("fail_items", {"status": 503, "every": 3, "times": 3}),
        ("script_jobs", {"scripts": [["pending", "inProgress", "inProgress", "finished"]]}),
    ),
}


def play(
    sim: Simulator, name: str, home: Path, seed: int, *, more: bool = False, fork_server: ForkServer | None = None
) -> tuple[RunRecords, list[str]]:
    """Play one seed; the evidence, and what happened in words."""
    schedule = Schedule(sim, name, home, seed, more=more, fork_server=fork_server)
    return schedule.play(), schedule.story
