"""Routes of single contacts, and of adding tags to and removing them from many contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.wire import Call, Reply

from .checking import check_tags
from .errors import FieldError, Problem, invalid, wrong
from .segments import body_of
from .upserting import Upsert

if TYPE_CHECKING:
    from .reads import Reader
    from .records import Contact
    from .segments import SegmentRoutes
    from .state import Account

Json = dict[str, object]

_MAX_SELECTED = 250  # of each kind; contacts OpenAPI 2026-03-15, read 2026-08
_SELECTORS = ("emails", "contactIDs", "phones")


class ContactRoutes:
    """The routes below /contacts, without the listing.

    Args:
        account: the vendor's account.
        segments: the segments, which select contacts for tags.
        reader: reads the body of a call.
    """

    def __init__(self, account: Account, segments: SegmentRoutes, reader: Reader) -> None:
        self._account = account
        self._segments = segments
        self._reader = reader

    def show(self, call: Call) -> Reply:
        """Handle GET /contacts/{id}."""
        return Reply.json(self._reader.show(self._by_id(call), call.now))

    def create(self, call: Call) -> Reply:
        """Handle POST /contacts; the status is 201 for a new contact and 200 for an existing one."""
        upsert = Upsert(self._account, call.now, "POST")
        contact, new = upsert.post(body_of(call))
        self._log_counts(call, upsert)
        return Reply.json(self._reader.show(contact, call.now), 201 if new else 200)

    def patch(self, call: Call) -> Reply:
        """Handle PATCH /contacts/{id}."""
        return self._patch(call, self._by_id(call))

    def patch_by_email(self, call: Call) -> Reply:
        """Handle PATCH /contacts?email=."""
        email = call.query.get("email")
        if not email:
            raise wrong("email", "Email is required", "required")
        contact = self._account.by_email.get(self._account.key(email))
        if contact is None:
            raise Problem(404, f"Contact '{email}' not found.")
        return self._patch(call, contact)

    def _patch(self, call: Call, contact: Contact) -> Reply:
        upsert = Upsert(self._account, call.now, "PATCH")
        upsert.patch(contact, body_of(call))
        self._log_counts(call, upsert)
        return Reply.json(self._reader.show(contact, call.now))

    def add_tags(self, call: Call) -> Reply:
        """Handle POST /contacts/tags."""
        return self._tags(call, add=True)

    def remove_tags(self, call: Call) -> Reply:
        """Handle DELETE /contacts/tags."""
        return self._tags(call, add=False)

    def _tags(self, call: Call, *, add: bool) -> Reply:
        """Accept a tag change. The vendor applies it later, and has no job to poll (contacts OpenAPI)."""
        account = self._account
        selected, tags = self._selected(body_of(call))
        facts, notes = call.facts, call.notes

        def work(moment: float) -> str:
            contacts = self._pick(selected, moment)
            if add:
                for contact in contacts:
                    account.tag(contact, tags, moment)
            changed = len(contacts) if add else sum(account.untag(contact, tags, moment) for contact in contacts)
            facts["tagged" if add else "untagged"] = changed
            selector_count = sum(len(values) for values in selected.values() if isinstance(values, list))
            if selector_count > len(contacts):
                notes.append(f"{selector_count - len(contacts)} selectors match no contact, and were ignored")
            return "done"

        account.taggings.add(account.ids.guid(), call.now, account.settings.tag_seconds, work)
        return Reply(202)

    def _selected(self, body: Json) -> tuple[Json, list[str]]:
        errors: list[FieldError] = []
        selected: Json = {}
        for name in _SELECTORS:
            values = body.get(name)
            if values is None or values == []:
                continue
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                errors.append(FieldError(name, "invalid_type", "Must be an array of strings"))
            elif len(values) > _MAX_SELECTED:
                errors.append(FieldError(name, "invalid_length", f"Must have at most {_MAX_SELECTED} items"))
            selected[name] = values
        segment_id = body.get("segmentID")
        if segment_id:
            selected["segmentID"] = segment_id
            if segment_id not in self._segments.by_id:
                errors.append(FieldError("segmentID", "not_found", "Segment does not exist"))
        if not selected:
            errors.append(FieldError("emails", "required", "At least one selector is required"))
        tags = body.get("tags")
        check_tags(tags, errors, self._account.settings.tag_length)
        if errors or not isinstance(tags, list):
            raise invalid(*errors)
        return selected, tags

    def _pick(self, selected: Json, now: float) -> list[Contact]:
        """Return the contacts that any selector matches; unknown ones are ignored."""
        account = self._account
        contacts: dict[int, Contact] = {}
        for name, values in selected.items():
            if name == "segmentID":
                segment = self._segments.by_id.get(str(values))
                numbers = self._segments.members(segment, now) if segment else ()
                candidates: list[Contact | None] = [account.contacts[number] for number in numbers]
            elif not isinstance(values, list):
                continue
            elif name == "emails":
                candidates = [account.by_email.get(account.key(value)) for value in values]
            elif name == "phones":
                candidates = [account.by_phone.get(value) for value in values]
            else:
                candidates = [account.contact(value) for value in values]
            contacts |= {contact.number: contact for contact in candidates if contact}
        return list(contacts.values())

    def _by_id(self, call: Call) -> Contact:
        contact = self._account.contact(call.params["contact"])
        if contact is None:
            raise Problem(404, f"Contact '{call.params['contact']}' not found.")
        return contact

    @staticmethod
    def _log_counts(call: Call, upsert: Upsert) -> None:
        call.facts |= dict(upsert.facts)
        call.notes += [f"unknown field {name!r} ignored" for name in upsert.unknown]
