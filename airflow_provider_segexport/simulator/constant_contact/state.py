"""State of a Constant Contact account: contacts, lists, custom fields, activities, and an audit of damage."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.jobs import Jobs
from airflow_provider_segexport.simulator.people import Ids

from .records import ACTIVE, Contact, ContactList, CustomField

if TYPE_CHECKING:
    from airflow_provider_segexport.simulator.people import History

    from .settings import Settings

_MAX_EVENTS = 10_000


class Audit:
    """Events that a correct export never causes: counts by kind, and the first 10,000 events in full."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.events: list[dict[str, object]] = []

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
    """A new account with three empty lists and the default custom fields.

    Args:
        seed: decides ids and keys.
        settings: settings of the vendor.
        now: time in epoch seconds.
    """

    def __init__(self, seed: int, settings: Settings, now: float) -> None:
        self.settings = settings
        self.ids = Ids(seed, "constant_contact")
        self.id = f"p{self.ids.hex(13)}"
        self.opened = now
        self._first = self.ids.number(0x10000000, 0x20000000)
        self._suffix = f"-{self.ids.hex(4)}-11f0-{self.ids.hex(4)}-{self.ids.hex(12)}"
        self.contacts: list[Contact] = []
        self.by_email: dict[str, Contact] = {}
        self.opted_out: set[int] = set()
        self.version = 0  # increases with every change; cached listings of an older version are stale
        self.lists: dict[str, ContactList] = {}
        self.fields: dict[str, CustomField] = {}
        self.audit = Audit()
        self.mails: Counter[str] = Counter()
        self.jobs = Jobs(running="processing", done="completed", waiting="initialized")
        self._list_sets: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._histories: dict[History, History] = {}
        for name in ("Customers", "Newsletter", "Lapsed"):
            self.open_list(name, now)
        for label, kind in DEFAULT_FIELDS:
            self.add_field(CustomField(self.ids.guid(), label, kind, now, dict(METADATA.get(kind, {}))))

    def key(self, email: str) -> str:
        """Return the key under which an address is compared: lower case, unless `email_case` is `keep`."""
        return email.lower() if self.settings.email_case == "ignore" else email

    def contact_id(self, contact: Contact) -> str:
        """Return a contact's id."""
        return f"{self._first + contact.number:08x}{self._suffix}"

    def contact(self, contact_id: str) -> Contact | None:
        """Return the contact with this id, also if it is deleted, or None."""
        if contact_id[8:] != self._suffix:
            return None
        try:
            number = int(contact_id[:8], 16) - self._first
        except ValueError:
            return None
        return self.contacts[number] if 0 <= number < len(self.contacts) else None

    def add_contact(self, email: str, permission: str, now: float, history: History) -> Contact:
        """Create a contact.

        Args:
            email: the address.
            permission: permission of the new contact.
            now: time of creation.
            history: first events of the contact.
        """
        self.version += 1
        contact = Contact(len(self.contacts), email, permission, now, history)
        self.contacts.append(contact)
        self.by_email[self.key(email)] = contact
        return contact

    def open_list(self, name: str, now: float) -> ContactList:
        """Create a list."""
        new_list = ContactList(self.ids.guid(), name, now)
        self.lists[new_list.id] = new_list
        return new_list

    def add_field(self, field: CustomField) -> None:
        """Add a custom field."""
        self.fields[field.name] = field

    def find_list(self, list_id: object) -> ContactList | None:
        """Return the list with this id, or None if it does not exist or is deleted."""
        target = self.lists.get(list_id) if isinstance(list_id, str) else None
        return target if target and target.deleted is None else None

    def add_to_list(self, contact: Contact, target: ContactList, now: float, event: str) -> bool:
        """Add a contact to a list; return False if it was a member.

        Args:
            contact: the contact.
            target: the list.
            now: time of the change, in seconds since the epoch.
            event: description for the contact's history.
        """
        if target.id in contact.lists:
            return False
        target.members.add(contact.number)
        target.counts[contact.permission] += 1
        contact.lists = self._shared((*contact.lists, target.id))
        if target.id in contact.left:
            contact.left = tuple(list_id for list_id in contact.left if list_id != target.id)
            self.audit.note("rejoined_list", contact.email, now, target.name)
            event += ", which the person had left"
        self.record_event(contact, now, event)
        return True

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

    def remove_from_list(self, contact: Contact, target: ContactList, now: float, event: str) -> bool:
        """Remove a contact from one list; permission and other lists are unchanged. Return False for a non-member.

        Args:
            contact: the contact.
            target: the list.
            now: time of the change, in seconds since the epoch.
            event: description for the contact's history.
        """
        if target.id not in contact.lists:
            return False
        target.members.remove(contact.number)
        target.counts[contact.permission] -= 1
        contact.lists = self._shared(tuple(list_id for list_id in contact.lists if list_id != target.id))
        self.record_event(contact, now, event)
        if not contact.lists and self.settings.no_list == "gone":
            self._delete(contact, now)
        return True

    def set_permission(self, contact: Contact, permission: str, now: float, event: str) -> None:
        """Change a contact's permission.

        Args:
            contact: the contact.
            permission: the new permission.
            now: time of the change, in seconds since the epoch.
            event: description for the contact's history.
        """
        if contact.permission == "unsubscribed" and permission in ACTIVE:
            self.audit.note("consent_upgraded", contact.email, now, event)
            event += ", was unsubscribed"
        for list_id in contact.lists:
            self.lists[list_id].counts[contact.permission] -= 1
            self.lists[list_id].counts[permission] += 1
        contact.permission, contact.updated = permission, now
        self._opt_out(contact, now if permission == "unsubscribed" else None, "Contact")
        self.record_event(contact, now, event)
        if permission == "unsubscribed" and not self.settings.unsubscribed_keep_lists:
            for list_id in contact.lists:
                self.remove_from_list(contact, self.lists[list_id], now, "off the list by unsubscribing")

    def erase(self, contact: Contact, now: float) -> None:
        """Delete a contact and its memberships; it can be restored with the same id."""
        for list_id in contact.lists:
            self.remove_from_list(contact, self.lists[list_id], now, "off the list by deletion")
        self._delete(contact, now)
        self.record_event(contact, now, "deleted")

    def _delete(self, contact: Contact, now: float) -> None:
        """Mark a contact as deleted. Its address then has the source and the date of an opt-out (swagger 3.0.178)."""
        contact.deleted = contact.updated = now
        if contact.opted_out is None:
            self._opt_out(contact, now, "Account")

    def _opt_out(self, contact: Contact, moment: float | None, source: str) -> None:
        contact.opted_out, contact.opt_out_source = moment, source
        if moment is None:
            self.opted_out.discard(contact.number)
        else:
            self.opted_out.add(contact.number)

    def revive(self, contact: Contact, now: float) -> None:
        """Restore a deleted contact, without lists and with its former permission."""
        contact.deleted = None
        if contact.permission != "unsubscribed":
            self._opt_out(contact, None, "Contact")
        self.record_event(contact, now, "revived")

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

    def drop_list(self, target: ContactList, now: float) -> int:
        """Delete a list with its memberships; return the number of memberships."""
        members = list(target.members.numbers)
        for number in members:
            self.remove_from_list(self.contacts[number], target, now, f"list {target.name} deleted")
        target.deleted = target.updated = now
        self.audit.note("list_deleted", target.name, now, f"{counted(len(members), 'member')}")
        return len(members)

    def _shared(self, lists: tuple[str, ...]) -> tuple[str, ...]:
        return self._list_sets.setdefault(lists, lists)


METADATA: dict[str, dict[str, object]] = {"number": {"integer": True, "allow_negative": False}}
DEFAULT_FIELDS = (
    ("Gender", "string"),
    ("Loyalty Tier", "string"),
    ("Orders", "number"),
    ("Customer Since", "date"),
    ("VIP", "boolean"),
)
