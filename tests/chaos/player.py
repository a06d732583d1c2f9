"""Plays a sequence against the product and a simulated vendor, and compares each step with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chaos.comparison import Comparison
from chaos.outside_changes import act, changed
from chaos.person_model import OURS, Belief, Contact, Row, RunRequest, matches_ledger
from chaos.product_runs import Disagreement, WorkerKilled, address
from chaos.steps import PEOPLE, Erase, Export, Hand, Release, Sequence, Step, segment_lines
from chaos.undo_model import FinishedRun, after_erasure, after_release, after_undo, changed_people

from airflow_provider_segexport.errors import (
    FatalError,
    GuardTripped,
    InvalidArgument,
    InvalidSegment,
    SegexportError,
    StaleSnapshot,
)
from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.config import Undo as ProductUndo
from airflow_provider_segexport.person.erase import ErasureDeps, erase
from airflow_provider_segexport.person.explain import PersonRecord
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.paths import local_path

MAX_UNDO_STEPS = 4
"""The ledger keeps five versions. An undo needs the version that it reverts and the one before it."""


class Player(Comparison):
    """One sequence at one vendor; `play` raises `Disagreement` at the first step that differs."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        super().__init__(sim, home, sequence)
        self.day = 3
        self.finished = False
        #: A run may have ended before its batch results were in the ledger.
        self.has_unfinished_run = False
        self.newest: dict[str, tuple[int, int]] = {}
        #: The effect of each run; None if it is not known, or for an undo.
        self.history: list[FinishedRun | None] = []

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
            self.change_at_vendor(step)
        elif isinstance(step, Export):
            self.export(step)
        elif isinstance(step, Erase):
            self.erase(step.person)
        elif isinstance(step, Release):
            self.release(step)
        elif self.is_certain:
            self.undo(step.export)

    def erase(self, person: str) -> None:
        """Take a person out of the audience and of everything that is stored."""
        account = self.account

        def take_out(record: PersonRecord, subject: Person) -> str:
            target = account.call(account.vendor.resolve_audience(account.endpoint, account.audience))
            return VendorRemover(account.vendor, target, account.call, account.sleep).remove(subject.email)

        marks_erased = account.vendor.resubscribe_removed is not None
        deps = ErasureDeps(
            account.home, local_path, take_out, account.sim.clock.now, account.sleep, marks=lambda _: marks_erased
        )
        receipt = erase(deps, Person.of(address(person)), "the model")
        broke = any(isinstance(step, Export) and step.trouble for step in self.sequence.steps)
        if not (receipt.complete or broke):
            raise Disagreement(f"the erasure left {receipt.left}")
        contacts, (ledger, _) = self.contacts(), self.read_ledger()
        possible = {after for belief in self.beliefs[person] for after in after_erasure(self.vendor, belief)}
        if not receipt.complete:
            possible |= self.beliefs[person]
        if receipt.complete and address(person) in ledger:
            raise Disagreement(f"{person} was erased, and is in the ledger: {ledger[address(person)]}")
        remaining = {belief for belief in possible if belief.contact == contacts[person]}
        if not remaining:
            raise Disagreement(f"{person}: erased, left {receipt.left}, and is {contacts[person]}; {possible}")
        self.beliefs[person] = remaining
        self.history = [None]

    def release(self, step: Release) -> None:
        """End an export's use of the audience."""
        used = {name for name, (sure, _) in self.newest.items() if sure}
        before = self.contacts()
        request = releasing.Release(step.export, step.to, step.keep)
        try:
            outlook = releasing.release(
                self.ledger.path, request, clock=self.account.sim.clock.now, sleep=self.account.sleep
            )
        except SegexportError as error:
            if step.export in used and not self.has_unfinished_run:
                raise Disagreement(f"the release was refused: {error}") from error
            return
        finally:
            self.check_nothing_changed(before)
        if step.export not in self.newest:
            raise Disagreement("an export was released that has not used the audience")
        if outlook.renames != (step.to != "" and step.to not in self.newest):
            raise Disagreement(f"{step.to} has used the audience before, or not: {outlook}")
        snapshot = self.newest.pop(step.export)
        if outlook.renames:
            self.newest[step.to] = snapshot
        entries = [belief.entry for beliefs in self.beliefs.values() for belief in beliefs if belief.entry]
        alone = [entry for entry in entries if entry.state in OURS and entry.holders == {step.export}]
        if outlook.alone > len(alone):
            raise Disagreement(f"the release counts {outlook.alone} people, and the model {alone}")
        self.history.append(None)
        for person, beliefs in self.beliefs.items():
            self.beliefs[person] = {
                after_release(belief, step.export, step.to, keep=step.keep, renames=outlook.renames)
                for belief in beliefs
            }

    def change_at_vendor(self, step: Hand) -> None:
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

    def export(self, step: Export) -> None:
        """Run an export, and compare its effect with the model."""
        self.day += 1
        self.runs += 1
        lines = segment_lines(step)
        if not any(person in PEOPLE for person, _ in lines):
            return
        requests = {person: self.run_request(step, person) for person in PEOPLE}
        before = self.contacts()
        as_of = self.day - step.days_back
        try:
            report = self.run_export(step, lines, as_of, self.expected_plan_hash(step, lines, as_of))
        except (SegexportError, WorkerKilled) as error:
            self.recover()
            if self.was_refused(step, requests, before, as_of, error):
                return
            report = None
        self.recover()
        if report is not None and all(self.all_rows_rejected(*one) == {True} for one in requests.items()):
            raise Disagreement("a segment was exported of which every row is rejected before anything is sent")
        finished, started = snapshot = self.newest.get(step.export, (0, 0))
        if as_of < finished and report is not None and not step.verify:
            raise Disagreement("an older snapshot was exported")
        if report is not None and (step.dry or report.get("comparison_only")):
            self.check_nothing_changed(before)
            return
        if report is not None and step.approved is False:
            raise Disagreement("a plan was carried out that no one has approved")
        self.has_unfinished_run = report is None
        self.newest[step.export] = (as_of if report is not None else finished, max(started, as_of))
        if report is None:
            self.history.append(None)
            self.compare_broken_run(requests)
        else:
            self.finished = True
            sure = self.is_certain
            results = self.compare_finished_run(requests, lines, report)
            self.history.append(FinishedRun(results, step.export, snapshot) if sure and self.is_certain else None)

    def was_refused(
        self,
        step: Export,
        requests: Mapping[str, RunRequest],
        before: Mapping[str, Contact | None],
        as_of: int,
        error: SegexportError | WorkerKilled,
    ) -> bool:
        """Return whether a run was refused as a whole; raise if the model expects it to finish."""
        if isinstance(error, StaleSnapshot) and as_of < self.newest.get(step.export, (0, 0))[1]:
            self.check_nothing_changed(before)
            return True
        if isinstance(error, InvalidSegment) and all(
            self.all_rows_rejected(person, request) != {False} for person, request in requests.items()
        ):
            self.check_nothing_changed(before)
            return True
        if isinstance(error, InvalidArgument) and step.approved is False:
            self.check_nothing_changed(before)
            return True
        if isinstance(error, GuardTripped) and step.guard == "fail":
            self.check_nothing_changed(before)
            self.check_removals_guard(requests)
            return True
        if step.trouble is None or isinstance(error, FatalError):
            raise Disagreement(f"{type(error).__name__}: {error}") from error
        return False

    def undo(self, export: str) -> None:
        """Take back the newest run of an export, or of any, that added or removed people."""
        at = next((at for at in reversed(range(len(self.history))) if changed_people(self.history[at], export)), None)
        if at is None or len(self.history) - at > MAX_UNDO_STEPS or None in self.history[at:]:
            return
        last = self.history[at]
        assert last is not None
        now = {person: next(iter(beliefs)).entry for person, beliefs in self.beliefs.items()}
        later = [
            person
            for person, done in last.results.items()
            if done.kind(last.export) and done.overtaken(last.export, now[person])
        ]
        self.runs += 1
        before = self.contacts()
        try:
            self.account.undo(ProductUndo(), f"run-{self.runs}", export_name=export)
        except FatalError:
            if not later:
                raise
            self.check_nothing_changed(before)
            return
        if later:
            raise Disagreement(f"a later run changed {later}, and the undo was carried out")
        self.history.append(None)
        self.newest[last.export] = last.snapshot
        contacts, (ledger, lines) = self.contacts(), self.read_ledger()
        for person, done in last.results.items():
            possible = {
                after for belief in self.beliefs[person] for after in after_undo(self.vendor, belief, done, last.export)
            }
            held = lines.get(address(person))
            remaining = {
                after for after in possible if after.contact == contacts[person] and matches_ledger(after.entry, held)
            }
            if not remaining:
                raise Disagreement(
                    f"{person}: after the undo of {last.export} {contacts[person]}, {ledger.get(address(person))};"
                    f"\n  the model has {possible}\n  from {self.beliefs[person]}"
                )
            self.beliefs[person] = remaining

    def all_rows_rejected(self, person: str, request: RunRequest) -> set[bool]:
        """Return whether all rows of the person are rejected before anything is sent; both if that is not known."""
        if not request.rows:
            return {True}
        bad = len(request.rows) == 1 and request.rows[0].bad and not request.refused
        return {bad and not (belief.entry and belief.entry.bars - {request.export}) for belief in self.beliefs[person]}

    def run_request(self, step: Export, person: str) -> RunRequest:
        rows = dict(step.rows).get(person, ())
        suppressed = person in step.suppressed
        return RunRequest(
            step.export,
            step.mode,
            rows,
            suppressed,
            keep=step.guard == "skip_removals",
            shared=self.sequence.shared,
            bars=self.sequence.shared,
            reads=self.vendor.remembers or not self.finished,
        )

    def expected_plan_hash(self, step: Export, lines: list[tuple[str | None, Row]], as_of: int) -> str:
        """Return the hash of the plan that the run may execute: its own, another one, or an empty string."""
        if step.approved is None or step.dry:
            return ""
        if not step.approved or self.has_unfinished_run:  # after an unfinished run the plan differs
            return "0" * 24 if not step.approved else ""
        report = self.run_export(replace(step, dry=True, trouble=None), lines, as_of)
        self.runs += 1
        return str(report["plan_hash"]) if report else ""
