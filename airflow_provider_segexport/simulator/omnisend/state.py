"""State of an Omnisend brand: contacts, tags, segments, and an audit of damage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.jobs import Jobs
from airflow_provider_segexport.simulator.members import Members

from .records import Contact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_segexport.simulator.people import History, Ids

    from .settings import Settings

_MAX_EVENTS = 10_000


@dataclass(slots=True)
class Audit:
    """Events that a correct export never causes: counts by kind, and the first 10,000 events in full."""

    counts: Counter[str] = field(default_factory=Counter)
    events: list[dict[str, object]] = field(default_factory=list)

    def note(self, kind: str, email: str, now: float, detail: str = "") -> None:
        """Record an event.

        Args:
            kind: kind of event.
            email: address of the contact, or name of the list.
            now: time of the event.
            detail: details of the event.
        """
        self.counts[kind] += 1
        if len(self.events) < _MAX_EVENTS:
            self.events.append({"time": now, "kind": kind, "who": email, "detail": detail})


class Account:
    """A new, empty brand (a store).

    Args:
        ids: makes ids and keys.
        name: name of the store.
        settings: settings of the vendor.
        now: time in epoch seconds.
        base_url: returns the API's base URL, for links in pages.
    """

    def __init__(self, ids: Ids, name: str, settings: Settings, now: float, base_url: Callable[[], str]) -> None:
        self.settings = settings
        self.ids = ids
        self.base_url = base_url
        self.name = name
        self.opened = now
        self.id = ids.hex(24)
        self._prefix = ids.hex(16)
        self.contacts: list[Contact] = []
        self.by_email: dict[str, Contact] = {}
        self.by_phone: dict[str, Contact] = {}
        self.erased = 0
        self.tags: dict[str, Members] = {}
        self.version = 0  # increases with every change; cached listings of an older version are stale
        self.audit = Audit()
        self.mails: Counter[str] = Counter()
        self.batches = Jobs(running="inProgress", done="finished", waiting="pending")
        self.taggings = Jobs(running="accepted", done="done")
        self._tag_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._histories: dict[History, History] = {}

    def settle(self, now: float) -> None:
        """Finish the jobs that are due."""
        self.batches.settle(now)
        self.taggings.settle(now)

    def key(self, email: str) -> str:
        """Return the key under which an address is compared: lower case, unless `email_case` is `keep`."""
        return email.lower() if self.settings.email_case == "ignore" else email

    def contact_id(self, contact: Contact) -> str:
        """Return a contact's id."""
        return f"{self._prefix}{contact.number:08x}"

    def contact(self, contact_id: str) -> Contact | None:
        """Return the contact with this id, or None."""
        if contact_id[:16] != self._prefix:
            return None
        try:
            number = int(contact_id[16:], 16)
        except ValueError:
            return None
        contact = self.contacts[number] if 0 <= number < len(self.contacts) else None
        return contact if contact and not contact.deleted else None

    def add_contact(self, email: str, now: float, history: History) -> Contact:
        """Create a contact.

        Args:
            email: the address; may be empty.
            now: time of creation.
            history: first events of the contact.
        """
        self.version += 1
        contact = Contact(len(self.contacts), email, now, history)
        self.contacts.append(contact)
        if email:
            self.by_email[self.key(email)] = contact
        return contact

    def record_event(self, contact: Contact, now: float, event: str) -> None:
        """Add an event to a contact's history; contacts with the same history share one object, to save memory.

        Args:
            contact: the contact.
            now: time of the event.
            event: description of the event.
        """
        self.version += 1
        history = (*contact.history, (now, event))
        contact.history = self._histories.setdefault(history, history)

    def tag(self, contact: Contact, names: Iterable[str], now: float) -> None:
        """Add tags to a contact; existing tags keep their position.

        Args:
            contact: the contact.
            names: the tags.
            now: time of the change, in seconds since the epoch.
        """
        new = [name for name in dict.fromkeys(names) if name not in contact.tags]
        for name in new:
            tagged = self.tags.get(name)
            if tagged is None:
                tagged = self.tags[name] = Members()
            tagged.add(contact.number)
            self.record_event(contact, now, f"tagged {name!r}")
        if new:
            tags = (*contact.tags, *new)
            contact.tags = self._tag_sets.setdefault(tags, tags)
            contact.updated = now

    def untag(self, contact: Contact, names: Iterable[str], now: float) -> bool:
        """Remove tags from a contact, and nothing else; return False if it had none of them.

        Args:
            contact: the contact.
            names: the tags.
            now: time of the change, in seconds since the epoch.
        """
        removed = set(names) & set(contact.tags)
        for name in sorted(removed):
            self.tags[name].remove(contact.number)
            self.record_event(contact, now, f"untagged {name!r}")
        if removed:
            tags = tuple(name for name in contact.tags if name not in removed)
            contact.tags = self._tag_sets.setdefault(tags, tags)
            contact.updated = now
        return bool(removed)

    def set_status(self, contact: Contact, status: str, moment: float, now: float, event: str) -> None:
        """Set the status of the email channel and its date.

        Args:
            contact: the contact.
            status: the new status.
            moment: date of the status, in seconds since the epoch.
            now: time of the change, in seconds since the epoch.
            event: description for the contact's history.
        """
        previous = contact.status
        if status != previous:
            event = f"{event}, was {previous}"
            contact.updated = now
        contact.status, contact.changed = status, moment
        self.record_event(contact, now, event)

    def mail(self, contact: Contact, kind: str, now: float) -> None:
        """Record a mail that the real vendor would send now.

        Args:
            contact: the contact.
            kind: kind of mail.
            now: time of the mail.
        """
        self.mails[kind] += 1
        self.audit.note("mail", contact.email, now, kind)
        self.record_event(contact, now, f"mail: {kind}")

    def erase(self, contact: Contact, now: float) -> None:
        """Delete a contact as in the vendor's UI; the API cannot delete contacts."""
        self.untag(contact, contact.tags, now)
        contact.deleted = True
        self.erased += 1
        self.by_email.pop(self.key(contact.email), None)
        for phone in contact.phones:
            self.by_phone.pop(phone, None)
        self.record_event(contact, now, "deleted")
