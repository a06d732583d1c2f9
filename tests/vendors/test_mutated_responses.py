"""Every member of every reply of a full life may be absent, null, an unknown word or of another type.

Whatever a vendor leaves out or adds: no crash, no person lost, nothing worse than a named reason; and once its replies
are complete again, the audience reaches its expected state. A sample runs by default, and all with
`SEGEXPORT_MUTATIONS=all` (`make chaos`).
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from vendors.lifecycle import FOREIGN, LAST, PHASES, TURNED_AWAY, Life, Outcome, Phase
from vendors.mutations import Mutation, Tap

from airflow_provider_segexport import errors
from airflow_provider_segexport.simulator import Simulator

SAMPLE = int(os.environ.get("SEGEXPORT_MUTATIONS", "4").replace("all", "0"))
DAMAGE = ("unsubscribed", "suppressed", "account_deleted", "consent_upgraded", "mails", "contacts_deleted")
OPTED_OUT = {"p1@example.com", "p5@example.com"}
LEAVE = {"p0@example.com", "p4@example.com", "p6@example.com", "n1@example.com"}
"""People that one of the runs removes, or adds again."""

NEEDED = re.compile(
    r"(body|status|state|id|ListID|\*|brandID|importId|activity_id|batchID|ApiEndpoint|Code)"
    r"|properties(\.\*(\.name|\.value)?)?|_items|contacts|Results|custom_fields|name|label|Key|FieldName"
    r"|privilege_name|_links(\.results(\.href)?)?|.*\.\*|\*\.(name|type|Key|FieldName|privilege_name)"
    r"|custom_fields\.\*\.(name|label|type)"
)
"""Members that a run cannot do without: ids, states, lists that are the answer, and the fields that it fills."""


class Baseline:
    """A life without mutations: what each phase leads to, and which mutations its replies allow."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.before: dict[str, dict[str, str]] = {}
        self.clean: dict[str, tuple[object, ...]] = {}
        self.last: dict[str, dict[str, str]] = {}
        self.cases: list[tuple[Phase, Mutation]] = []
        for phase in PHASES:
            life.keep(phase.name)
            self.before[phase.name] = life.audience()
            life.back(phase.name)
            tap = Tap(life.prefix)
            outcome = life.play(phase, tap)
            assert outcome.error is None, (phase.name, outcome.error)
            self.clean[phase.name] = result(life, outcome)
            self.cases += [(phase, mutation) for mutation in sorted(tap.seen)]

    def at_last(self, phase: Phase) -> dict[str, str]:
        """The audience after a phase and the last run, both without mutations; played when first asked for."""
        if phase.name not in self.last:
            self.life.back(phase.name)
            self.life.play(phase)
            assert self.life.play(LAST).error is None
            self.last[phase.name] = self.life.audience()
        return self.last[phase.name]


def result(life: Life, outcome: Outcome) -> tuple[object, ...]:
    """The parts of a run's result that are compared between two runs."""
    report = outcome.report or {}
    parts = [report.get(name) for name in ("counts", "reasons", "removals")]
    return (type(outcome.error), *parts, life.audience(), life.ledger())


def wrong(baseline: Baseline, phase: Phase, mutation: Mutation) -> Iterator[str]:
    """Play a phase with a mutation, and say what promise was broken."""
    life = baseline.life
    life.back(phase.name)
    tap = Tap(life.prefix, mutation)
    outcome = life.play(phase, tap)
    if outcome.error is not None:
        kind = type(outcome.error)
        if kind is errors.SegexportError or kind.__module__ != errors.__name__:
            yield f"ends with {kind.__name__}: {outcome.error}"
        if mutation.way != "another type" and not NEEDED.fullmatch(".".join(mutation.at) or "body"):
            yield f"a member that may be absent stops the run: {outcome.error}"
    if outcome.report:
        yield from lost(outcome.report, phase, finished=outcome.error is None)
    yield from harmed(baseline, phase)
    if result(life, outcome) == baseline.clean[phase.name]:
        return
    if outcome.error is not None:
        outcome = life.play(phase)
        if outcome.error is not None:
            yield f"does not recover: {type(outcome.error).__name__}: {outcome.error}"
    last = life.play(LAST)
    audience = life.audience()
    yield from harmed(baseline, phase)
    if last.error is not None or audience != baseline.at_last(phase):
        yield f"ends at {audience}, {last.error}; without the mutation at {baseline.at_last(phase)}"


def lost(report: dict[str, object], phase: Phase, *, finished: bool) -> Iterator[str]:
    """Rows that the report does not account for, and people who count as delivered without proof."""
    counts: dict[str, int] = report["counts"]  # type: ignore[assignment]
    rows = len(phase.emails) or counts["profiles"]
    ends = sum(number for name, number in counts.items() if name != "profiles")
    if (counts["profiles"], ends) != (rows, rows):
        yield f"{rows} rows end as {counts}"
    reasons: dict[str, dict[str, int]] = report["reasons"]  # type: ignore[assignment]
    if finished and TURNED_AWAY in phase.emails and counts["delivered"] + counts["unchanged"] == rows:
        yield f"whom the vendor did not take counts as delivered: {counts} {reasons}"


def harmed(baseline: Baseline, phase: Phase) -> Iterator[str]:
    """People who were taken out, brought in, unsubscribed or written to against their will or ours."""
    life = baseline.life
    facts = {name: life.account.facts(name) for name in DAMAGE}
    if any(facts.values()):
        yield f"damage: {facts}"
    audience, before = life.audience().keys(), {*baseline.before[phase.name], FOREIGN}
    opted_out = set() if phase is PHASES[0] else OPTED_OUT
    stay = before - opted_out - LEAVE
    if gone := stay - audience:
        yield f"taken out although they stay: {gone}"
    turned_away = {TURNED_AWAY} if life.account.row.rejected_status else set()
    invited = (before | set(phase.emails) | set(LAST.emails)) - opted_out - turned_away
    if strange := audience - invited - (before & opted_out):
        yield f"in the audience although they should not be: {strange}"


def chosen(cases: Sequence[tuple[Phase, Mutation]]) -> list[tuple[Phase, Mutation]]:
    """All cases, or a sample that is the same in every run."""
    first: dict[Mutation, Phase] = {}
    for phase, mutation in cases:
        first.setdefault(mutation, phase)
    every = [(phase, mutation) for mutation, phase in first.items()]
    return random.Random(7).sample(every, SAMPLE) if SAMPLE else every


def test_whatever_a_reply_lacks_no_person_is_lost(sim: Simulator, vendor: str, tmp_path: Path):
    """No crash, no loss, nothing worse than a named reason."""
    baseline = Baseline(Life(sim, vendor, tmp_path))
    broken = [
        f"{phase.name}: {mutation}: {fault}"
        for phase, mutation in chosen(baseline.cases)
        for fault in wrong(baseline, phase, mutation)
    ]
    if broken:
        pytest.fail("\n".join(broken), pytrace=False)
