"""A model of one person at a vendor and in the ledger, written from the documentation alone.

Sources: docs/modes.md, docs/consent.md, docs/exports.md and docs/vendors.md. The product's code is not imported.

People are independent of one another, so the model follows each person alone. What is known of a person is a set of
hypotheses. Each step maps a hypothesis to the hypotheses that may follow, and an observation (the vendor's account, the
report, the ledger) removes those that do not agree with it. If none is left, model and product disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

VENDORS = ("campaign_monitor", "constant_contact", "dotdigital", "omnisend")

#: A row that the vendor rejects is tried this often with the same content (docs/modes.md, Rejected rows).
MOST_TRIES = 3


@dataclass(frozen=True)
class Contact:
    """What the vendor holds of a person.

    `inside` says whether the person is in the audience. `status` is `ok`, `unsubscribed` (from everything),
    `left` (from this audience, by the person's own choice), `bounced` or `deleted`.
    """

    inside: bool
    status: str = "ok"
    value: str | None = None


@dataclass(frozen=True)
class Entry:
    """What the ledger must imply about a person."""

    state: str
    holders: frozenset[str] = frozenset()
    #: What each export delivered last.
    contents: frozenset[tuple[str, str]] = frozenset()
    #: What was delivered last by any export; None if that is not known.
    last: str | None = None
    #: An answer of the vendor said that the person is in the audience.
    seen: bool = False
    #: Value, reason and count of tries of the last rejection.
    rejection: tuple[str, str, int] | None = None
    #: Exports that share the audience and have withheld the person for want of consent, or as suppressed.
    bars: frozenset[str] = frozenset()
    #: The person was in the audience before an export put them in.
    existed: bool = False

    def content(self, export: str) -> str | None:
        """Return what `export` delivered last."""
        return dict(self.contents).get(export)

    def with_content(self, export: str, value: str) -> Entry:
        """Note that `export` has delivered `value`."""
        others = frozenset(pair for pair in self.contents if pair[0] != export)
        return replace(self, contents=others | {(export, value)}, holders=self.holders | {export})


@dataclass(frozen=True)
class Row:
    """One row of a segment about one person. A `bad` row holds a value that cannot be sent."""

    value: str = "a"
    consent: bool = True
    bad: bool = False


@dataclass(frozen=True)
class Ask:
    """What one run is asked to do about one person."""

    export: str
    mode: str = "upsert"
    rows: tuple[Row, ...] = ()
    suppressed: bool = False
    keep: bool = False
    shared: bool = False
    #: A withdrawal in one export counts for all that share the audience, from then on.
    bars: bool = False
    #: The run reads the audience before it sends, and notes people who are there already.
    reads: bool = False

    @property
    def refused(self) -> str | None:
        """Return why the person must not be mailed, if so. Consent comes before suppression, both before the rest."""
        if any(not row.consent for row in self.rows):
            return "no_consent"
        return "on_suppression_list" if self.suppressed else None


#: States of people whom the ledger need not hold.
UNWRITTEN = frozenset({"not_added", "erased"})

Outcome = tuple[str, str | None]


@dataclass(frozen=True)
class Belief:
    """One hypothesis about a person, and what the last run reported of them."""

    contact: Contact | None = None
    entry: Entry | None = None
    rows: tuple[Outcome, ...] = ()
    removal: Outcome | None = None


class Vendor:
    """What an import and a removal do to one contact. A vendor without an exception of its own takes everybody."""

    #: Import and removal jobs run at the vendor after the call that began them.
    jobs = False
    #: A look before a removal finds the people who have opted out.
    statuses: tuple[str, ...] = ("ok", "unsubscribed")
    #: An erasure leaves a mark, because the vendor does not say who deleted a person.
    marks = False
    #: People who left by their own choice must stay on record, for the vendor itself does not know them.
    remembers = False

    def withheld(self, contact: Contact | None, entry: Entry | None) -> str | None:
        """Return the reason if the run must not send this person."""
        del contact, entry
        return None

    def put(self, contact: Contact | None, entry: Entry | None, value: str | None) -> tuple[Contact, Outcome]:
        """Return the contact after an import, and the row's outcome. A value of None leaves the vendor's as it is."""
        del entry
        old = contact or Contact(inside=False)
        return replace(old, inside=True, value=old.value if value is None else value), ("delivered", None)

    def take(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Yield the contact after a removal and its possible outcomes."""
        if contact is None or not contact.inside:
            yield contact, ("already_gone", None)
            yield contact, ("removed", None)
        else:
            yield replace(contact, inside=False), ("removed", None)


class CampaignMonitor(Vendor):
    """A list. Active people alone are inside; everybody else is refused by name."""

    statuses = ("ok", "unsubscribed", "bounced")
    marks = True

    def put(self, contact: Contact | None, entry: Entry | None, value: str | None) -> tuple[Contact, Outcome]:
        """Refuse the unsubscribed, the bounced and the deleted, except people whom an export took out."""
        if contact is None or contact.inside:
            return super().put(contact, entry, value)
        if contact.status == "deleted":
            if entry is not None and entry.state in {"removed", "removing", "erased"}:
                return super().put(replace(contact, status="ok"), entry, value)
            return contact, ("withheld", "deleted")
        return contact, ("rejected", contact.status)

    def take(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Delete only people who are Active."""
        if contact is None or not contact.inside:
            yield contact, ("already_gone", None)
        else:
            yield replace(contact, inside=False, status="deleted"), ("removed", None)


class ConstantContact(Vendor):
    """A list. An import would bring back people who left it, so that they are found first."""

    jobs = True
    remembers = True

    def withheld(self, contact: Contact | None, entry: Entry | None) -> str | None:
        """Withhold people who were seen in the list, and are gone without a removal of ours."""
        gone = contact is None or not contact.inside
        if entry is None or not gone or not entry.seen or entry.state not in {"member", "left"}:
            return None
        return "left_audience"

    def put(self, contact: Contact | None, entry: Entry | None, value: str | None) -> tuple[Contact, Outcome]:
        """Add nobody who has unsubscribed from everything."""
        if contact is not None and contact.status == "unsubscribed":
            return replace(contact, value=contact.value if value is None else value), ("rejected", "unsubscribed")
        old = contact or Contact(inside=False)
        return replace(old, inside=True, value=old.value if value is None else value), ("delivered", None)

    def take(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Look first who is in the list at all, and who has unsubscribed from everything."""
        if contact is None or not contact.inside or contact.status == "unsubscribed":
            yield contact, ("already_gone", None)
        else:
            yield replace(contact, inside=False), ("removed", None)


class Dotdigital(Vendor):
    """An address book. Whoever opted out of it stays as they are; an import updates them."""

    jobs = True
    statuses = ("ok", "unsubscribed", "left")

    def put(self, contact: Contact | None, entry: Entry | None, value: str | None) -> tuple[Contact, Outcome]:
        """Update a person who left the book and do not bring them back."""
        if contact is not None and contact.status == "left":
            return replace(contact, value=contact.value if value is None else value), ("delivered", None)
        return super().put(contact, entry, value)

    def take(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Leave people who have opted out of the book as they are."""
        if contact is not None and contact.status in {"left", "unsubscribed"}:
            yield contact, ("already_gone", None)
        else:
            yield from super().take(contact)


class Omnisend(Vendor):
    """A tag. It comes and goes whatever the person's subscription is."""

    jobs = True


RULES: dict[str, Vendor] = {
    "campaign_monitor": CampaignMonitor(),
    "constant_contact": ConstantContact(),
    "dotdigital": Dotdigital(),
    "omnisend": Omnisend(),
}


#: States of people whom exports hold.
OURS = frozenset({"member", "removing"})


@dataclass(frozen=True)
class Line:
    """What the ledger says of a person."""

    state: str
    holders: frozenset[str]
    bars: frozenset[str]


def recorded(entry: Entry | None, line: Line | None) -> bool:
    """Return whether the ledger's row of a person, None for no row, is what the entry says."""
    if entry is None or (line is None and entry.state in UNWRITTEN and not entry.bars):
        return line is None
    state = (
        "not_added" if entry.state == "erased" else entry.state
    )  # a mark beside the ledger, no row, tells of an erasure
    if line is None or state != line.state or entry.bars != line.bars:
        return False
    return line.holders == (entry.holders if entry.state in OURS else frozenset())


OPT_OUTS = frozenset({"unsubscribed", "left", "bounced", "left_audience", "suppressed"})


def told(vendor: Vendor, contact: Contact | None, after: Belief) -> bool | None:
    """Return whether a run writes the person's opt-out to the warehouse; None if it may or may not have seen it.

    Args:
        vendor: whose rules hold.
        contact: what the vendor held of the person before the run.
        after: what the run did.
    """
    if any(reason in OPT_OUTS for _, reason in after.rows):
        return True
    opted_out = contact is not None and contact.status in OPT_OUTS
    if after.removal is None or after.removal[0] != "already_gone":
        return None if opted_out else False
    if opted_out:
        return True if contact and contact.status in vendor.statuses[1:] else None
    return vendor.remembers and after.entry is not None and after.entry.state == "left"


def released(belief: Belief, export: str, to: str, *, keep: bool, renames: bool) -> Belief:
    """Return the belief after an export has ended its use of the audience.

    Args:
        belief: what was true before.
        export: the export that ends.
        to: the export that takes over; empty where there is none.
        keep: people whom the export alone holds stay in the audience for good.
        renames: the export that takes over has not used the audience before.
    """
    entry = belief.entry
    if entry is None:
        return belief
    if keep and entry.state in OURS and entry.holders == {export} and not entry.bars - {export}:
        return Belief(belief.contact)

    def handed(names: frozenset[str]) -> frozenset[str]:
        rest = names - {export}
        return rest | {to} if to and export in names else rest

    contents = frozenset(pair for pair in entry.contents if pair[0] != export)
    own = entry.content(export)
    if renames and own is not None:
        contents |= {(to, own)}
    return Belief(
        belief.contact,
        replace(entry, holders=handed(entry.holders), bars=handed(entry.bars), contents=contents),
    )


def run(vendor: Vendor, belief: Belief, ask: Ask) -> Iterator[Belief]:
    """Yield what may be true after a run that came to its end."""
    for middle, asked in judged(vendor, belief, ask):
        yield from ended(vendor, middle, ask) if asked else [middle]


def judged(vendor: Vendor, belief: Belief, ask: Ask) -> Iterator[tuple[Belief, bool]]:
    """Yield beliefs after the rows, and whether the person is to be taken out."""
    contact, entry = belief.contact, barred(belief.entry, ask)
    ours = entry is not None and entry.state in {"member", "removing"}
    elsewhere = bool(entry and entry.bars - {ask.export})
    if ask.refused or elsewhere:
        rows = (("withheld", ask.refused or "withdrawn_elsewhere"),) * len(ask.rows)
        yield Belief(contact, entry, rows), ask.mode == "mirror" and ours
        return
    if not ask.rows:
        yield Belief(contact, entry), leaves(entry, ask)
        return
    first, *others = ask.rows
    repeats: tuple[Outcome, ...] = (("withheld", "duplicate"),) * len(others)
    if first.bad:
        yield Belief(contact, claimed(entry, ask.export), (("rejected", "invalid_value"), *repeats)), False
        return
    for known in sent(vendor, contact, entry, ask):
        yield replace(known, rows=(*known.rows, *repeats)), False


def barred(entry: Entry | None, ask: Ask) -> Entry | None:
    """Return the entry with the exports that bar the person after this run has looked at its segment and lists."""
    there = entry is not None and entry.state in {"member", "removing"}
    if not ask.bars or not (ask.rows or there):
        return entry
    old = entry or Entry("not_added")
    if ask.refused:
        return replace(old, bars=old.bars | {ask.export})
    return replace(old, bars=old.bars - {ask.export}) if ask.rows and entry else entry


def claimed(entry: Any, export: str) -> Any:
    """Return the entry with the export's claim: a row in the segment upholds it for people who are in."""
    if entry is None or entry.state not in {"member", "removing"}:
        return entry
    return replace(entry, holders=entry.holders | {export})


def leaves(entry: Entry | None, ask: Ask) -> bool:
    """Return whether a mirror without this person concerns them."""
    if ask.mode != "mirror" or entry is None or entry.state not in {"member", "removing"}:
        return False
    if entry.bars and ask.bars:
        return True
    if entry.existed and not entry.holders:
        return False
    return not entry.holders or ask.export in entry.holders


def sent(vendor: Vendor, contact: Contact | None, entry: Entry | None, ask: Ask) -> Iterator[Belief]:
    """Yield what follows for the one row of a person that can be sent."""
    value = ask.rows[0].value
    reason = vendor.withheld(contact, entry)
    if reason:
        yield Belief(contact, claimed(entry, ask.export), (("withheld", reason),))
        return
    if ask.mode != "full" and entry is not None and unchanged(entry, ask.export, value):
        yield Belief(contact, entry.with_content(ask.export, value), (("unchanged", None),))
        return
    if ask.mode != "full" and entry is not None and waits(entry, value):
        yield Belief(contact, claimed(entry, ask.export), (("withheld", "rejected_recently"),))
        if not ask.shared:  # each export of a shared audience counts its own tries
            return
    after, outcome = vendor.put(contact, entry, value)
    said = answered(entry, ask.export, value, outcome)
    inside = contact is not None and contact.inside
    noted = ask.reads and inside and outcome[0] == "delivered" and (entry is None or entry.state != "member")
    if not noted or entry is not None:
        yield Belief(after, said, (outcome,))
    if noted:
        yield Belief(after, replace(said, existed=True), (outcome,))


def unchanged(entry: Entry, export: str, value: str) -> bool:
    """Return whether the ledger holds the person as delivered with this content.

    An export that has not delivered to the person yet is compared with what another export delivered last.
    """
    own = entry.content(export)
    return entry.state == "member" and value == (entry.last if own is None else own)


def waits(entry: Entry, value: str) -> bool:
    """Return whether a rejected row has been tried often enough with this content."""
    return entry.rejection is not None and entry.rejection[0] == value and entry.rejection[2] >= MOST_TRIES


def answered(entry: Entry | None, export: str, value: str, outcome: Outcome) -> Entry:
    """Return the entry after the vendor has answered about the row."""
    old = entry or Entry("not_added")
    if outcome[0] == "delivered":
        return replace(old.with_content(export, value), state="member", last=value, seen=True, rejection=None)
    tries = 1
    if old.rejection is not None and old.rejection[0] == value:
        tries = old.rejection[2] + 1
    return replace(claimed(old, export), rejection=(value, outcome[1] or "", tries))


def ended(vendor: Vendor, belief: Belief, ask: Ask) -> Iterator[Belief]:
    """Yield what follows for a person to be taken out."""
    entry = belief.entry
    if entry is None:
        return
    others = entry.holders - {ask.export}
    withdrawn = bool(ask.refused or entry.bars)
    if entry.existed and not withdrawn:
        yield replace(belief, entry=replace(entry, holders=others), removal=("kept", None))
        return
    if others and not withdrawn:
        released = replace(entry, holders=others)
        yield replace(belief, entry=released, removal=("kept", None))
        return
    if ask.keep:
        yield replace(belief, removal=("kept", None))
        return
    for contact, outcome in vendor.take(belief.contact):
        out = taken_out(entry, "removed")
        if outcome[0] == "removed":
            yield replace(belief, contact=contact, entry=out, removal=outcome)
            continue
        yield replace(belief, contact=contact, entry=replace(out, state="left"), removal=outcome)
        if entry.state == "removing":  # a run had begun to take them out
            yield replace(belief, contact=contact, entry=out, removal=outcome)
        if entry.bars:  # a bar outlives the person's row
            yield replace(belief, contact=contact, entry=replace(out, state="not_added"), removal=outcome)
        elif not vendor.remembers:
            yield replace(belief, contact=contact, entry=None, removal=outcome)


def taken_out(entry: Entry, state: str) -> Entry:
    """Return the entry of a person whom a run takes out: no export holds them, and a return is by an export."""
    return replace(entry, state=state, holders=frozenset(), existed=False)


@dataclass(frozen=True)
class Done:
    """What a run that came to its end made of one person."""

    before: Entry | None
    after: Entry | None

    def kind(self, export: str) -> str:
        """Return what an undo takes back: the person was put in, taken out, or given up; empty if nothing of it."""
        was_in, is_in = (one is not None and one.state == "member" for one in (self.before, self.after))
        had = was_in and self.before is not None and export in self.before.holders
        has = is_in and self.after is not None and export in self.after.holders
        if has and not had:
            return "put"
        if self.after is not None and self.after.state == "removed" and was_in:
            return "removed"
        return "gave up" if had and is_in and not has else ""

    def overtaken(self, export: str, now: Entry | None) -> bool:
        """Return whether a later run has changed the person's state, or the export's claim on them or content."""
        if now is None or self.after is None or now.state in {"left", "removing"}:
            return False

        def of_export(entry: Entry) -> tuple[str, bool, str | None]:
            return entry.state, entry.state == "member" and export in entry.holders, entry.content(export)

        return of_export(now) != of_export(self.after)


def undone(vendor: Vendor, belief: Belief, done: Done, export: str) -> Iterator[Belief]:
    """Yield what may be true after the run of an export was taken back: values stay as they are."""
    contact, entry, kind = belief.contact, belief.entry, done.kind(export)
    if entry is None or not kind:
        yield belief
    elif kind == "put":
        yield from _put_undone(vendor, contact, entry, done, export)
    elif kind == "gave up":
        mine = entry.state == "member"
        yield Belief(contact, replace(entry, holders=entry.holders | {export}) if mine else entry)
    elif entry.bars - {export} or entry.state not in {"removed", "removing"}:
        yield belief
    else:
        after, outcome = vendor.put(contact, entry, None)
        back = replace(
            entry, state="member", holders=frozenset({export}), contents=frozenset(), last=None, bars=frozenset()
        )
        yield Belief(after, back if outcome[0] == "delivered" else replace(entry, bars=frozenset()))


def _put_undone(vendor: Vendor, contact: Contact | None, entry: Entry, done: Done, export: str) -> Iterator[Belief]:
    """Yield what may be true of a person who was put in, or claimed: they are out, unless they are not ours alone."""
    others = entry.holders - {export}
    before = done.before
    unclaimed = before is not None and before.state == "member" and not before.holders and not others
    if entry.state != "removing" and (entry.state != "member" or export not in entry.holders):
        yield Belief(contact, entry)
    elif others or entry.existed or unclaimed:
        yield Belief(contact, replace(entry, holders=others))
    else:
        for after, _ in vendor.take(contact):
            for state in ("removed", "left", "not_added"):
                yield Belief(after, replace(taken_out(entry, state), contents=frozenset(), last=None))
            yield Belief(after, None)


def erased(vendor: Vendor, belief: Belief) -> Iterator[Belief]:
    """Yield what may be true after an erasure: people who are in by the ledger are taken out, and nothing is kept."""
    state = belief.entry.state if belief.entry else ""
    mark = Entry("erased") if vendor.marks else None
    if state not in OURS:
        yield Belief(belief.contact, mark if state in {"removed", "erased"} else None)
        return
    for contact, outcome in vendor.take(belief.contact):
        deleted = state == "removing" and belief.contact is not None and belief.contact.status == "deleted"
        yield Belief(contact, mark if outcome[0] == "removed" or deleted else None)


def broken(vendor: Vendor, belief: Belief, ask: Ask) -> Iterator[Belief]:
    """Yield what may be true after a run that stopped somewhere, once its jobs have ended.

    Each call was made or not, and its answer was seen or not. If it was not seen, the content is not known any more,
    and a person who was being taken out or brought back is ours.
    """
    blank = Belief(belief.contact, belief.entry)
    yield blank
    planned = barred(blank.entry, ask)  # the plan's bars and claims count, also of a person whom no call has reached
    yield Belief(blank.contact, planned)
    if ask.rows and not ask.refused:
        yield Belief(blank.contact, claimed(planned, ask.export))
    for after in run(vendor, blank, ask):
        known = replace(after, rows=(), removal=None)
        yield known
        if known.contact == blank.contact and known.entry == blank.entry:
            continue
        contacts = {blank.contact, known.contact}
        for contact in contacts:
            yield Belief(contact, unanswered(planned, ask, after))


def unanswered(entry: Entry | None, ask: Ask, after: Belief) -> Entry:
    """Return the entry of a person about whom a call had no answer."""
    old = entry or Entry("not_added")
    if after.removal is not None:  # an export that takes a person out has given up its claim, and no other holds them
        return taken_out(old, "removing")
    state = "removing" if old.state in {"removed", "removing"} else "member"
    return replace(old, state=state, last=None, contents=frozenset(), holders=old.holders | {ask.export})
