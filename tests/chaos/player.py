"""Plays a sequence against the product and a simulated vendor, and compares each step with the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chaos.outside_changes import act, changed
from chaos.person_model import Belief, Contact, Row, RunRequest
from chaos.product_runs import Disagreement, WorkerKilled, address
from chaos.steps import PEOPLE, Erase, Export, FieldChange, Hand, Release, Sequence, Step, Verification, segment_lines
from chaos.undo_model import Done, FinishedRun
from chaos.verifications import Verifications

from airflow_provider_segexport.errors import (
    FatalError,
    GuardTripped,
    InvalidArgument,
    InvalidFieldMapping,
    InvalidSegment,
    SegexportError,
    StaleSnapshot,
)
from airflow_provider_segexport.simulator import Simulator


class Player(Verifications):
    """One sequence at one vendor; `play` raises `Disagreement` at the first step that differs."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        super().__init__(sim, home, sequence)
        self.day = 3

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
        elif isinstance(step, FieldChange):
            self.change_field(step)
        elif isinstance(step, Verification):
            self.verify(step)
        else:
            self.undo(step.export)

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
        makes_field = bool(step.field) and not self.field_exists
        requests = {person: self.run_request(step, person) for person in PEOPLE}
        before = self.contacts()
        as_of = self.day - step.days_back
        try:
            report = self.run_export(step, lines, as_of, self.expected_plan_hash(step, lines, as_of))
        except (SegexportError, WorkerKilled) as error:
            self.recover()
            if self.was_refused(step, requests, before, as_of, error):
                self.check_field(makes_field=False)
                return
            report = None
        self.recover()
        if report is not None and all(self.all_rows_rejected(*request) == {True} for request in requests.items()):
            raise Disagreement("a segment was exported of which every row is rejected before anything is sent")
        finished, started = snapshot = self.newest.get(step.export, (0, 0))
        if as_of < finished and report is not None and not step.verify:
            raise Disagreement("an older snapshot was exported")
        if report is not None and (step.dry or report.get("comparison_only")):
            self.check_nothing_changed(before)
            self.check_field(makes_field=False)
            return
        if report is not None and makes_field and step.field == "need":
            raise Disagreement("an export sent a field that the vendor lacks, and did not create it")
        self.check_field(makes_field=makes_field if report is not None else None)
        if report is not None and step.approved is False:
            raise Disagreement("a plan was carried out that no one has approved")
        self.has_unfinished_run = report is None
        self.newest[step.export] = (as_of if report is not None else finished, max(started, as_of))
        sure = self.is_certain
        if report is None:
            entries = {person: next(iter(beliefs)).entry for person, beliefs in self.beliefs.items()}
            self.compare_broken_run(requests)
            results = {
                person: frozenset(Done(entries[person], belief.entry) for belief in beliefs)
                for person, beliefs in self.beliefs.items()
            }
            self.history.append(FinishedRun(results, step.export, snapshot) if sure else None)
        else:
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
        if isinstance(error, InvalidFieldMapping) and step.field == "need" and not self.field_exists:
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
            reads=self.vendor.remembers or not self.newest.get(step.export, (0, 0))[0],
            field=self.made_fields + (not self.field_exists) if step.field else None,
        )

    def expected_plan_hash(self, step: Export, lines: list[tuple[str | None, Row]], as_of: int) -> str:
        """Return the hash of the plan that the run may execute: its own, another one, or an empty string."""
        if step.approved is None or step.dry:
            return ""
        if not step.approved or self.has_unfinished_run:  # after an unfinished run the plan differs
            return "0" * 24 if not step.approved else ""
        report = self.run_export(replace(step, dry=True, beside=False, trouble=None), lines, as_of)
        self.runs += 1
        return str(report["plan_hash"]) if report else ""
