"""Computes the people that an export claims, bars from a shared audience, or did not add itself."""

from __future__ import annotations

from collections import defaultdict

from chaos.run_records import Call, Run, RunRecords


def held_by_others(evidence: RunRecords, run: Run, number: int, *, perhaps: bool = False) -> set[str]:
    """Return the people that another export of the audience has sent before a call, since its last mirror or undo.

    Args:
        evidence: the calls.
        run: the run of the export whose own people do not count.
        number: number of the call.
        perhaps: with the people that a run that did not end may have seen as unchanged, or an undo may have kept.
    """
    held: dict[str, set[str]] = defaultdict(set)
    before: dict[str, list[set[str]]] = defaultdict(list)
    for call in evidence.calls:
        other = evidence.runs.get(call.run)
        if call.number >= number or other is None or other.dry:
            continue
        if call.arrived:
            gone = {evidence.address(leaver) for leaver in call.leavers}
            held = defaultdict(set, {export: people - gone for export, people in held.items()})
        if other.export == run.export:
            continue
        if other.mode != "undo" and call.number == _begun(evidence, other):
            before[other.export].append(set(held[other.export]))
        held[other.export] = _held_after(evidence, other, call, held[other.export], perhaps=perhaps)
        if other.mode == "undo" and other.finished and call.number == evidence.last_call(other) and not perhaps:
            held[other.export] &= before[other.export].pop() if before[other.export] else set()
    return set().union(*held.values())


def _held_after(evidence: RunRecords, run: Run, call: Call, held: set[str], *, perhaps: bool) -> set[str]:
    """Return the people that an export claims after one of its calls."""
    if call.arrived:
        held = held | call.items.keys()
    if call.number != evidence.last_call(run) or run.mode == "undo":
        return held
    if run.finished:
        sent = run.wanted.keys() - run.aside()
        return sent if run.mode == "mirror" else held | sent
    return held | run.wanted.keys() if perhaps else held


def perhaps_barred(evidence: RunRecords, number: int) -> dict[str, set[str]]:
    """People that each export had perhaps barred before a call: without consent, and not ended by a finished run."""
    people: dict[str, set[str]] = defaultdict(set)
    for run in evidence.runs.values():
        if run.dry or not run.options.get("allow_shared_audience") or _begun(evidence, run) >= number:
            continue
        later = [
            later_run
            for later_run in evidence.runs.values()
            if later_run.export == run.export and later_run.finished and not later_run.dry and later_run.mode != "undo"
            if evidence.last_call(run) < _begun(evidence, later_run) and evidence.last_call(later_run) < number
        ]
        people[run.export] |= run.withheld - set().union(*(later_run.wanted.keys() for later_run in later))
    return people


def barred_by_others(evidence: RunRecords, run: Run) -> set[str]:
    """People that another export had surely barred before a run began, and bars as long as the run works.

    An undo may end a bar, so this holds nothing once there was one.
    """
    if any(any_run.mode == "undo" for any_run in evidence.runs.values()):
        return set()
    people: set[str] = set()
    for other in evidence.runs.values():
        if other.export == run.export or not other.finished or other.dry:
            continue
        if not 0 < evidence.last_call(other) < _begun(evidence, run):
            continue
        again = [
            later_run
            for later_run in evidence.runs.values()
            if later_run.export == other.export
            and later_run is not other
            and evidence.last_call(later_run) > _begun(evidence, other)
        ]
        people |= other.withheld - set().union(*(later_run.wanted.keys() for later_run in again))
    return people


def protected(evidence: RunRecords) -> set[str]:
    """People who were there before any export, were first sent by the first run of an export, and never opted out."""
    ends: dict[str, int] = {}
    for run in evidence.runs.values():
        if run.finished and not run.dry:
            last = evidence.last_call(run)
            ends[run.export] = min(last, ends.get(run.export, last))
    first_sent: dict[str, Call] = {}
    for call in evidence.calls:
        if call.arrived and call.run in evidence.runs:
            first_sent |= {email: call for email in call.items if email not in first_sent}
    never = len(evidence.entries) + 1
    noted = {
        email for email, call in first_sent.items() if call.number <= ends.get(evidence.runs[call.run].export, never)
    }
    return evidence.there_before & noted - evidence.opted_out.keys() - evidence.left.keys()


def _begun(evidence: RunRecords, run: Run) -> int:
    """The number of a run's first call."""
    return min((call.number for call in evidence.calls_of(run)), default=len(evidence.entries) + 1)
