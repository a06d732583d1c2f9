"""The model of a run: what may be true of a person after a run that finished, and after one that stopped half-way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chaos.person_model import (
    MAX_ATTEMPTS,
    Belief,
    Contact,
    Entry,
    Outcome,
    RunRequest,
    existed_before,
    removed_entry,
    with_bars,
    with_claim,
    with_existed,
)
from chaos.vendor_model import Vendor


def after_run(vendor: Vendor, belief: Belief, request: RunRequest) -> Iterator[Belief]:
    """Yield what may be true after a run that finished."""
    for middle, is_removal in after_rows(vendor, belief, request):
        yield from after_removal(vendor, middle, request) if is_removal else [middle]


def after_rows(vendor: Vendor, belief: Belief, request: RunRequest) -> Iterator[tuple[Belief, bool]]:
    """Yield beliefs after the rows, and whether the run then removes the person."""
    contact, entry = belief.contact, with_bars(belief.entry, request)
    if request.rows and not vendor.remembers:
        entry = with_existed(contact, entry, request)
    ours = entry is not None and entry.state in {"member", "removing"}
    elsewhere = bool(entry and entry.bars - {request.export})
    if request.refused or elsewhere:
        rows = (("withheld", request.refused or "withdrawn_elsewhere"),) * len(request.rows)
        yield Belief(contact, entry, rows), request.mode == "mirror" and ours
        return
    if not request.rows:
        yield Belief(contact, entry), is_leaver(entry, request)
        return
    first, *others = request.rows
    repeats: tuple[Outcome, ...] = (("withheld", "duplicate"),) * len(others)
    if first.bad:
        yield Belief(contact, with_claim(entry, request.export), (("rejected", "invalid_value"), *repeats)), False
        return
    for after in after_sending(vendor, contact, entry, request):
        yield replace(after, rows=(*after.rows, *repeats)), False


def is_leaver(entry: Entry | None, request: RunRequest) -> bool:
    """Return whether a mirror run whose segment lacks this person tries to remove them."""
    if request.mode != "mirror" or entry is None or entry.state not in {"member", "removing"}:
        return False
    if entry.bars and request.bars:
        return True
    if entry.existed and not entry.holders:
        return False
    return not entry.holders or request.export in entry.holders


def after_sending(
    vendor: Vendor, contact: Contact | None, entry: Entry | None, request: RunRequest
) -> Iterator[Belief]:
    """Yield beliefs after the first row of a person was sent, or left out as unchanged or withheld."""
    value = request.content
    reason = vendor.withheld(contact, entry)
    if reason:
        yield Belief(contact, with_claim(entry, request.export), (("withheld", reason),))
        return
    if request.mode != "full" and entry is not None and unchanged(entry, request.export, value):
        yield Belief(contact, entry.with_content(request.export, value), (("unchanged", None),))
        if "@" not in value or entry.content(request.export) is not None:
            return  # each sharer sends the values of a new field itself, also those that another one has sent
    if request.mode != "full" and entry is not None and retries_exhausted(entry, value):
        noted = with_claim(with_existed(contact, entry, request), request.export)
        yield Belief(contact, noted, (("withheld", "rejected_recently"),))
        if not request.shared:  # each export of a shared audience counts its own attempts
            return
    after, outcome = vendor.import_person(contact, entry, value)
    entry_after = entry_after_response(entry, request.export, value, outcome)
    yield Belief(after, replace(entry_after, existed=existed_before(contact, entry, request)), (outcome,))
    if request.reads and contact is not None and contact.inside and contact.status != "ok":  # perhaps not listed
        yield Belief(after, replace(entry_after, existed=existed_before(None, entry, request)), (outcome,))


def unchanged(entry: Entry, export: str, value: str) -> bool:
    """Return whether the ledger holds the person as delivered with this content.

    An export that has not delivered to the person yet is compared with what another export delivered last.
    """
    own = entry.content(export)
    return entry.state == "member" and value == (entry.last if own is None else own)


def retries_exhausted(entry: Entry, value: str) -> bool:
    """Return whether a rejected row has used up its attempts with this content."""
    return entry.rejection is not None and entry.rejection[0] == value and entry.rejection[2] >= MAX_ATTEMPTS


def entry_after_response(entry: Entry | None, export: str, value: str, outcome: Outcome) -> Entry:
    """Return the entry after the vendor has answered about the row."""
    old = entry or Entry("not_added")
    if outcome[0] == "delivered":
        return replace(old.with_content(export, value), state="member", last=value, seen=True, rejection=None)
    attempts = 1
    if old.rejection is not None and old.rejection[0] == value:
        attempts = old.rejection[2] + 1
    return replace(with_claim(old, export), rejection=(value, outcome[1] or "", attempts))


def after_removal(vendor: Vendor, belief: Belief, request: RunRequest) -> Iterator[Belief]:
    """Yield beliefs after the run tried to remove the person."""
    entry = belief.entry
    if entry is None:
        return
    others = entry.holders - {request.export}
    withdrawn = bool(request.refused or entry.bars)
    if (entry.existed or others) and not withdrawn:
        yield replace(belief, entry=replace(entry, holders=others), removal=("kept", None))
        return
    if request.keep and not vendor.is_gone(belief.contact, entry):
        yield replace(belief, removal=("kept", None))
        return
    for contact, outcome in vendor.remove_person(belief.contact):
        removed = removed_entry(entry, "removed")
        if outcome[0] == "removed":
            yield replace(belief, contact=contact, entry=removed, removal=outcome)
            continue
        yield replace(belief, contact=contact, entry=replace(removed, state="left"), removal=outcome)
        if entry.state == "removing":  # an earlier run had begun to remove them
            yield replace(belief, contact=contact, entry=removed, removal=outcome)
        if entry.bars:  # a bar outlives the person's row
            yield replace(belief, contact=contact, entry=replace(removed, state="not_added"), removal=outcome)
        elif not (vendor.remembers and entry.seen):  # a person who was never seen in the audience has not left it
            yield replace(belief, contact=contact, entry=None, removal=outcome)


def after_broken_run(vendor: Vendor, belief: Belief, request: RunRequest) -> Iterator[Belief]:
    """Yield what may be true after a run that stopped half-way, once its jobs have ended.

    Each call was made or not, and the run read the response or not. If it did not, the content is no longer known, and
    a person that the call removes or adds again counts as ours.
    """
    blank = Belief(belief.contact, belief.entry)
    yield blank
    planned = with_bars(
        blank.entry, request
    )  # the plan's bars, claims and notes count, also for a person that no call has reached
    for entry in (planned, with_existed(blank.contact, planned, request) if request.rows else planned):
        yield Belief(blank.contact, entry)
        if request.rows and not request.refused:
            yield Belief(blank.contact, with_claim(entry, request.export))
    for after in after_run(vendor, blank, request):
        completed = replace(after, rows=(), removal=None)
        yield completed
        is_delivered = any(outcome == "delivered" for outcome, _ in after.rows)  # `full` sends what is unchanged, too
        if completed.contact == blank.contact and completed.entry == blank.entry and not is_delivered:
            continue
        for contact in {blank.contact, completed.contact}:
            yield Belief(contact, entry_without_response(planned, request, after))


def entry_without_response(entry: Entry | None, request: RunRequest, after: Belief) -> Entry:
    """Return the entry of a person if the response to the call about them was lost."""
    old = entry or Entry("not_added")
    if after.removal is not None:  # the export gave up its claim, and no other export holds the person
        return removed_entry(old, "removing")
    state = "removing" if old.state in {"removed", "removing"} else "member"
    existed = after.entry.existed if after.entry is not None else old.existed  # read before the first call
    holders = old.holders | {request.export}
    return replace(old, state=state, last=None, contents=frozenset(), holders=holders, existed=existed)
