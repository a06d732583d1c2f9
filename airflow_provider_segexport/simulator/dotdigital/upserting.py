"""Applies the contacts of an import or a single upsert: matches by identifiers, then updates or creates."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.people import is_email, pack, unpack

from .checking import Row, email_channel
from .consent import records_of
from .state import OPTED_OUT, DataField

if TYPE_CHECKING:
    from .state import Account, AddressBook, Contact


class RowError(Exception):
    """The vendor rejects one contact; the other rows of the request are applied."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code, description)
        self.code = code
        self.description = description


_BOOLEANS = ("true", "false", "yes", "no")
_CASED = {"verifieddouble": "VerifiedDouble", "plaintext": "PlainText"}


class Upsert:
    """Applies contacts to an account with one merge option.

    Args:
        account: the vendor's account.
        option: how a contact is merged.
        now: time in epoch seconds.
    """

    def __init__(self, account: Account, option: str, now: float) -> None:
        self._account = account
        self._option = option
        self._now = now
        self._created = ((now, "created"),)
        self._updated = (now, "updated")
        self.facts: Counter[str] = Counter()
        self.unknown_fields: Counter[str] = Counter()
        self.bad_values: Counter[str] = Counter()

    def match(self, row: Row) -> tuple[str, Contact | None]:
        """Return a key of the row's `matchIdentifier`, and the contact that has it, or None.

        Raises:
            RowError: if the identifier is invalid, unknown or suppressed.
        """
        name = str(row["matchIdentifier"])
        identifiers = row["identifiers"]
        value = identifiers.get(name) if isinstance(identifiers, dict) else None
        if name == "email":
            email = str(value or "")
            self._check_email(email)
            key = self._account.key(email)
            return key, self._account.by_email.get(key)
        if name == "contactId":
            if not isinstance(value, int) or value not in self._account.contacts.by_id:
                raise RowError("invalidContactId", f"Invalid value for '{name}'")
            return f"contactId {value}", self._account.contacts.by_id[value]
        if name != "mobileNumber" and name not in self._account.settings.custom_identifiers:
            raise RowError("invalidMatchIdentifier", f"Unknown identifier '{name}'")
        if not value:
            raise RowError("noValidIdentifiers", f"No value for '{name}'")
        return f"{name} {value}", self._account.by_identifier.get((name, str(value)))

    def apply(self, row: Row, contact: Contact | None) -> tuple[Contact, bool]:
        """Create or update a contact; return it, and whether it is new."""
        sent = row["identifiers"]
        identifiers: Row = sent if isinstance(sent, dict) else {}
        books = self._books(row.get("lists"))
        given = row.get("dataFields")
        old = unpack(contact.fields) if contact else {}
        fields = self._merged(old, given) if isinstance(given, dict) and given else None
        email_only = row["matchIdentifier"] == "email" and len(identifiers) == 1
        if not email_only:
            self._check_identifiers(identifiers, contact)
        new = contact is None
        if contact is None:
            email = str(identifiers["email"]) if email_only else ""
            contact = self._account.add_contact(email, self._now, self._created)
        else:
            contact.history += (self._updated,)
            contact.updated = self._now
        if not email_only:
            self._identify(contact, identifiers)
        if fields is not None:
            contact.fields = pack(fields)
        records = records_of(row)
        if records:
            contact.consents += tuple({**record, "dateTimeCreated": iso(self._now)} for record in records)
            self.facts["consent_records"] += len(records)
        if "channelProperties" in row or (new and self._account.settings.enforce_double_opt_in):
            self._channel(contact, email_channel(row), new=new)
        for book in books:
            if contact.id not in book.suppressed or self._account.settings.readd_list_unsubscribed:
                self._account.add_to_list(contact, book, self._now)
                book.suppressed.pop(contact.id, None)
        return contact, new

    def _check_email(self, email: str) -> None:
        account = self._account
        if not is_email(email):
            raise RowError("invalidEmail", "Invalid value for 'email'")
        key = email.lower()
        if key in account.globally_suppressed:
            raise RowError("globallySuppressed", "The contact is globally suppressed")
        if account.suppressed_domains and key.partition("@")[2] in account.suppressed_domains:
            raise RowError("suppressedByDomain", "The domain of the contact is suppressed")

    def _check_identifiers(self, identifiers: Row, contact: Contact | None) -> None:
        """Reject an identifier that is malformed, or that another contact has."""
        for name, value in identifiers.items():
            if name == "contactId":
                continue
            if name == "email":
                self._check_email(str(value))
                holder = self._account.by_email.get(self._account.key(str(value)))
            else:
                holder = self._account.by_identifier.get((name, str(value)))
            if holder is not None and holder is not contact:
                text = f"Duplicate identifier detected for {name} '{value}'"
                raise RowError("duplicateIdentifier", text)

    def _identify(self, contact: Contact, identifiers: Row) -> None:
        others = {k: str(v) for k, v in identifiers.items() if k not in ("email", "contactId")}
        email = identifiers.get("email")
        key = self._account.key
        if isinstance(email, str) and key(email) != key(contact.email):
            self._account.by_email.pop(key(contact.email), None)
            contact.email = email
            self._account.by_email[key(email)] = contact
        if others:
            contact.identifiers = pack(unpack(contact.identifiers) | others)
            for pair in others.items():
                self._account.by_identifier[pair] = contact

    def _books(self, lists: object) -> list[AddressBook]:
        books = []
        for list_id in lists if isinstance(lists, list) else ():
            if list_id not in self._account.books:
                raise RowError("invalidAddressBookIds", f"Unknown list '{list_id}'")
            books.append(self._account.books[list_id])
        return books

    def _merged(self, stored: dict[str, object], given: Row) -> dict[str, object]:
        option = self._option
        for name, value in given.items():
            field = self._account.fields.get(name)
            if field is None:
                self._unknown(name)
            elif option == "overwriteIfEmpty" and stored.get(name) not in (None, ""):
                continue
            elif value is None:
                if option == "overwrite":  # null clears the value: importcontacts page, read 2026-08
                    stored.pop(name, None)
            elif value != "" or option == "overwrite":
                self._store(stored, field, value)
        return stored

    def _unknown(self, name: str) -> None:
        self.unknown_fields[name] += 1
        if self._account.settings.unknown_field == "fail_record":
            raise RowError("apiSchemaViolation", f"Unknown data field '{name}'")
        if self._account.settings.unknown_field == "create":
            self._account.fields[name] = DataField(name, "String")

    def _store(self, stored: dict[str, object], field: DataField, value: object) -> None:
        settings = self._account.settings
        refused = settings.decimals == "fail_record" and isinstance(value, float) and field.kind == "Numeric"
        if _is_valid(field, value, settings.text_length) and not refused:
            stored[field.name] = _cut(field, value) if settings.value_precision == "cut" else value
            return
        self.bad_values[field.name] += 1
        if self._account.settings.bad_value == "fail_record":
            text = f"Invalid value for data field '{field.name}'"
            raise RowError("apiSchemaViolation", text)

    def _channel(self, contact: Contact, channel: Row, *, new: bool) -> None:
        """Apply opt-in type and status; without `status` the status is unchanged (contacts spec 3.4.3)."""
        now = self._now
        opt_in, kind = channel.get("optintype"), channel.get("emailtype")
        if isinstance(kind, str):
            contact.email_type = _CASED.get(kind, kind.capitalize())
        if isinstance(opt_in, str):
            contact.opt_in = _CASED.get(opt_in, opt_in.capitalize())
        if opt_in == "verifieddouble" or (new and self._account.settings.enforce_double_opt_in):
            contact.set_status("pendingOptIn", now, "waits for double opt-in")
            self._account.mail(contact, "confirmation", now)
            self.facts["mails"] += 1
            return
        status = channel.get("status")
        if not isinstance(status, str) or status == contact.status:
            return
        if status == "subscribed" and contact.status in OPTED_OUT:
            self.facts["resubscribed"] += 1
            options = channel.get("resubscribeoptions")
            if isinstance(options, dict) and options.get("resubscribeWithNoChallenge") is False:
                self._account.mail(contact, "resubscription challenge", now)
                self.facts["mails"] += 1
                return
            contact.set_status(status, now, f"resubscribed, was {contact.status}")
            return
        self.facts[status] += 1
        contact.set_status(status, now, f"{status} through the API, was {contact.status}")


def _cut(field: DataField, value: object) -> object:
    """Return a number without decimals, or a date without its time."""
    if field.kind == "Numeric" and isinstance(value, float):
        return int(value)
    return value[:10] if field.kind == "Date" and isinstance(value, str) else value


def _is_valid(field: DataField, value: object, text_length: int) -> bool:
    if field.kind == "String":
        return len(value) <= text_length if isinstance(value, str) else isinstance(value, (int, float))
    if field.kind == "Boolean":
        return isinstance(value, bool) or str(value).lower() in _BOOLEANS
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return False
    try:
        if field.kind == "Numeric":
            return math.isfinite(float(value)) and "_" not in str(value)
        datetime.fromisoformat(str(value))
    except ValueError:
        return value == ""
    return True
