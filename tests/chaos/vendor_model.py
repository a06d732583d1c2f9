"""Rules of each vendor for one contact: what an import and a removal do to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from chaos.person_model import Contact, Entry, Outcome


def filled(contact: Contact, content: str | None) -> Contact:
    """Return the contact after an import. A value that is left out, and all if `content` is None, stays."""
    if content is None:
        return contact
    value, _, field = content.partition("@")
    return replace(contact, value=value, shop=contact.shop or bool(field))


class Vendor:
    """The effect of an import and of a removal on one contact. By default a vendor accepts every person."""

    #: Import and removal jobs run at the vendor after the call that began them.
    jobs = False
    #: Statuses that a read before a removal distinguishes.
    statuses: tuple[str, ...] = ("ok", "unsubscribed")
    #: An erasure leaves a mark, because the vendor does not say who deleted a person.
    marks = False
    #: The ledger must keep people who left by their own choice, because the vendor does not report them.
    remembers = False

    def withheld(self, contact: Contact | None, entry: Entry | None) -> str | None:
        """Return the reason why the run must not send this person, or None."""
        del contact, entry
        return None

    def is_gone(self, contact: Contact | None, entry: Entry | None) -> bool:
        """Return whether the run sees before any removal that the person left, or has unsubscribed."""
        del contact, entry
        return False

    def import_person(
        self, contact: Contact | None, entry: Entry | None, content: str | None
    ) -> tuple[Contact, Outcome]:
        """Return the contact after an import, and the row's outcome. A content of None leaves the vendor's values."""
        del entry
        return replace(filled(contact or Contact(inside=False), content), inside=True), ("delivered", None)

    def remove_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Yield the contact after a removal and its possible outcomes."""
        if contact is None or not contact.inside:
            yield contact, ("already_gone", None)
            yield contact, ("removed", None)
        else:
            yield replace(contact, inside=False), ("removed", None)

    def erase_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Yield the contact after an erasure, and its possible outcomes."""
        yield from self.remove_person(contact)


class CampaignMonitor(Vendor):
    """A list. Only Active people are members; the vendor rejects every other person by name."""

    statuses = ("ok", "unsubscribed", "bounced")
    marks = True

    def import_person(
        self, contact: Contact | None, entry: Entry | None, content: str | None
    ) -> tuple[Contact, Outcome]:
        """Reject unsubscribed, bounced and deleted people, except people that an export removed."""
        if contact is None or contact.inside:
            return super().import_person(contact, entry, content)
        if contact.status == "deleted":
            if entry is not None and entry.state in {"removed", "removing", "erased"}:
                return super().import_person(replace(contact, status="ok"), entry, content)
            return contact, ("withheld", "deleted")
        return contact, ("rejected", contact.status)

    def remove_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Delete only people who are Active."""
        if contact is None or not contact.inside:
            yield contact, ("already_gone", None)
        else:
            yield replace(contact, inside=False, status="deleted"), ("removed", None)


class ConstantContact(Vendor):
    """A list. An import would add people who left again, so a run withholds them."""

    jobs = True
    remembers = True

    def withheld(self, contact: Contact | None, entry: Entry | None) -> str | None:
        """Withhold people who were seen in the list, and are gone without a removal of ours."""
        gone = contact is None or not contact.inside
        if entry is None or not gone or not entry.seen or entry.state not in {"member", "left"}:
            return None
        return "left_audience"

    def is_gone(self, contact: Contact | None, entry: Entry | None) -> bool:
        """Each run reads the list first."""
        opted_out = contact is not None and contact.inside and contact.status == "unsubscribed"
        return opted_out or self.withheld(contact, entry) is not None

    def import_person(
        self, contact: Contact | None, entry: Entry | None, content: str | None
    ) -> tuple[Contact, Outcome]:
        """Reject a person who has unsubscribed from everything."""
        if contact is not None and contact.status == "unsubscribed":
            return filled(contact, content), ("rejected", "unsubscribed")
        return super().import_person(contact, entry, content)

    def remove_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Remove members only, and no person who has unsubscribed from everything."""
        if contact is None or not contact.inside or contact.status == "unsubscribed":
            yield contact, ("already_gone", None)
        else:
            yield replace(contact, inside=False), ("removed", None)

    def erase_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Remove any member: the contact keeps an opt-out, which the list does not hold."""
        yield from super().remove_person(contact)


class Dotdigital(Vendor):
    """An address book. A person who opted out of it keeps that status; an import updates their fields."""

    jobs = True
    statuses = ("ok", "unsubscribed", "left")

    def import_person(
        self, contact: Contact | None, entry: Entry | None, content: str | None
    ) -> tuple[Contact, Outcome]:
        """Update a person who left the book and do not bring them back."""
        if contact is not None and contact.status == "left":
            return filled(contact, content), ("delivered", None)
        return super().import_person(contact, entry, content)

    def remove_person(self, contact: Contact | None) -> Iterator[tuple[Contact | None, Outcome]]:
        """Leave people who have opted out of the book as they are."""
        if contact is not None and contact.status in {"left", "unsubscribed"}:
            yield contact, ("already_gone", None)
        else:
            yield from super().remove_person(contact)


class Omnisend(Vendor):
    """A tag. An import adds it and a removal deletes it, whatever the subscription status."""

    jobs = True


RULES: dict[str, Vendor] = {
    "campaign_monitor": CampaignMonitor(),
    "constant_contact": ConstantContact(),
    "dotdigital": Dotdigital(),
    "omnisend": Omnisend(),
}
