"""The model of an undo, an erasure, a release and the opt-outs that a run writes to the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chaos.person_model import OPT_OUTS, OURS, Belief, Contact, Entry, removed_entry
from chaos.vendor_model import Vendor


@dataclass(frozen=True)
class Done:
    """The effect of a finished run on one person."""

    before: Entry | None
    after: Entry | None

    def kind(self, export: str) -> str:
        """Return `put` (the run added the person), `removed`, `gave up` (its claim), or an empty string."""
        was_in, is_in = (entry is not None and entry.state == "member" for entry in (self.before, self.after))
        had, has = (
            entry is not None and entry.state in OURS and export in entry.holders for entry in (self.before, self.after)
        )
        if has and not had:
            return "put"
        if self.after is not None and self.after.state in {"removed", "removing"} and was_in:
            return "removed"
        return "gave up" if had and is_in and not has else ""

    def overtaken(self, export: str, now: Entry | None) -> bool:
        """Return whether a later run has changed the person's state, or the export's claim on them or content."""
        if not self.kind(export) or now is None or self.after is None or now.state in {"left", "removing"}:
            return False

        def of_export(entry: Entry) -> tuple[str, bool]:
            return entry.state, entry.state == "member" and export in entry.holders

        if of_export(now) != of_export(self.after):
            return True
        # a repair forgets the content, and does not stand in the way
        return now.content(export) not in {None, self.after.content(export)}


@dataclass(frozen=True)
class FinishedRun:
    """A run whose effect is known, or one that broke and may have had one of several.

    Attributes:
        results: what it may have done to each person.
        export: the export that it ran.
        snapshot: the snapshot that the export had reached before, and the newest that it may have reached.
    """

    results: dict[str, frozenset[Done]]
    export: str
    snapshot: tuple[int, int]

    @property
    def sure(self) -> bool:
        """Whether its effect is known."""
        return all(len(possible) == 1 for possible in self.results.values())


def changes(run: FinishedRun | None, export: str) -> bool:
    """Return whether a run of `export` (empty: of any) may have added or removed people, or given up a claim."""
    if run is None or export not in {"", run.export}:
        return False
    return any(done.kind(run.export) for possible in run.results.values() for done in possible)


def surely_changes(run: FinishedRun) -> bool:
    """Return whether a run has added or removed people or given up a claim, whatever happened."""
    return any(all(done.kind(run.export) for done in possible) for possible in run.results.values())


def after_undo(vendor: Vendor, belief: Belief, done: Done, export: str) -> Iterator[Belief]:
    """Yield what may be true after an undo of the export's run. An undo restores no values."""
    contact, entry, kind = belief.contact, belief.entry, done.kind(export)
    if entry is None or not kind:
        yield belief
    elif kind == "put":
        yield from _after_put_undone(vendor, contact, entry, done, export)
    elif kind == "gave up":
        mine = entry.state == "member"
        yield Belief(contact, replace(entry, holders=entry.holders | {export}) if mine else entry)
    elif entry.bars - {export} or entry.state not in {"removed", "removing"}:
        yield belief
    else:
        after, outcome = vendor.import_person(contact, entry, None)
        entry = replace(entry, bars=frozenset(), existed=entry.existed and entry.state == "removing")
        back = replace(entry, state="member", holders=frozenset({export}), contents=frozenset(), last=None)
        yield Belief(after, back if outcome[0] == "delivered" else entry)


def _after_put_undone(
    vendor: Vendor, contact: Contact | None, entry: Entry, done: Done, export: str
) -> Iterator[Belief]:
    """Yield beliefs after the undo of an addition or claim: the person is removed if no other export holds them."""
    others = entry.holders - {export}
    before = done.before
    unclaimed = before is not None and before.state == "member" and not before.holders and not others
    if entry.state != "removing" and (entry.state != "member" or export not in entry.holders):
        yield Belief(contact, entry)
    elif others or entry.existed or unclaimed:
        yield Belief(contact, replace(entry, holders=others))
    else:
        for after, _ in vendor.remove_person(contact):
            for state in ("removed", "left", "not_added"):
                yield Belief(after, replace(removed_entry(entry, state), contents=frozenset(), last=None))
            yield Belief(after, None)


def after_erasure(vendor: Vendor, belief: Belief) -> Iterator[Belief]:
    """Yield what may be true after an erasure: it removes members of the ledger and deletes their records."""
    state = belief.entry.state if belief.entry else ""
    mark = Entry("erased") if vendor.marks else None
    if state not in OURS:
        yield Belief(belief.contact, mark if state in {"removed", "erased"} else None)
        return
    for contact, outcome in vendor.erase_person(belief.contact):
        deleted = state == "removing" and belief.contact is not None and belief.contact.status == "deleted"
        yield Belief(contact, mark if outcome[0] == "removed" or deleted else None)


def after_incomplete_erasure(vendor: Vendor, belief: Belief) -> Iterator[Belief]:
    """Yield what may be true after an erasure beside a run that has not finished: its results are recovered later.

    They are recorded again, with unknown content, because the run may have sent the person before the erasure or after.
    """
    for after in after_erasure(vendor, belief):
        yield after
        if belief.entry is not None and belief.entry.state in OURS:
            entry = replace(belief.entry, contents=frozenset(), last=None, seen=False, rejection=None)
            for state in ("member", "removing", "removed"):
                for existed in (False, True):
                    yield replace(after, entry=replace(entry, state=state, existed=existed))


def after_release(belief: Belief, export: str, to: str, *, keep: bool, renames: bool) -> Belief:
    """Return the belief after an export has ended its use of the audience.

    Args:
        belief: the belief before the release.
        export: the export that ends.
        to: the export that takes over; empty if none does.
        keep: people that only this export holds stay in the audience permanently.
        renames: the export that takes over has not used the audience before.
    """
    entry = belief.entry
    if entry is None:
        return belief
    if keep and entry.state in OURS and entry.holders == {export} and not entry.bars - {export}:
        return Belief(belief.contact)

    def transferred(names: frozenset[str]) -> frozenset[str]:
        rest = names - {export}
        return rest | {to} if to and export in names else rest

    contents = frozenset(pair for pair in entry.contents if pair[0] != export)
    own = entry.content(export)
    if renames and own is not None:
        contents |= {(to, own)}
    return Belief(
        belief.contact,
        replace(entry, holders=transferred(entry.holders), bars=transferred(entry.bars), contents=contents),
    )


def writes_optout(vendor: Vendor, contact: Contact | None, after: Belief) -> bool | None:
    """Return whether a run writes the person's opt-out to the warehouse; None if it may or may not have seen it.

    Args:
        vendor: the vendor's rules.
        contact: the person at the vendor before the run.
        after: the belief after the run.
    """
    if any(reason in OPT_OUTS for _, reason in after.rows):
        return True
    opted_out = contact is not None and contact.status in OPT_OUTS
    if after.removal is None or after.removal[0] != "already_gone":
        return None if opted_out else False
    if opted_out:
        return True if contact and contact.status in vendor.statuses[1:] else None
    return vendor.remembers and after.entry is not None and after.entry.state == "left"
