"""Routes of single contacts, including some that a segment export must not use."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import is_email, pack, unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import CONFLICT, api_refused, invalid, not_found
from .lists import body_of
from .reads import contact_of, includes
from .records import PERMISSIONS

if TYPE_CHECKING:
    from .records import Contact, ContactList
    from .state import Account

Json = dict[str, object]

_CORE = ("first_name", "last_name", "job_title", "company_name", "birthday_month", "birthday_day", "anniversary")
_EVERYTHING = "custom_fields,list_memberships,phone_numbers,street_addresses"
_PHONES = {"home": "home_phone", "work": "work_phone", "mobile": "mobile_phone"}
_PREFIXES = {"work": "work_", "other": "other_"}
_PARTS = {"street": "street", "city": "city", "state": "state", "postal_code": "zip", "country": "country"}


class ContactRoutes:
    """The routes below /contacts for single contacts."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def show(self, call: Call) -> Reply:
        """Handle GET /contacts/{contact_id}."""
        contact = self._named(call)
        return Reply.json(contact_of(self._account, contact, includes(call.query.get("include", ""))))

    def create(self, call: Call) -> Reply:
        """Handle POST /contacts; the reply is 409 if the address exists (swagger 3.0.178)."""
        body = body_of(call)
        if body.get("create_source") not in ("Contact", "Account"):
            raise invalid("create_source does not have a valid value")
        email, permission = self._email_of(body, "explicit")
        if self._account.key(email) in self._account.by_email:
            raise api_refused(CONFLICT, "Validation failed: email_address already exists", 409)
        fields, lists = self._fields(body), self._lists(body)
        contact = self._account.add_contact(email, permission, call.now, ((call.now, "created through the API"),))
        contact.opt_in_source = str(body["create_source"])
        contact.fields = pack(fields)
        self._join(call, contact, lists)
        return Reply.json(self._full(contact), 201)

    def replace(self, call: Call) -> Reply:
        """Handle PUT /contacts/{contact_id}: core fields that are not sent are cleared, sub-resources are not."""
        contact, body = self._named(call), body_of(call)
        if body.get("update_source") not in ("Contact", "Account"):
            raise invalid("update_source does not have a valid value")
        email, permission = self._email_of(body, contact.permission, contact.email)
        holder = self._account.by_email.get(self._account.key(email))
        if holder is not None and holder is not contact:
            raise api_refused(CONFLICT, "Validation failed: email_address already exists", 409)
        fields, lists = self._fields(body), self._lists(body)
        if contact.deleted is not None:
            self._account.revive(contact, call.now)
        self._account.by_email.pop(self._account.key(contact.email), None)
        contact.email = email
        self._account.by_email[self._account.key(email)] = contact
        if permission != contact.permission:
            call.count("permission_changed")
            self._account.set_permission(contact, permission, call.now, f"set to {permission} by PUT")
        other_fields = {name: value for name, value in unpack(contact.fields).items() if name not in _CORE}
        contact.fields = pack(other_fields | fields)
        contact.updated = call.now
        self._account.record_event(contact, call.now, "replaced by PUT")
        if isinstance(body.get("list_memberships"), list):
            for list_id in contact.lists:
                self._account.remove_from_list(contact, self._account.lists[list_id], call.now, "off the list by PUT")
            self._join(call, contact, lists)
        return Reply.json(self._full(contact))

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /contacts/{contact_id}: delete the contact from the account."""
        contact = self._named(call)
        if contact.deleted is None:
            self.erase(call.facts, contact, call.now)
        return Reply(204)

    def erase(self, facts: dict[str, int], contact: Contact, now: float) -> None:
        """Delete a contact, and record that in the audit and in the request log.

        Args:
            facts: counts in the request log.
            contact: the contact.
            now: time of the change, in seconds since the epoch.
        """
        facts["contacts_deleted"] = facts.get("contacts_deleted", 0) + 1
        self._account.audit.note("contact_deleted", contact.email, now)
        self._account.erase(contact, now)

    def sign_up(self, call: Call) -> Reply:
        """Handle POST /contacts/sign_up_form: the permission becomes explicit in any case (swagger 3.0.178)."""
        body = body_of(call)
        email = body.get("email_address")
        if not isinstance(email, str) or not is_email(email):
            raise invalid("email_address is not a valid email address")
        if not isinstance(body.get("list_memberships"), list) or not body["list_memberships"]:
            raise invalid("list_memberships is required")
        fields, lists = self._fields(body), self._lists(body)
        contact = self._account.by_email.get(self._account.key(email))
        confirm = self._account.settings.confirmed_opt_in
        new = contact is None
        if contact is None:
            permission = "pending_confirmation" if confirm else "explicit"
            event = ((call.now, "created by sign-up form"),)
            contact = self._account.add_contact(email, permission, call.now, event)
            contact.opt_in_source = "Contact"
        else:
            if contact.deleted is not None:
                self._account.revive(contact, call.now)
            call.count("permission_changed", int(contact.permission != "explicit"))
            if contact.permission == "unsubscribed":
                call.count("consent_upgraded")
            self._account.set_permission(contact, "explicit", call.now, "explicit by sign-up form")
        contact.fields = pack(unpack(contact.fields) | fields)
        self._account.audit.note("sign_up_form", email, call.now)
        self._join(call, contact, lists)
        self._welcome(call, contact, new=new, confirm=confirm)
        action = "created" if new else "updated"
        return Reply.json({"contact_id": self._account.contact_id(contact), "action": action}, 201 if new else 200)

    def _welcome(self, call: Call, contact: Contact, *, new: bool, confirm: bool) -> None:
        """Send the mail that a sign-up triggers; assumed: the product sends a welcome mail by default."""
        if new and confirm:
            self._account.mail(contact, "confirmation", call.now)
        elif new and self._account.settings.sign_up_sends_welcome:
            self._account.mail(contact, "welcome", call.now)
        else:
            return
        call.count("mails")

    def resubscribe(self, call: Call) -> Reply:
        """Handle PUT /contacts/resubscribe/{contact_id}: mail the person a request for confirmation."""
        contact = self._named(call)
        if contact.permission != "unsubscribed":
            raise api_refused(CONFLICT, "The contact is not unsubscribed", 409)
        self._account.mail(contact, "resubscribe confirmation", call.now)
        call.count("mails")
        return Reply.json({})

    def counts(self, _call: Call) -> Reply:
        """Handle GET /contacts/counts."""
        counts = Counter(c.permission for c in self._account.contacts if c.deleted is None)
        named = {name: counts[name] for name in ("explicit", "implicit", "unsubscribed")}
        return Reply.json({"total": sum(counts.values()), "pending": counts["pending_confirmation"], **named})

    def _named(self, call: Call) -> Contact:
        contact = self._account.contact(call.params["contact"])
        if contact is None:
            raise not_found()
        return contact

    def _full(self, contact: Contact) -> Json:
        return contact_of(self._account, contact, includes(_EVERYTHING))

    @staticmethod
    def _email_of(body: Json, permission: str, email: str | None = None) -> tuple[str, str]:
        given = body.get("email_address")
        if given is None and email is not None:
            return email, permission
        address = given.get("address") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(address, str) or not is_email(address):
            raise invalid("email_address.address is not a valid email address")
        wanted = given.get("permission_to_send", permission)
        if wanted not in PERMISSIONS:
            raise invalid("permission_to_send does not have a valid value")
        return address, str(wanted)

    def _fields(self, body: Json) -> Json:
        """Convert a contact's nested JSON to the stored fields."""
        fields: Json = {name: body[name] for name in _CORE if body.get(name) is not None}
        names = {field.id: f"cf:{field.name}" for field in self._account.fields.values()}
        for row in _rows(body, "custom_fields"):
            if row.get("custom_field_id") not in names:
                raise invalid("custom_field_id does not exist")
            fields[names[str(row["custom_field_id"])]] = row.get("value", "")
        for row in _rows(body, "phone_numbers"):
            fields[_PHONES.get(str(row.get("kind")), "phone")] = row.get("phone_number", "")
        if isinstance(body.get("phone_number"), str):
            fields["phone"] = body["phone_number"]
        street = body.get("street_address")
        for row in [*_rows(body, "street_addresses"), *([street] if isinstance(street, dict) else [])]:
            prefix = _PREFIXES.get(str(row.get("kind")), "")
            fields |= {prefix + stored_name: row[name] for name, stored_name in _PARTS.items() if name in row}
        return fields

    def _lists(self, body: Json) -> list[ContactList]:
        given = body.get("list_memberships")
        targets = [self._account.find_list(list_id) for list_id in given] if isinstance(given, list) else []
        if None in targets:
            raise not_found()
        return [target for target in targets if target]

    def _join(self, call: Call, contact: Contact, lists: list[ContactList]) -> None:
        for target in lists:
            self._account.add_to_list(contact, target, call.now, f"added to list {target.name} through the API")


def _rows(body: Json, name: str) -> list[Json]:
    given = body.get(name)
    return [row for row in given if isinstance(row, dict)] if isinstance(given, list) else []
