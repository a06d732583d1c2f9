"""Applies the rows of an import activity to the account."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.simulator.people import is_email, pack, unpack

from .columns import MAX_CUSTOM_FIELDS, Plan, ValueProblem, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .records import Contact, ContactList
    from .state import Account

Shape = tuple[str, ...]
Row = tuple[Shape, "Sequence[object]"]

MAX_LISTS = 50  # per contact; swagger 3.0.178, read 2026-08


class RowImport:
    """Applies the rows of one import activity, and counts the results.

    Args:
        account: the vendor's account.
        lists: the lists to which people are added.
        now: time in epoch seconds.
    """

    def __init__(self, account: Account, lists: Sequence[ContactList], now: float) -> None:
        self._account = account
        self._lists = lists
        self._now = now
        self._plans: dict[Shape, Plan] = {}
        self._events = [f"added to list {target.name} by import" for target in lists]
        self._first_events = ((now, "created by import"), *((now, event) for event in self._events))
        self._list_ids = tuple(target.id for target in lists)
        self.rows = 0
        self.people = 0
        self.facts: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.errors: list[str] = []

    def apply(self, rows: Iterable[Row]) -> None:
        """Apply the rows; if rows have the same address, only the last is applied, silently (td-p/278498, 2026-08)."""
        last: dict[str, tuple[int, Plan, Sequence[object], str]] = {}
        for line, (shape, values) in enumerate(rows, start=self._account.settings.first_line):
            self.rows += 1
            read = self._plans.get(shape) or self._plan(shape)
            if len(values) != len(shape):
                self._reject(line, ValueProblem(f"{counted(len(values), 'value')} for {counted(len(shape), 'column')}"))
                continue
            email = values[read.email] if read.email is not None else ""
            text = email.strip() if isinstance(email, str) else ""
            if text and len(text) <= self._account.settings.email_length and is_email(text):
                last[self._account.key(text)] = (line, read, values, text)
            else:
                self._reject(line, ValueProblem("Invalid email", correctable=True))
        self.people = len(last) + self.facts["correctable"] + self.facts["errors"]
        for key, (line, read, values, email) in last.items():
            try:
                self._apply(key, email, self._fields(read, values))
            except ValueProblem as problem:
                self._reject(line, problem)

    def _plan(self, shape: Shape) -> Plan:
        new_plan = self._plans[shape] = plan(self._account, shape)
        return new_plan

    def _fields(self, read: Plan, values: Sequence[object]) -> dict[str, object]:
        if read.unknown:
            self.unknown.update(read.unknown)
            unknown_custom = [name for name in read.unknown if name.startswith("cf:")]
            if unknown_custom and self._account.settings.unknown_custom_field == "error":
                raise ValueProblem(f"Unknown custom field {unknown_custom[0]}")
        if read.custom > MAX_CUSTOM_FIELDS:
            raise ValueProblem(f"More than {MAX_CUSTOM_FIELDS} custom fields")
        return read.read(values, self._account)

    def _reject(self, line: int, problem: ValueProblem) -> None:
        self.facts["correctable" if problem.correctable else "errors"] += 1
        max_errors = self._account.settings.max_activity_errors
        if max_errors is None or len(self.errors) < max_errors:
            # The form `Line 355: Invalid email` is that of API v2 (php-sdk#145, read 2026-08).
            self.errors.append(f"Line {line}: {problem.text}")

    def _apply(self, key: str, email: str, fields: dict[str, object]) -> None:
        existing = self._account.by_email.get(key)
        if existing is None:
            self._create(email, fields)
        else:
            self._update(existing, fields)

    def _create(self, email: str, fields: dict[str, object]) -> None:
        """Create a contact: permission implicit, added by the account (import_contacts.html, read 2026-08)."""
        permission = self._account.settings.new_permission
        contact = self._account.add_contact(email, permission, self._now, self._first_events)
        contact.fields = pack(fields)
        contact.lists = self._list_ids
        for target in self._lists:
            target.members.add(contact.number)
            target.counts[permission] += 1
        self.facts["created"] += 1
        self._welcome(contact)

    def _update(self, contact: Contact, fields: dict[str, object]) -> None:
        """Update a contact: only the values that are sent change; the permission does not."""
        account, now = self._account, self._now
        if contact.deleted is not None:
            account.revive(contact, now)
            self.facts["revived"] += 1
        account.record_event(contact, now, "updated by import")
        contact.updated = now
        contact.fields = pack({k: v for k, v in (unpack(contact.fields) | fields).items() if v != ""})
        self.facts["updated"] += 1
        if contact.permission == "unsubscribed":
            self.facts["cannot_add"] += 1  # unsubscribed contacts are never added: import_contacts.html, 2026-08
            return
        if len(set(contact.lists) | set(self._list_ids)) > MAX_LISTS:
            raise ValueProblem(f"Contact is on {MAX_LISTS} lists")
        for target, event in zip(self._lists, self._events, strict=True):
            # A person who left only this list is added again: contacts_sync.html, read 2026-08.
            self.facts["rejoined"] += target.id in contact.left
            if account.add_to_list(contact, target, now, event):
                self._welcome(contact)

    def _welcome(self, contact: Contact) -> None:
        if self._account.settings.import_sends_welcome:
            self._account.mail(contact, "welcome", self._now)
