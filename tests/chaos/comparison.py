"""Compares a run of the product with the model, and keeps the beliefs that agree with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from chaos.person_model import Belief, Contact, Row, RunRequest, matches_ledger
from chaos.product_runs import JOB_SECONDS, Disagreement, ProductRuns, address
from chaos.run_model import after_broken_run, after_run
from chaos.steps import PEOPLE, Sequence
from chaos.undo_model import Done, writes_optout

from airflow_provider_segexport.simulator import Simulator

OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "removed")


class Comparison(ProductRuns):
    """The beliefs about each person, and their comparison with what the product did."""

    def __init__(self, sim: Simulator, home: Path, sequence: Sequence) -> None:
        super().__init__(sim, home, sequence)
        self.beliefs: dict[str, set[Belief]] = {person: {Belief()} for person in PEOPLE}

    @property
    def is_certain(self) -> bool:
        """Whether there is one belief about each person."""
        return all(len(beliefs) == 1 for beliefs in self.beliefs.values())

    def compare_finished_run(
        self, requests: Mapping[str, RunRequest], lines: list[tuple[str | None, Row]], report: Mapping[str, Any]
    ) -> dict[str, frozenset[Done]]:
        """Keep the beliefs that agree with a finished run; at least one of each person must remain.

        Returns:
            What the run did to each person.
        """
        results: dict[str, frozenset[Done]] = {}
        contacts, (ledger, held) = self.contacts(), self.read_ledger()
        optouts = {row["email"]: row["reason"] for row in self.read_result("optouts.parquet")}
        rejects, removals = self.read_result("rejects.parquet"), self.read_result("removals.parquet")
        counts: Counter[str] = Counter()
        span: Counter[str] = Counter()
        for person, request in requests.items():
            email = address(person)
            rows = [number for number, (line, _) in enumerate(lines) if line == person]
            outcomes = tuple(
                next(((reject["outcome"], reject["reason"]) for reject in rejects if reject["row"] == number), None)
                for number in rows
            )
            removal = next((row for row in removals if row["email"] == email), None)
            possible = {after for belief in self.beliefs[person] for after in after_run(self.vendor, belief, request)}
            remaining = {
                after
                for after in possible
                if after.contact == contacts[person]
                and agrees(outcomes, after)
                and (removal["outcome"] if removal else "removed") == (after.removal or ("removed",))[0]
                and matches_ledger(after.entry, held.get(email))
            }
            if not remaining:
                raise Disagreement(
                    f"{person}: the product has {contacts[person]}, rows {outcomes}, removal {removal}, ledger"
                    f" {ledger.get(email)};\n  the model has\n    "
                    + "\n    ".join(map(repr, possible))
                    + "\n  from\n    "
                    + "\n    ".join(map(repr, self.beliefs[person]))
                )
            self.compare_optouts(person, remaining, optouts.get(email))
            low = {what: min(count_outcomes(belief)[what] for belief in remaining) for what in OUTCOMES}
            high = {what: max(count_outcomes(belief)[what] for belief in remaining) for what in OUTCOMES}
            counts.update(low)
            span.update({what: high[what] - low[what] for what in OUTCOMES})
            before = next(iter(self.beliefs[person])).entry
            results[person] = frozenset(Done(before, belief.entry) for belief in remaining)
            self.beliefs[person] = {Belief(belief.contact, belief.entry) for belief in remaining}
        counts["rejected"] += sum(line is None or " " in line for line, _ in lines)
        compare_counts(report, counts, span)
        return results

    def compare_optouts(self, person: str, remaining: set[Belief], reason: str | None) -> None:
        """Compare what the run wrote for the warehouse about a person; None if it wrote nothing."""
        contact = next(iter(self.beliefs[person])).contact
        expected = {writes_optout(self.vendor, contact, after) for after in remaining}
        if expected == {reason is None}:
            raise Disagreement(
                f"{person}: optouts.parquet has {reason}; before the run {contact}; the model has {remaining}"
            )

    def compare_broken_run(self, requests: Mapping[str, RunRequest]) -> None:
        """Widen the beliefs by everything that a run that stopped half-way may have done."""
        self.account.sim.clock.advance(JOB_SECONDS)
        contacts = self.contacts()
        for person, request in requests.items():
            possible = {
                after for belief in self.beliefs[person] for after in after_broken_run(self.vendor, belief, request)
            }
            remaining = {after for after in possible if after.contact == contacts[person]}
            if not remaining:
                raise Disagreement(f"{person}: after a broken run the vendor has {contacts[person]}; {possible}")
            self.beliefs[person] = remaining

    def check_nothing_changed(self, before: Mapping[str, Contact | None]) -> None:
        """Raise if a refused run or a dry run changed anything at the vendor."""
        if self.contacts() != before:
            raise Disagreement(f"a run that must change nothing changed {before} to {self.contacts()}")

    def check_removals_guard(self, requests: Mapping[str, RunRequest]) -> None:
        """Raise if the guard on removals stopped a run that removes no person."""
        for person, request in requests.items():
            for belief in self.beliefs[person]:
                if any(after.removal for after in after_run(self.vendor, belief, request)):
                    return
        raise Disagreement("the guard on removals stopped a run that removes no person")


def count_outcomes(belief: Belief) -> Counter[str]:
    """Count a person's rows and removal by outcome."""
    counts = Counter(outcome for outcome, _ in belief.rows)
    counts["removed"] += (belief.removal or ("",))[0] == "removed"
    return counts


def agrees(outcomes: Iterable[tuple[str, str | None] | None], belief: Belief) -> bool:
    """Return whether the outcomes are those of the belief; None means a row without a reject."""
    expected = [None if outcome in {"delivered", "unchanged"} else (outcome, reason) for outcome, reason in belief.rows]
    return list(outcomes) == expected


def compare_counts(report: Mapping[str, Any], counts: Mapping[str, int], span: Mapping[str, int]) -> None:
    """Compare a report's counts with the model's.

    Args:
        report: of a finished run.
        counts: rows of each outcome, at least.
        span: rows of each outcome that may be more than that.

    Raises:
        Disagreement: a count of the report is outside the model's range.
    """
    figures = {**report["counts"], "removed": report.get("removals", {}).get("removed", 0)}
    for what in OUTCOMES:
        low, high, figure = counts.get(what, 0), counts.get(what, 0) + span.get(what, 0), figures.get(what, 0)
        if not low <= figure <= high:
            raise Disagreement(
                f"the report counts {figure} {what}, and the model {low} to {high};"
                f" {report['counts']} {report.get('removals')} {report['reasons']}"
            )
