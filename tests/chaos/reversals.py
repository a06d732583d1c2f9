"""Plays an undo, an erasure and a release of an export, and compares each with the model."""

from __future__ import annotations

from pathlib import Path

from chaos.comparison import Comparison
from chaos.person_model import OURS, matches_ledger
from chaos.product_runs import Disagreement, address
from chaos.steps import Export, Release, Sequence
from chaos.undo_model import (
    FinishedRun,
    after_erasure,
    after_incomplete_erasure,
    after_release,
    after_undo,
    changes,
    surely_changes,
)

from airflow_provider_segexport.errors import FatalError, SegexportError
from airflow_provider_segexport.export import release as releasing
from airflow_provider_segexport.export.config import Undo as ProductUndo
from airflow_provider_segexport.person.erase import NO_STATE, ErasureDeps, erase
from airflow_provider_segexport.person.explain import PersonRecord
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.vendor_removal import VendorRemover
from airflow_provider_segexport.simulator import Simulator
from airflow_provider_segexport.storage.paths import local_path

MAX_UNDO_STEPS = 4
"""The ledger keeps five versions. An undo needs the version that it reverts and the one before it."""


class Reversals(Comparison):
    """Runs and commands that remove people from the audience, or an export, besides the exports themselves."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        super().__init__(sim, home, sequence)
        #: A run may have ended before its batch results were in the ledger.
        self.has_unfinished_run = False
        self.newest: dict[str, tuple[int, int]] = {}
        #: The effect of each run; None if it is not known, or for an undo.
        self.history: list[FinishedRun | None] = []

    def erase(self, person: str) -> None:
        """Erase a person from the audience and from all stored files."""
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
        is_complete = all(NO_STATE in message for message in receipt.left)
        if not (is_complete or broke):
            raise Disagreement(f"the erasure left {receipt.left}")
        contacts, (ledger, _) = self.contacts(), self.read_ledger()
        afterwards = after_erasure if is_complete else after_incomplete_erasure
        possible = {after for belief in self.beliefs[person] for after in afterwards(self.vendor, belief)}
        if not is_complete:
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
        may_be_used = step.to in self.newest  # a run that broke off may have stopped before it became a sharer
        is_used = may_be_used and self.newest[step.to][0] > 0
        if outlook.renames not in ({step.to != "" and not is_used, step.to != "" and not may_be_used}):
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

    def run_undo(self, export: str) -> None:
        """Undo the last run of an export, or of any, in the product."""
        run = f"run-{self.runs}"
        self.account.export(
            self.account.home / "none.parquet",
            run,
            environment=self.environment(run, None),
            undo=ProductUndo(),
            by=f"dag/undo/{run}/0",
            export_name=export,
        )

    def undo(self, export: str) -> None:
        """Undo the newest run, of one export or of any, that added or removed people."""
        at = next((at for at in reversed(range(len(self.history))) if changes(self.history[at], export)), None)
        if at is None or len(self.history) - at > MAX_UNDO_STEPS:
            return
        last, *newer = self.history[at:]
        if None in newer or last is None or not surely_changes(last) or not all(run.sure for run in newer if run):
            return
        if not (self.is_certain if last.sure else not newer):
            return
        later = [
            person
            for person, beliefs in self.beliefs.items()
            if last.sure
            and any(done.overtaken(last.export, next(iter(beliefs)).entry) for done in last.results[person])
        ]
        self.runs += 1
        before = self.contacts()
        try:
            self.run_undo(export)
        except FatalError:
            if not later:
                raise
            self.check_nothing_changed(before)
            return
        if later:
            raise Disagreement(f"a later run changed {later}, and the undo was carried out")
        self.history.append(None)
        self.newest[last.export] = last.snapshot
        self.has_unfinished_run = False
        contacts, (ledger, lines) = self.contacts(), self.read_ledger()
        for person, results in last.results.items():
            possible = {
                after
                for belief in self.beliefs[person]
                for done in results
                if last.sure or done.after == belief.entry
                for after in after_undo(self.vendor, belief, done, last.export)
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
