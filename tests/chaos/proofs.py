"""People that a call may subscribe: the part of the second invariant that is about proof of consent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from chaos.run_records import Call, RunRecords

EARLIEST_S = datetime.fromisoformat("1995-01-01T00:00:00+00:00").timestamp()
STATUS_FACTS = frozenset({"status_sent", "set_subscribed"})
"""Events of the simulator for a status that it accepts; for items with proof this is correct."""


def sent(evidence: RunRecords, call: Call) -> Iterator[tuple[str, str, float]]:
    """The people whose status a call sends: address, status, and since when it is to hold; without a date it is now."""
    for email, item in call.items.items():
        subscribes = evidence.dialect.subscribes(item)
        if subscribes is not None:
            status, moment = subscribes
            yield email, status, datetime.fromisoformat(moment).timestamp() if moment else call.entry["time"]


def broken(evidence: RunRecords) -> Iterator[str]:
    """Wrong statuses that calls send, and people that are wrongly subscribed at the end."""
    for call in evidence.calls:
        for email, status, moment in sent(evidence, call):
            if fault := _wrong(evidence, call, email, status, moment):
                yield f"call {call.number} of {call.run}: {email} {fault}"
    touched = set().union(*(call.items for call in evidence.calls if call.arrived))
    for email, person in evidence.people.items():
        subscribed = str(person.get("status")).lower() == "subscribed"
        was = email in evidence.there_before and not evidence.last_opt_out(email, _END)
        if not evidence.dialect.new_are_subscribed and subscribed and email in touched and not was:
            if agreed_again(evidence, email):
                continue
            yield f"{email} is subscribed, and no proof of theirs is newer than their last opt-out"
    yield from _left_out(evidence)


_END = 10**9


def _wrong(evidence: RunRecords, call: Call, email: str, status: str, moment: float) -> str:
    run = evidence.runs.get(call.run)
    if run is None or not run.proof:
        return "gets a status, and the run subscribes nobody"
    looks = [look.number for look in evidence.calls_of(run) if look.number < call.number and _is_look(look)]
    consented = run.moments.get(email, 0.0)
    faults = {
        f"gets the status {status}": status != "subscribed",
        "is subscribed since another moment than that of their consent": int(consented) != moment,
        # a worker's clock may be a day ahead
        f"has agreed at {moment}": not EARLIEST_S <= moment <= call.entry["time"] + 86_400,
        "is subscribed, and the run has not looked who has opted out": not looks,
        "had opted out since their consent when the run looked, and is subscribed": (
            evidence.last_opt_out(email, max(looks, default=0)) >= consented
            and not agreed_again(evidence, email, before=call.number)  # then the vendor does not list the opt-out
        ),
    }
    return next((fault for fault, holds in faults.items() if holds), "")


def _is_look(call: Call) -> bool:
    entry = call.entry
    return entry["method"] == "GET" and entry["query"].get("status") == "unsubscribed" and entry["status"] == 200


def allowed(evidence: RunRecords, call: Call, fact: str) -> int:
    """How often a fact about statuses may be counted of a call: once a person with proof that is new enough."""
    if fact in STATUS_FACTS:
        return sum(1 for _ in sent(evidence, call))
    if fact != "consent_upgraded":
        return 0
    people = (email for email, _, _ in sent(evidence, call))
    return sum(_consented(evidence, call, email) >= evidence.last_opt_out(email, call.number) > 0 for email in people)


def _consented(evidence: RunRecords, call: Call, email: str) -> float:
    """Since when a person has agreed, by the segment of the call's run; long ago if the run has no proof of it."""
    run = evidence.runs.get(call.run)
    return run.moments.get(email, 0.0) if run is not None and run.proof else 0.0


def agreed_again(evidence: RunRecords, email: str, before: int = _END) -> bool:
    """Return whether a call has brought a proof of a person that is newer than their last opt-out.

    Args:
        evidence: the calls.
        email: the person.
        before: the number of a call; only calls and opt-outs before it count.
    """
    last = evidence.last_opt_out(email, before)
    arrived = [call for call in evidence.calls if call.arrived and email in call.items and call.number < before]
    with_status = [call for call in arrived if any(sent_email == email for sent_email, _, _ in sent(evidence, call))]
    return any(_consented(evidence, call, email) > last for call in with_status)


def _left_out(evidence: RunRecords) -> Iterator[str]:
    """The last, calm run subscribes everyone that it sends with a proof."""
    run = list(evidence.runs.values())[-1] if evidence.runs else None
    if run is None or not (evidence.settled and run.proof):
        return
    for call in evidence.calls_of(run):
        with_status = {email for email, _, _ in sent(evidence, call)}
        for email in call.items.keys() - with_status:
            moment = run.moments.get(email, 0.0)
            opted_out = evidence.last_opt_out(email, call.number)
            # docs/consent.md: an opt-out in the second of the consent counts as later.
            if EARLIEST_S <= moment <= call.entry["time"] and int(moment) > int(opted_out):
                yield f"call {call.number} of {run.name}: {email} has a proof, and gets no status"
