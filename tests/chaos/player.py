"""Plays a sequence against the product and a simulated vendor, and compares each step with the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from chaos.outside_changes import act, changed, contact
from chaos.persons import (
    OURS,
    RULES,
    Ask,
    Belief,
    Contact,
    Done,
    Line,
    Row,
    broken,
    erased,
    recorded,
    released,
    run,
    told,
    undone,
)
from chaos.steps import PEOPLE, Break, Erase, Export, Hand, Release, Sequence, Step
from vendors.harness import VendorHarness

from airflow_provider_segexport.errors import (
    FatalError,
    GuardTripped,
    InvalidArgument,
    InvalidSegment,
    SegexportError,
    StaleSnapshot,
)
from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.config import Consent, ExportConfig, Guard, PendingJobs
from airflow_provider_segexport.export.config import Undo as ProductUndo
from airflow_provider_segexport.export.pipeline import Export as Product
from airflow_provider_segexport.http.client import RetryLimits
from airflow_provider_segexport.person.erase import ErasureDeps, erase
from airflow_provider_segexport.person.explain import PersonRecord
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import local_path

FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = {"campaign_monitor": "Orders", "constant_contact": "Orders", "dotdigital": "ORDERS"}
OFF = (
    "min_rows",
    "max_shrink",
    "max_growth",
    "max_removals_share",
    "max_invalid_emails_share",
    "max_duplicates_share",
    "max_rejected_share",
)
JOB_S = 600
HANGS = 60


NOTES = "adopt_existing" in {field.name for field in fields(ExportConfig)}
"""The product notes people who were in the audience before, and withdrawals in another export of the audience."""


class Disagreement(AssertionError):
    """Model and product say different things of a step."""


class Struck(BaseException):
    """The worker was killed."""


def address(person: str) -> str:
    return f"{person}@example.com"


def one_by_one(account: VendorHarness) -> VendorHarness:
    """Let calls leave one after another, so that a break strikes the same call on each machine."""
    removal = account.vendor.removal
    if removal is not None:
        alone = replace(removal, limits=replace(removal.limits, max_concurrency=1))
        account.vendor = replace(account.vendor, removal=alone)
    return account


class Calls:
    """Sends a run's calls until the worker is killed at one of them."""

    def __init__(self, send: Any, at: int, *, after: bool) -> None:
        self._send, self._at, self._after = send, at, after
        self._count = 0

    def __call__(self, request: Any) -> Any:
        self._count += 1
        if self._count > self._at or (self._count == self._at and not self._after):
            raise Struck
        response = self._send(request)
        if self._count == self._at:
            raise Struck
        return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._send, name)


class Player:
    """One sequence at one vendor; `play` raises `Disagreement` at the first step that differs."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        sim.reset(seed=1, latency=0.0, log_body_bytes=0)
        self.sequence = sequence
        self.vendor = RULES[sequence.vendor]
        self.account = one_by_one(VendorHarness(sim, sequence.vendor, home, batch_rows=3, max_concurrency=1))
        self.beliefs: dict[str, set[Belief]] = {person: {Belief()} for person in PEOPLE}
        self.day = 3
        self.runs = 0
        self.finished = False
        #: A run may have ended before its verdicts were in the ledger.
        self.open = False
        self.newest: dict[str, tuple[int, int]] = {}
        #: What each run did, with its export, and the snapshot that the export was at before; None where that is not
        #: known, or for an undo.
        self.history: list[Past | None] = []

    def play(self) -> None:
        """Play all steps."""
        for number, step in enumerate(self.sequence.steps, 1):
            try:
                self.step(step)
            except Disagreement as error:
                raise Disagreement(f"{self.sequence}\nstep {number}: {error}") from error
            except Exception as error:
                raise Disagreement(f"{self.sequence}\nstep {number}: {type(error).__name__}: {error}") from error

    def step(self, step: Step) -> None:
        """Play one step."""
        if isinstance(step, Hand):
            self.hand(step)
        elif isinstance(step, Export):
            self.export(step)
        elif isinstance(step, Erase):
            self.erase(step.person)
        elif isinstance(step, Release):
            self.release(step)
        elif self.sure:
            self.undo(step.export)

    def erase(self, person: str) -> None:
        """Take a person out of the audience and of everything that is kept."""
        account = self.account

        def take_out(known: PersonRecord, whom: Person) -> str:
            target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
            contact_id = str((known.ledger or {}).get("contact_id") or "")
            return VendorRemover(account.vendor, target, account.call, account.sleep).take_out(whom.email, contact_id)

        revives = account.vendor.resubscribe_removed is not None
        tools = ErasureDeps(
            account.home, local_path, take_out, account.sim.clock.now, account.sleep, marks=lambda _: revives
        )
        receipt = erase(tools, Person.of(address(person)), "the model")
        broke = any(isinstance(step, Export) and step.trouble for step in self.sequence.steps)
        if not (receipt.complete or broke):
            raise Disagreement(f"the erasure left {receipt.left}")
        contacts, (ledger, _) = self.contacts(), self.lines()
        possible = {after for belief in self.beliefs[person] for after in erased(self.vendor, belief)}
        if not receipt.complete:
            possible |= self.beliefs[person]
        if receipt.complete and address(person) in ledger:
            raise Disagreement(f"{person} was erased, and is in the ledger: {ledger[address(person)]}")
        kept = {belief for belief in possible if belief.contact == contacts[person]}
        if not kept:
            raise Disagreement(f"{person}: erased, left {receipt.left}, and is {contacts[person]}; {possible}")
        self.beliefs[person] = kept
        self.history = [None]

    def release(self, step: Release) -> None:
        """End an export's use of the audience."""
        used = {name for name, (sure, _) in self.newest.items() if sure}
        before = self.contacts()
        what = releasing.Release(step.export, step.to, step.keep)
        try:
            outlook = releasing.release(
                self.book.path, what, clock=self.account.sim.clock.now, sleep=self.account.sleep
            )
        except SegexportError as error:
            if step.export in used and not self.open:
                raise Disagreement(f"the release was refused: {error}") from error
            return
        finally:
            self.expect_nothing_new(before)
        if step.export not in self.newest:
            raise Disagreement("an export was released that has not used the audience")
        if outlook.renames != (step.to != "" and step.to not in self.newest):
            raise Disagreement(f"{step.to} has used the audience before, or not: {outlook}")
        snapshot = self.newest.pop(step.export)
        if outlook.renames:
            self.newest[step.to] = snapshot
        held = [one for beliefs in self.beliefs.values() for one in beliefs if one.entry and one.entry.state in OURS]
        alone = [one for one in held if one.entry and one.entry.holders == {step.export}]
        if outlook.alone > len(alone):
            raise Disagreement(f"the release speaks of {outlook.alone} people, and the model of {alone}")
        self.history.append(None)
        for person, beliefs in self.beliefs.items():
            self.beliefs[person] = {
                released(one, step.export, step.to, keep=step.keep, renames=outlook.renames) for one in beliefs
            }

    # What the ledger says

    @cached_property
    def book(self) -> Ledger:
        """The audience's ledger."""
        target = self.account.call(self.account.vendor.resolve_audience(self.account.endpoint, self.account.audience))
        return Ledger.of(self.account.home, self.account.name, target)

    def lines(self) -> tuple[dict[str, dict[str, Any]], dict[str, Line]]:
        """Read the newest version of the ledger: its rows by address, and what the model compares of each."""
        version = self.book.version()
        rows = {row["email"]: row for row in pq.read_table(self.book.file(version)).to_pylist()} if version else {}
        sharers = AudienceState.of(self.book.path).sharers

        def names(bits: int | None) -> frozenset[str]:
            return frozenset(name for at, name in enumerate(sharers) if (bits or 0) >> at & 1)

        return rows, {
            email: Line(row["state"], names(row["sharers_mask"]), names(row["barred"])) for email, row in rows.items()
        }

    # What another hand does

    def hand(self, step: Hand) -> None:
        """Change a person at the vendor, and what the model holds of them."""
        held = self.contacts()[step.person]
        after = changed(self.sequence.vendor, held, step.action)
        if after is False:
            return
        act(self.account, address(step.person), step.action)
        seen = self.contacts()[step.person]
        if seen != after:
            raise Disagreement(f"the simulator holds {seen}, and the model {after}")
        self.beliefs[step.person] = {
            Belief(seen, belief.entry) for belief in self.beliefs[step.person] if belief.contact == held
        }

    # A run

    def export(self, step: Export) -> None:
        """Run an export, and compare what it did with what the model says."""
        self.day += 1
        self.runs += 1
        lines = placed(step)
        if not any(person in PEOPLE for person, _ in lines):
            return
        asks = {person: self.ask(step, person) for person in PEOPLE}
        before = self.contacts()
        as_of = self.day - step.days_back
        try:
            report = self.run(step, lines, as_of, self.mark(step, lines, as_of))
        except (SegexportError, Struck) as error:
            self.recover()
            if self.refused(step, asks, before, as_of, error):
                return
            report = None
        self.recover()
        if report is not None and all(self.lost(*one) == {True} for one in asks.items()):
            raise Disagreement("a segment was exported of which every row is rejected before anything is sent")
        known, maybe = snapshot = self.newest.get(step.export, (0, 0))
        if as_of < known and report is not None and not step.verify:
            raise Disagreement("an older snapshot was exported")
        if report is not None and (step.dry or report.get("comparison_only")):
            self.expect_nothing_new(before)
            return
        if report is not None and step.approved is False:
            raise Disagreement("a plan was carried out that no one has approved")
        self.open = report is None
        self.newest[step.export] = (as_of if report is not None else known, max(maybe, as_of))
        if report is None:
            self.history.append(None)
            self.follow_broken(asks)
        else:
            self.finished = True
            sure = self.sure
            did = self.follow(asks, lines, report)
            self.history.append(Past(did, step.export, snapshot) if sure and self.sure else None)

    def refused(
        self,
        step: Export,
        asks: Mapping[str, Ask],
        before: Mapping[str, Contact | None],
        as_of: int,
        error: SegexportError | Struck,
    ) -> bool:
        """Return whether a run was refused as a whole; raise if it was to come to its end."""
        if isinstance(error, StaleSnapshot) and as_of < self.newest.get(step.export, (0, 0))[1]:
            self.expect_nothing_new(before)
            return True
        if isinstance(error, InvalidSegment) and all(self.lost(person, ask) != {False} for person, ask in asks.items()):
            self.expect_nothing_new(before)
            return True
        if isinstance(error, InvalidArgument) and step.approved is False:
            self.expect_nothing_new(before)
            return True
        if isinstance(error, GuardTripped) and step.guard == "fail":
            self.expect_nothing_new(before)
            self.trip(asks)
            return True
        if step.trouble is None or isinstance(error, FatalError):
            raise Disagreement(f"{type(error).__name__}: {error}") from error
        return False

    def undo(self, export: str) -> None:
        """Take back the newest run of an export, or of any, that put people in or took people out."""
        at = next((at for at in reversed(range(len(self.history))) if moved(self.history[at], export)), None)
        if at is None or len(self.history) - at > VERSIONS or None in self.history[at:]:
            return
        last = self.history[at]
        assert last is not None
        now = {person: next(iter(beliefs)).entry for person, beliefs in self.beliefs.items()}
        later = [
            person
            for person, done in last.did.items()
            if done.kind(last.export) and done.overtaken(last.export, now[person])
        ]
        self.runs += 1
        before = self.contacts()
        try:
            self.account.undo(ProductUndo(), f"run-{self.runs}", export_name=export)
        except FatalError:
            if not later:
                raise
            self.expect_nothing_new(before)
            return
        if later:
            raise Disagreement(f"a later run changed {later}, and the undo was carried out")
        self.history.append(None)
        self.newest[last.export] = last.snapshot
        contacts, (ledger, lines) = self.contacts(), self.lines()
        for person, done in last.did.items():
            possible = {
                after for belief in self.beliefs[person] for after in undone(self.vendor, belief, done, last.export)
            }
            held = lines.get(address(person))
            kept = {after for after in possible if after.contact == contacts[person] and recorded(after.entry, held)}
            if not kept:
                raise Disagreement(
                    f"{person}: after the undo of {last.export} {contacts[person]}, {ledger.get(address(person))};"
                    f"\n  the model has {possible}\n  from {self.beliefs[person]}"
                )
            self.beliefs[person] = kept

    @property
    def sure(self) -> bool:
        """There is one belief of each person."""
        return all(len(beliefs) == 1 for beliefs in self.beliefs.values())

    def lost(self, person: str, ask: Ask) -> set[bool]:
        """Return whether all rows of the person are rejected before anything is sent; both where that is not known."""
        if not ask.rows:
            return {True}
        bad = len(ask.rows) == 1 and ask.rows[0].bad and not ask.refused
        return {bad and not (one.entry and one.entry.bars - {ask.export}) for one in self.beliefs[person]}

    def ask(self, step: Export, person: str) -> Ask:
        rows = dict(step.rows).get(person, ())
        suppressed = person in step.suppressed
        return Ask(
            step.export,
            step.mode,
            rows,
            suppressed,
            keep=step.guard == "skip_removals",
            shared=self.sequence.shared,
            bars=NOTES and self.sequence.shared,
            reads=NOTES and (self.vendor.remembers or not self.finished),
        )

    def mark(self, step: Export, lines: list[tuple[str | None, Row]], as_of: int) -> str:
        """Return the mark of the plan that the run may carry out: its own, another one, or none."""
        if step.approved is None or step.dry:
            return ""
        if not step.approved or self.open:  # an unfinished run before it changes the plan
            return "0" * 24 if not step.approved else ""
        looked = self.run(replace(step, dry=True, trouble=None), lines, as_of)
        self.runs += 1
        return str(looked["plan_hash"]) if looked else ""

    def run(
        self, step: Export, lines: list[tuple[str | None, Row]], as_of: int, mark: str = ""
    ) -> Mapping[str, Any] | None:
        """Run the product; None if it left for jobs."""
        account, name = self.account, f"run-{self.runs}"
        columns: dict[str, Any] = {
            "email": [line if line is None or " " in line else address(line) for line, _ in lines],
            "first": [row.value for _, row in lines],
            "agreed": [row.consent for _, row in lines],
            "orders": pa.array(["many" if row.bad else None for _, row in lines], pa.string()),
        }
        segment = account.segment(columns, f"{name}.parquet")
        suppression = []
        if step.suppressed:
            suppression = [account.home / f"{name}-stop.parquet"]
            pq.write_table(pa.table({"email": [address(one) for one in sorted(step.suppressed)]}), suppression[0])
        guards: dict[str, Guard | None] = dict.fromkeys(OFF)
        if step.guard:
            guards["max_removals"] = Guard(0, step.guard)  # type: ignore[arg-type]
        custom = ORDERS.get(account.name)
        order = account.config(
            segment,
            as_of=(FIRST_DAY + timedelta(days=as_of)).isoformat(),
            by=f"dag/task/{name}/0",
            export_name=step.export,
            mode=step.mode,
            allow_shared_audience=self.sequence.shared,
            field_mapping={"first_name": "first"},
            custom_fields={custom: "orders"} if custom else {},
            consent=Consent("agreed", tuple(map(str, suppression))),
            guards=guards,
            dry_run=step.dry,
            on_stale="verify" if step.verify else "skip",
            expected_plan=mark,
        )
        environment = self.environment(name, step.trouble)
        try:
            report = Product(account.vendor, account.endpoint, order, environment).run()
        finally:
            environment.http.close()
        return None if isinstance(report, PendingJobs) else report

    def environment(self, name: str, trouble: Break | None) -> Any:
        """Make the world of a run, with its trouble."""
        account, polls = self.account, [0]

        def pause(_: int) -> bool:
            polls[0] += 1
            account.sim.clock.advance(JOB_S / 10)
            if polls[0] > HANGS:
                raise Disagreement("the run waits without an end")
            return True

        options: dict[str, Any] = {"pause": pause, "is_task_running": lambda _: False}
        if trouble is None:
            return account.environment(name, **options)
        if trouble.kind == "killed":
            options["send"] = Calls(account.sender(), trouble.at, after=trouble.after)
        elif trouble.kind == "left":
            account.sim.configure({account.name: {"job_seconds": JOB_S}})
            options["pause"] = lambda _: False
        elif trouble.kind == "jobs":
            states = {"dotdigital": [["NotFinished", "Failed"]], "constant_contact": [["initialized", "failed"]]}
            if account.name == "omnisend":
                account.sim.act(account.name, "stop_batches", {"after": [1]})
            else:
                account.sim.act(account.name, "script_jobs", {"scripts": states[account.name]})
        else:
            options["patience"] = RetryLimits(attempts=1)
            method, path = (trouble.removals and account.row.removal) or account.row.upsert
            line = {"status": 503} if trouble.kind == "503" else {"drop": True, "when": "after"}
            fault = {
                "vendor": account.name,
                "method": method,
                "path": f"{path}$",
                "nth": trouble.at % 3 + 1,
                "count": 0,
            }
            account.sim.faults([{**fault, **line}])
        return account.environment(name, **options)

    def recover(self) -> None:
        """Let things be as usual after a run."""
        self.account.sim.clear_faults()
        self.account.sim.clock.advance(200)
        if self.vendor.jobs:
            self.account.sim.configure({self.account.name: {"job_seconds": 1}})

    # What is compared

    def follow(
        self, asks: Mapping[str, Ask], lines: list[tuple[str | None, Row]], report: Mapping[str, Any]
    ) -> dict[str, Done]:
        """Keep the beliefs that agree with a run that came to its end; at least one of each person must remain.

        Returns:
            What the run did about each person.
        """
        did: dict[str, Done] = {}
        contacts, (ledger, held) = self.contacts(), self.lines()
        written = {one["email"]: one["reason"] for one in self.read("optouts.parquet")}
        aside, gone = self.read("rejects.parquet"), self.read("removals.parquet")
        counts: Counter[str] = Counter()
        span: Counter[str] = Counter()
        for person, ask in asks.items():
            email = address(person)
            rows = [number for number, (line, _) in enumerate(lines) if line == person]
            said = tuple(
                next(((one["outcome"], one["reason"]) for one in aside if one["row"] == number), None)
                for number in rows
            )
            removal = next((one for one in gone if one["email"] == email), None)
            possible = {after for belief in self.beliefs[person] for after in run(self.vendor, belief, ask)}
            kept = {
                after
                for after in possible
                if after.contact == contacts[person]
                and agrees(said, after)
                and (removal["outcome"] if removal else "removed") == (after.removal or ("removed",))[0]
                and recorded(after.entry, held.get(email))
            }
            if not kept:
                raise Disagreement(
                    f"{person}: the product has {contacts[person]}, rows {said}, removal {removal}, ledger"
                    f" {ledger.get(email)};\n  the model has\n    "
                    + "\n    ".join(map(repr, possible))
                    + "\n  from\n    "
                    + "\n    ".join(map(repr, self.beliefs[person]))
                )
            self.opt_outs(person, kept, written.get(email))
            low = {what: min(tally(one)[what] for one in kept) for what in OUTCOMES}
            high = {what: max(tally(one)[what] for one in kept) for what in OUTCOMES}
            counts.update(low)
            span.update({what: high[what] - low[what] for what in OUTCOMES})
            did[person] = Done(next(iter(self.beliefs[person])).entry, next(iter(kept)).entry)
            self.beliefs[person] = {Belief(one.contact, one.entry) for one in kept}
        strays = [line for line, _ in lines if line is None or " " in line]
        counts["rejected"] += len(strays)
        figures = {**report["counts"], "removed": report.get("removals", {}).get("removed", 0)}
        for what in OUTCOMES:
            if not counts[what] <= figures.get(what, 0) <= counts[what] + span[what]:
                raise Disagreement(
                    f"the report counts {figures.get(what, 0)} {what}, and the model {counts[what]} to"
                    f" {counts[what] + span[what]}; {report['counts']} {report.get('removals')} {report['reasons']}"
                )
        return did

    def opt_outs(self, person: str, kept: set[Belief], reason: str | None) -> None:
        """Compare what the run wrote for the warehouse about a person; None if it wrote nothing."""
        contact = next(iter(self.beliefs[person])).contact
        may = {told(self.vendor, contact, after) for after in kept}
        if may == {reason is None}:
            raise Disagreement(
                f"{person}: optouts.parquet has {reason}; before the run {contact}; the model has {kept}"
            )

    def follow_broken(self, asks: Mapping[str, Ask]) -> None:
        """Widen the beliefs by all that a run may have done that stopped half-way."""
        self.account.sim.clock.advance(JOB_S)
        contacts = self.contacts()
        for person, ask in asks.items():
            possible = {after for belief in self.beliefs[person] for after in broken(self.vendor, belief, ask)}
            kept = {after for after in possible if after.contact == contacts[person]}
            if not kept:
                raise Disagreement(f"{person}: after a broken run the vendor has {contacts[person]}; {possible}")
            self.beliefs[person] = kept

    def expect_nothing_new(self, before: Mapping[str, Contact | None]) -> None:
        """A run that was refused, or a dry run, changes nothing at the vendor."""
        if self.contacts() != before:
            raise Disagreement(f"a run that must change nothing changed {before} to {self.contacts()}")

    def trip(self, asks: Mapping[str, Ask]) -> None:
        """The guard on removals may stop a run only if there are people to take out."""
        for person, ask in asks.items():
            for belief in self.beliefs[person]:
                if any(after.removal for after in run(self.vendor, belief, ask)):
                    return
        raise Disagreement("the guard on removals stopped a run that takes out nobody")

    def read(self, name: str) -> list[dict[str, Any]]:
        """Read a file of the last run's folder, of its newest generation."""
        folders = sorted((self.account.home / "runs" / f"run-{self.runs}").glob(f"*/{name}"))
        return pq.read_table(folders[-1]).to_pylist() if folders else []

    def contacts(self) -> dict[str, Contact | None]:
        """Read what the simulator holds of each person."""
        self.account.sim.clock.advance(60)
        members = self.people(self.account.audience)
        others = {} if self.account.name == "campaign_monitor" else self.people("all-contacts")
        if self.account.name == "constant_contact":
            others |= self.people("deleted")
        return {
            person: contact(self.account.name, members.get(address(person)), others.get(address(person)))
            for person in PEOPLE
        }

    def people(self, view: str) -> dict[str, dict[str, Any]]:
        found: Any = self.account.sim.members(self.account.name, view)["members"]
        return {str(one["email"]): one for one in found}


OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "removed")


VERSIONS = 4
"""The ledger keeps five versions: the one to be taken back and the one before it must be among them."""


@dataclass(frozen=True)
class Past:
    """A run that came to its end.

    Attributes:
        did: what it made of each person.
        export: whose run it was.
        snapshot: what the export was at before.
    """

    did: dict[str, Done]
    export: str
    snapshot: tuple[int, int]


def moved(one: Past | None, export: str) -> bool:
    """Return whether a run of an export, any if it is empty, put people in, took people out or gave people up."""
    return one is not None and export in {"", one.export} and any(done.kind(one.export) for done in one.did.values())


def tally(belief: Belief) -> Counter[str]:
    """Count a person's rows and removal by their ends."""
    counts = Counter(outcome for outcome, _ in belief.rows)
    counts["removed"] += (belief.removal or ("",))[0] == "removed"
    return counts


def agrees(said: Iterable[tuple[str, str | None] | None], belief: Belief) -> bool:
    """Return whether the rows that are set aside are the ones that the belief sets aside."""
    expected = [None if outcome in {"delivered", "unchanged"} else (outcome, reason) for outcome, reason in belief.rows]
    return list(said) == expected


def placed(step: Export) -> list[tuple[str | None, Row]]:
    """Place the rows of a segment: each person's first row, the strays, and then the repeats."""
    firsts = [(person, rows[0]) for person, rows in step.rows]
    repeats = [(person, row) for person, rows in step.rows for row in rows[1:]]
    return [*firsts, *((stray, Row()) for stray in step.strays), *repeats]
