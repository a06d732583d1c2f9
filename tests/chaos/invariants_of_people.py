"""Invariants 3 and 10 about people outside the segment, and the purpose of all: audience and segment agree."""

from __future__ import annotations

from collections.abc import Iterator

from chaos import proofs
from chaos.claims import barred_by_others, held_by_others, perhaps_barred, protected
from chaos.invariants_of_rows import newest_content
from chaos.run_records import Call, Run, RunRecords


def leaving_is_not_unsubscribing(evidence: RunRecords) -> Iterator[str]:
    """3. A leaver stays in the account unchanged; only people that the ledger records as added by us are removed."""
    for call in evidence.calls:
        for fact in evidence.dialect.damage - {"mails", "consent_upgraded", "permission_changed", "status_sent"}:
            if call.fact(fact) > proofs.allowed(evidence, call, fact):
                yield f"call {call.number} of {call.run}: {fact} is {call.fact(fact)}"
        run = evidence.runs.get(call.run)
        if call.leavers and run is not None:
            yield from _taken_out(evidence, run, call)


def _taken_out(evidence: RunRecords, run: Run, call: Call) -> Iterator[str]:
    """Yield the violations of a call that removes people."""
    recorded = frozenset().union(*(attempt.members for attempt in run.tries))
    people = {evidence.address(leaver) for leaver in call.leavers}
    if strangers := people - recorded:
        yield f"call {call.number} of {call.run} takes out people whom the ledger does not hold: {strangers}"
    barred = perhaps_barred(evidence, call.number)  # by an export that shares the audience: out for all of them
    held = held_by_others(evidence, run, call.number) - set().union(*barred.values())
    if run.mode == "mirror" and (theirs := people & held):
        yield f"call {call.number} of {call.run} takes out people whom another export holds: {theirs}"
    elsewhere = set().union(*(people_barred for export, people_barred in barred.items() if export != run.export))
    if wanted := people & run.wanted.keys() - elsewhere:
        yield f"call {call.number} of {call.run} takes out people who are in the segment: {wanted}"
    unwilling = set().union(*(any_run.withheld for any_run in evidence.runs.values()))
    if theirs := people & protected(evidence) - unwilling:
        yield f"call {call.number} of {call.run} takes out people who were there before: {theirs}"
    if run.mode not in {"mirror", "undo"}:
        yield f"call {call.number} of {call.run} takes people out, and the mode is {run.mode}"
    if call.arrived and any("state is lost" in note for note in call.entry["notes"]):
        yield f"call {call.number} of {call.run} deleted somebody who was not active: {call.entry['notes']}"


def vendor_and_segment_agree(evidence: RunRecords) -> Iterator[str]:
    """The purpose of the invariants: after a calm last run the audience is what the newest segment says."""
    yield from evidence.unexpected
    run = list(evidence.runs.values())[-1]
    if not evidence.settled or not run.finished:
        return
    aside = run.aside()
    gone = {**evidence.opted_out, **evidence.left}
    for email, name in run.wanted.items():
        if email in aside or email in gone:
            continue
        member = evidence.members.get(email)
        if member is None or not evidence.dialect.mailable(member):
            yield f"{email} is in the segment and was delivered, and is not in the audience"
        elif evidence.dialect.name_of(member) != name and not _changed_by_another(evidence, run, email, name):
            yield f"{email} is {evidence.dialect.name_of(member)!r} at the vendor, and {name!r} in the segment"
    if run.mode == "mirror":
        recorded = frozenset().union(
            *(attempt.members for any_run in evidence.runs.values() for attempt in any_run.tries)
        )
        mailable = {email for email, member in evidence.members.items() if evidence.dialect.mailable(member)}
        stayed = (mailable & recorded) - {row.address for row in run.rows if row.consent}
        held = held_by_others(evidence, run, len(evidence.entries) + 1, perhaps=True) - barred_by_others(evidence, run)
        existed = evidence.there_before - run.withheld - barred_by_others(evidence, run)  # they stay: docs/modes.md
        if stayed := stayed - held - existed:
            yield f"{sorted(stayed)} have left the segment and are still in the audience"


def _changed_by_another(evidence: RunRecords, run: Run, email: str, name: str) -> bool:
    """Whether an export that shares the audience has changed a value since: the last change wins."""
    arrived, own = newest_content(evidence, run, evidence.last_call(run))
    by, content = arrived.get(email, ("", ""))
    if by not in evidence.runs or evidence.runs[by].export == run.export:
        return False
    return name in own.get(email, "") and evidence.dialect.name_of(evidence.members[email]) in content


def what_belongs_to_others_survives(evidence: RunRecords) -> Iterator[str]:
    """10. Tags that no export has set are as they were, and no experiment leaves a trace."""
    if evidence.settled:
        for email in evidence.harmed_tags:
            yield f"{email} has lost the tag of others, or has a temporary tag"
