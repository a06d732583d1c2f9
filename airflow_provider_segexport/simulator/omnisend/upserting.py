"""Applies the contacts of a request: matches by identifiers, updates or creates, and audits damage."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.people import NO_FIELDS, pack, unpack

from .checking import CONSENT_MEMBERS, CONTACT_MEMBERS, TEXTS, Json, check_contact
from .errors import Problem, wrong
from .records import CUSTOM

if TYPE_CHECKING:
    from .records import Contact
    from .state import Account

_PLAIN = frozenset((*TEXTS, "gender", "birthdate", "countryCode"))


class Upsert:
    """Applies contacts to a brand, and counts the results and the unknown fields.

    Args:
        account: the vendor's account.
        now: time in epoch seconds.
        how: the kind of call, for the history.
    """

    def __init__(self, account: Account, now: float, how: str) -> None:
        self._account = account
        self._now = now
        self._created = ((now, f"created by {how}"),)
        self._updated = f"updated by {how}"
        self.facts: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()

    def post(self, item: object) -> tuple[Contact, bool]:
        """Create or update a contact, matched by email or else by phone; return it, and whether it is new."""
        account = self._account
        row = check_contact(item, account.settings.tag_length)
        identifiers = row["identifiers"]
        sent_identifiers: list[Json] = identifiers if isinstance(identifiers, list) else []
        emails = [str(identifier["id"]) for identifier in sent_identifiers if identifier["type"] == "email"]
        phones = [str(identifier["id"]) for identifier in sent_identifiers if identifier["type"] == "phone"]
        contact = account.by_email.get(account.key(emails[0])) if emails else account.by_phone.get(phones[0])
        new = contact is None
        if contact is None:
            contact = account.add_contact(emails[0] if emails else "", self._now, self._created)
            contact.status = account.settings.new_status
            self.facts["created"] += 1
        else:
            account.record_event(contact, self._now, self._updated)
            contact.updated = self._now
            self.facts["updated"] += 1
        self._fill(contact, row, sent_identifiers, new=new)
        return contact, new

    def patch(self, contact: Contact, item: object) -> None:
        """Change an existing contact; 409 for an identifier of another contact."""
        account = self._account
        row = check_contact(item, account.settings.tag_length, identified=False)
        identifiers = row.get("identifiers")
        sent_identifiers: list[Json] = identifiers if isinstance(identifiers, list) else []
        for identifier in sent_identifiers:
            value = str(identifier["id"])
            email = identifier["type"] == "email"
            holder = account.by_email.get(account.key(value)) if email else account.by_phone.get(value)
            if holder is not None and holder is not contact:
                raise Problem(409, f"Contact with identifier '{value}' already exists.")
            if email and holder is None:
                account.by_email.pop(account.key(contact.email), None)
                contact.email = value
                account.by_email[account.key(value)] = contact
        account.record_event(contact, self._now, self._updated)
        contact.updated = self._now
        self.facts["updated"] += 1
        self._fill(contact, row, sent_identifiers, new=False)

    def _fill(self, contact: Contact, row: Json, sent_identifiers: list[Json], *, new: bool) -> None:
        for identifier in sent_identifiers:
            if identifier["type"] == "phone":
                self._phone(contact, str(identifier["id"]))
            if "consent" in identifier:
                self._consent(contact, identifier)
            if "channels" in identifier:
                self._channels(contact, identifier, new=new)
            if identifier["type"] == "email" and identifier.get("sendWelcomeMessage") is not False:
                self._welcome(contact, new=new)
        self._fields(contact, row)
        tags = row.get("tags")
        if tags is None and self._account.settings.left_out_tags == "clear":
            self._account.untag(contact, contact.tags, self._now)
        if isinstance(tags, list):
            if self._account.settings.update_tags == "replace":
                self._account.untag(contact, set(contact.tags) - set(tags), self._now)
            self._account.tag(contact, tags, self._now)

    def _phone(self, contact: Contact, phone: str) -> None:
        """Add a phone number; one that another contact has is ignored (contacts page, read 2026-08)."""
        if self._account.by_phone.setdefault(phone, contact) is contact and phone not in contact.phones:
            contact.phones = (*contact.phones, phone)

    def _fields(self, contact: Contact, row: Json) -> None:
        given: Json = {}
        for name, value in row.items():
            if name in _PLAIN:
                given[name] = value
            elif name == "customProperties" and isinstance(value, dict):
                given.update({CUSTOM + key: self._property(item) for key, item in value.items()})
            elif name == "createdAt":
                given[f"{CUSTOM}externalCreated"] = value
            elif name not in CONTACT_MEMBERS:
                self.unknown[name] += 1
        if contact.fields is not NO_FIELDS:
            given = unpack(contact.fields) | given
        if None in given.values():
            given = {name: value for name, value in given.items() if value is not None}
        if given or contact.fields is not NO_FIELDS:
            contact.fields = pack(given)

    def _property(self, value: object) -> object:
        """Return the value to store; whether decimals keep their type is not documented."""
        kind = self._account.settings.property_values
        if isinstance(value, float) and kind == "reject":
            raise wrong("customProperties", "Must be a whole number", "invalid_value")
        return str(value) if isinstance(value, float) and kind == "text" else value

    def _consent(self, contact: Contact, identifier: Json) -> None:
        """Add a consent; without `createdAt` it has the present time (contacts OpenAPI 2026-03-15)."""
        consent = identifier["consent"]
        if not isinstance(consent, dict):
            return
        channel = "email" if identifier["type"] == "email" else "sms"
        given = {name: str(value) for name, value in consent.items() if name in CONSENT_MEMBERS and value is not None}
        record = {"channel": channel, "createdAt": iso(self._now), "source": "api"} | given
        contact.consents = (*contact.consents, record)
        self.facts["consents"] += 1

    def _channels(self, contact: Contact, identifier: Json, *, new: bool) -> None:
        """Apply statuses: the one with the latest date counts; without channels they are unchanged (contacts page)."""
        channels = identifier.get("channels")
        for name, channel in channels.items() if isinstance(channels, dict) else ():
            moment = self._now
            if channel.get("statusChangedAt") is not None:
                moment = _seconds(str(channel["statusChangedAt"]))
            if name == "email":
                self._email(contact, str(channel["status"]), moment, new=new)
            elif new or moment >= contact.sms[1]:
                contact.sms = (str(channel["status"]), moment)

    def _email(self, contact: Contact, status: str, moment: float, *, new: bool) -> None:
        account, now, was = self._account, self._now, contact.status
        undated = was == "nonSubscribed" and contact.changed == contact.created
        if account.settings.date_of_no_status == "created":
            undated = False
        if not new and not undated and moment < contact.changed and account.settings.status_dates == "latest":
            self.facts["status_ignored"] += 1
            return
        self.facts["status_sent"] += 1
        account.set_status(contact, status, moment, now, f"{status} through the API")
        if was == status or (new and status != "subscribed"):
            return
        kind = "consent_upgraded" if was == "unsubscribed" else f"set_{status}"
        self.facts[kind] += 1
        account.audit.note(kind, contact.email, now, f"{was} -> {status}")

    def _welcome(self, contact: Contact, *, new: bool) -> None:
        """Send the welcome mail if the settings require it. The caller checks `sendWelcomeMessage` (default true)."""
        settings = self._account.settings
        due = new or (contact.status == "subscribed" and contact.changed == self._now)
        if settings.welcome_for == "subscribed":
            due = due and contact.status == "subscribed"
        if settings.welcome_workflow and due:
            self._account.mail(contact, "welcome", self._now)
            self.facts["mails"] += 1


def _seconds(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise wrong("statusChangedAt", "Must be an RFC 3339 timestamp") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
