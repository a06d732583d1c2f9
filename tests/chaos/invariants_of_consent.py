"""Invariant 2: no call subscribes a person without proof, or adds one that opted out or is barred."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaos import proofs
from chaos.claims import barred_by_others
from chaos.run_records import Call, RunRecords, rejects

from airflow_provider_segexport.model import Reason

BETWEEN_S = 660.0
"""Seconds for which a run sends a plan without reading the audience again: ten minutes, plus the time of a call."""


def consent_is_never_upgraded(evidence: RunRecords) -> Iterator[str]:
    """2. No person is subscribed without a proof that is newer than their last opt-out, and no mail is triggered."""
    yield from proofs.broken(evidence)
    dialect = evidence.dialect
    taken_out: set[str] = set()
    for call in evidence.calls:
        if call.items:
            yield from (f"call {call.number} of {call.run}: {fault}" for fault in set(dialect.says(call.entry)))
        taken_out |= {evidence.address(leaver) for leaver in call.leavers if call.arrived}
        ours = [email for email in call.items if email in taken_out]
        if dialect.revival and call.fact(dialect.revival) > len(ours):
            yield f"call {call.number} of {call.run} brought back people whom we have not taken out"
        yield from _without_consent(evidence, call)
        for fact in ("mails", "consent_upgraded", "permission_changed", "unsuppressed", "status_sent"):
            if call.fact(fact) > proofs.allowed(evidence, call, fact):
                yield f"call {call.number} of {call.run}: {fact} is {call.fact(fact)}"
    for email, since in {**evidence.opted_out, **evidence.left}.items():
        if email not in evidence.members or not dialect.mailable(evidence.members[email]):
            continue
        if proofs.agreed_again(evidence, email):
            continue
        if email in evidence.opted_out or not _unseen(evidence, email, since):
            yield f"{email} opted out after call {since}, and gets mail through the audience again"


def _without_consent(evidence: RunRecords, call: Call) -> Iterator[str]:
    """Yield a violation if a call adds people without consent."""
    run = evidence.runs.get(call.run)
    if run is None or not call.items:
        return
    if withheld := call.items.keys() & run.withheld:
        yield f"call {call.number} of {call.run} carries {len(withheld)} people whose consent is missing"
    if elsewhere := call.items.keys() & barred_by_others(evidence, run):
        yield f"call {call.number} of {call.run} carries people whom another export has barred: {elsewhere}"


def _unseen(evidence: RunRecords, email: str, since: int) -> bool:
    """Return whether a person left between a run's read of the audience and its call, which no code can prevent."""
    back = next((call for call in evidence.calls if call.number > since and call.arrived and email in call.items), None)
    if back is None:
        return False
    if _never_confirmed(evidence, email, since) or _only_counted(evidence, email, since):
        return True
    before = [call for call in evidence.calls_of(evidence.runs[back.run]) if call.number < back.number]
    looks = [call for call in before if re.search(evidence.dialect.looks, call.entry["path"])] or before[:1]
    return looks[-1].number <= since and back.entry["time"] - looks[-1].entry["time"] <= BETWEEN_S


def _never_confirmed(evidence: RunRecords, email: str, since: int) -> bool:
    """Return whether no response and no reading of the audience has shown a person there before they left."""
    before = [call for call in evidence.calls if call.number <= since]
    sent = [call for call in before if call.arrived and email in call.items]
    if not sent or not all(call.entry.get("fault") for call in sent):
        return False
    looks = (call for call in before if re.search(evidence.dialect.looks, call.entry["path"]))
    return not any(call.number > sent[0].number and call.entry["status"] == 200 for call in looks)


def _only_counted(evidence: RunRecords, email: str, since: int) -> bool:
    """Return whether the vendor counted rejections without naming them, and the run could not tell whose they were.

    docs/consent.md names this case: who left before the run looked who is missing may be a rejected row.
    """
    sent = [call for call in evidence.calls if call.number <= since and call.arrived and email in call.items]
    if not sent:
        return False
    run = evidence.runs[sent[-1].run]
    reports = list(run.reports())
    if not reports:
        return False
    unnamed = (line["row"] for line in rejects(reports[-1][0]) if line["reason"] == Reason.NO_RESULT)
    return any(run.rows[row].address == email for row in unnamed if row is not None and 0 <= row < len(run.rows))
