"""The v3 routes of single contacts, and the deletion of contacts from the account."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.people import NO_FIELDS, is_email
from airflow_provider_segexport.simulator.wire import Call, Reply

from .checking import Row, body_of, check_contact, object_of
from .errors import bad_request, contact_not_found, v3_refused
from .reads import Json, contact_of
from .upserting import RowError, Upsert

if TYPE_CHECKING:
    from .state import Account, Contact

_MAX_DELETED, _MAX_VALUE_LENGTH = 5000, 256  # contacts spec 3.4.3
# The single PATCH writes the import's merge options with hyphens; same spec.
_OPTIONS = {
    "overwrite": "overwrite",
    "overwrite-if-not-empty": "overwriteIfNotEmpty",
    "overwrite-if-empty": "overwriteIfEmpty",
}
_EVERYTHING = "lists|channelProperties|consentRecords"


class ContactRoutes:
    """The routes below /contacts/v3 for single contacts and for deletions."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._deleted: dict[str, Json] = {}

    def show(self, call: Call) -> Reply:
        """Handle GET /contacts/v3/{identifier}/{value}."""
        return Reply.json(self._full(self._named(call)))

    def create(self, call: Call) -> Reply:
        """Handle POST /contacts/v3."""
        row = object_of(call)
        check_contact(row, "contact")
        name, value = _first_identifier(row)
        if self._find(name, value):
            text = f"The id value '{value}' for the identifier '{name}' already exists."
            raise v3_refused("idAlreadyExists", f"{text} All identifiers must be unique!", 409)
        contact, _ = self._upsert(call, row | {"matchIdentifier": name}, "overwrite")
        return Reply.json(self._full(contact), 201)

    def patch(self, call: Call) -> Reply:
        """Handle PATCH /contacts/v3/{identifier}/{value}: update or create the contact."""
        option = _OPTIONS.get(call.query.get("merge-option", "overwrite"))
        if option is None:
            raise bad_request("The merge-option is invalid", "merge-option")
        row = object_of(call)
        check_contact(row, "contact", identified=False)
        contact, new = self._upsert(call, self._addressed(call, row), option)
        return Reply.json(self._full(contact), 201 if new else 200)

    def replace(self, call: Call) -> Reply:
        """Handle PUT /contacts/v3/{identifier}/{value}: values and lists that are not sent are removed."""
        contact = self._named(call)
        row = object_of(call)
        check_contact(row, "contact")
        call.count("replaced")
        contact.fields = NO_FIELDS
        for list_id in contact.lists:
            self._account.remove_from_list(contact, self._account.books[list_id], call.now)
        contact, _ = self._upsert(call, self._addressed(call, row), "overwrite")
        return Reply.json(self._full(contact))

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /contacts/v3/{identifier}/{value}: delete the contact from the account."""
        contact = self._named(call)
        self._account.erase(contact, call.now)
        call.count("account_deleted")
        return Reply.json({"contactId": contact.id})

    def delete_many(self, call: Call) -> Reply:
        """Handle POST /contacts/v3/delete: a job deletes the contacts from the account."""
        body = body_of(call)
        if not isinstance(body, list) or not body:
            text = "You must specifiy 1 or more contacts to be deleted!"
            raise v3_refused("noContactsSpecified", text)
        if len(body) > _MAX_DELETED or not all(isinstance(item, dict) and item for item in body):
            raise bad_request(f"At most {_MAX_DELETED} contact identifiers", "body")
        call.count("rows", len(body))
        job_id = self._account.ids.guid()
        seconds = self._account.settings.job_seconds
        facts = call.facts

        def work(moment: float) -> str:
            deleted, unknown = self._erase(body, moment)
            self._deleted[job_id] = _deletion_report(deleted, unknown)
            facts["account_deleted"] = len(deleted)
            return "Finished"

        self._account.deletions.add(job_id, call.now, seconds, work)
        return Reply.json({"deleteId": job_id}, 202)

    def _erase(self, items: list[Row], moment: float) -> tuple[list[Row], list[Row]]:
        deleted: list[Row] = []
        unknown: list[Row] = []
        for item in items:
            name, value = next(iter(item.items()))
            contact = self._find(name, str(value))
            if contact is None:
                unknown.append(item)
            else:
                self._account.erase(contact, moment)
                deleted.append(item)
        return deleted, unknown

    def deletion(self, call: Call) -> Reply:
        """Handle GET /contacts/v3/delete/{deleteId}."""
        job = self._account.deletions.poll(call.params["id"], call.now)
        if job is None:
            # The specification's example has the code and the text of an import.
            text = f"The import request '{call.params['id']}' could not be found!"
            raise v3_refused("importNotFound", text, 404)
        return Reply.json({"deleteId": job.id, "status": job.state, **self._deleted.get(job.id, {})})

    def _upsert(self, call: Call, row: Row, option: str) -> tuple[Contact, bool]:
        upsert = Upsert(self._account, option, call.now)
        try:
            _, contact = upsert.match(row)
            contact, new = upsert.apply(row, contact)
        except RowError as refused:
            if refused.code == "duplicateIdentifier":
                raise v3_refused("idAlreadyExists", refused.description, 409) from None
            code = "invalidId" if refused.code.startswith("invalid") else "badRequest"
            raise v3_refused(code, refused.description) from None
        call.facts |= Counter(call.facts) + upsert.facts
        call.notes += [f"unknown data field {name!r}" for name in upsert.unknown_fields]
        return contact, new

    def _addressed(self, call: Call, row: Row) -> Row:
        """Return the row with the identifier in the path as its `matchIdentifier`."""
        name, value = _identifier(call)
        given = row.get("identifiers")
        identifiers: Row = {name: int(value) if name == "contactId" and value.isdigit() else value}
        contact = self._find(name, value)
        if contact is not None:
            name, identifiers = "contactId", {"contactId": contact.id}
        merged = identifiers | (given if isinstance(given, dict) else {})
        return row | {"matchIdentifier": name, "identifiers": merged}

    def _named(self, call: Call) -> Contact:
        name, value = _identifier(call)
        contact = self._find(name, value)
        if contact is None:
            raise contact_not_found(name, value)
        return contact

    def _find(self, name: str, value: str) -> Contact | None:
        if name == "email":
            return self._account.by_email.get(self._account.key(value))
        if name == "contactId":
            return self._account.contacts.by_id.get(int(value)) if value.isdigit() else None
        return self._account.by_identifier.get((name, value))

    def _full(self, contact: Contact) -> Json:
        return contact_of(self._account, contact, _EVERYTHING, "[[ALL]]")


def _identifier(call: Call) -> tuple[str, str]:
    """Return the identifier in the path; reject a value that the identifier cannot have (contacts spec 3.4.3)."""
    name, value = call.params["identifier"], call.params["value"]
    valid = {"email": is_email(value), "contactId": value.isdigit()}.get(name, len(value) <= _MAX_VALUE_LENGTH)
    if not valid:
        raise v3_refused("invalidId", f"The id value '{value}' is invalid for the identifier '{name}'")
    return name, value


def _first_identifier(row: Row) -> tuple[str, str]:
    identifiers = row["identifiers"]
    if not isinstance(identifiers, dict) or not identifiers:
        raise bad_request("The Identifiers field is required", "identifiers")
    name = "email" if "email" in identifiers else next(iter(identifiers))
    return str(name), str(identifiers[name])


def _deletion_report(deleted: list[Row], unknown: list[Row]) -> Json:
    reason = {"failureCode": "contactNotFound", "description": "The contact could not be found"}
    return {
        "summary": {
            "requestedContacts": len(deleted) + len(unknown),
            "deletedContacts": len(deleted),
            "unknownContacts": len(unknown),
            "invalidEntries": 0,
        },
        "deleted": deleted,
        "failures": [{"identifier": item, "failures": [reason]} for item in unknown],
    }
