"""Reading of contacts: the JSON of one contact, and pages of contacts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso, iso_seconds
from airflow_provider_segexport.simulator.members import Members
from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .checking import is_day_or_moment
from .errors import FieldError, invalid, wrong
from .listing import AllNumbers, ByNumber, Request, Sorted
from .records import CUSTOM, STATUSES

if TYPE_CHECKING:
    from .listing import Key, View
    from .records import Contact
    from .segments import SegmentRoutes
    from .state import Account

Json = dict[str, object]

_FILTERS = ("email", "phone", "status", "segmentID", "tag", "updatedAtFrom")
_MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE = 250, 100  # contacts OpenAPI 2026-03-15, read 2026-08
_NO_MEMBERS = Members()


class Reader:
    """Reads contacts of one brand. The result of a search is cached until the brand changes."""

    def __init__(self, account: Account, segments: SegmentRoutes) -> None:
        self._account = account
        self._segments = segments
        self._cache: tuple[object, View] = (None, Sorted(()))

    def show(self, contact: Contact, now: float) -> Json:
        """Return the JSON of a contact; assumed: fields without a value are left out."""
        account = self._account
        fields = unpack(contact.fields)
        email = {"status": contact.status, "statusChangedAt": iso(contact.changed)}
        sms = {"status": contact.sms[0], "statusChangedAt": iso(contact.sms[1])}
        identifiers: list[Json] = []
        statuses: list[Json] = []
        if contact.email:
            identifiers.append({"type": "email", "id": contact.email, "channels": {"email": email}})
            statuses.append({"channel": "email", **email})
        identifiers += [{"type": "phone", "id": phone, "channels": {"sms": sms}} for phone in contact.phones]
        if contact.phones:
            statuses.append({"channel": "sms", **sms})
        return {
            "id": account.contact_id(contact),
            "email": contact.email,
            "phone": list(contact.phones),
            "identifiers": identifiers,
            **{name: value for name, value in fields.items() if not name.startswith(CUSTOM)},
            "tags": list(contact.tags),
            "segments": self._segments.of(contact, now),
            "status": contact.status,
            "statuses": statuses,
            "consents": sorted(contact.consents, key=lambda consent: consent["createdAt"]),
            "optIns": [],
            "customProperties": {
                name.removeprefix(CUSTOM): value for name, value in fields.items() if name.startswith(CUSTOM)
            },
            "createdAt": iso_seconds(contact.created),
            "updatedAt": iso_seconds(contact.updated),
        }

    def page(self, call: Call) -> Reply:
        """Handle GET /contacts."""
        request = Request.read(call, _FILTERS, ("createdAt", "updatedAt"), _MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE)
        _check_filters(request.filters)
        keys, paging = request.page(self._view(request, call.now))
        contacts = [self._account.contacts[int(key[1])] for key in keys]
        call.count("rows", len(contacts))
        shown = [self.show(contact, call.now) for contact in contacts]
        return Reply.json({"contacts": shown, "paging": paging})

    def _view(self, request: Request, now: float) -> View:
        account, filters = self._account, request.filters
        if request.sort == "createdAt" and not account.erased:
            if not filters:
                return AllNumbers(len(account.contacts))
            if filters.keys() == {"tag"}:
                return ByNumber(account.tags.get(filters["tag"], _NO_MEMBERS))
        wanted = (account.version, request.sort, tuple(sorted(filters.items())), self._state(filters, now))
        if self._cache[0] != wanted:
            self._cache = (wanted, Sorted(self._search(request, now)))
        return self._cache[1]

    def _state(self, filters: dict[str, str], now: float) -> str:
        segment = self._segments.by_id.get(filters.get("segmentID", ""))
        return segment.status(now) if segment else ""

    def _search(self, request: Request, now: float) -> list[Key]:
        account, filters = self._account, request.filters
        candidates = account.contacts
        if "email" in filters:
            contact = account.by_email.get(account.key(filters["email"]))
            candidates = [contact] if contact else []
        elif "phone" in filters:
            contact = account.by_phone.get(filters["phone"])
            candidates = [contact] if contact else []
        elif "tag" in filters:
            candidates = [
                account.contacts[number] for number in account.tags.get(filters["tag"], _NO_MEMBERS).after(-1)
            ]
        elif "segmentID" in filters:
            segment = self._segments.by_id.get(filters["segmentID"])
            candidates = [account.contacts[n] for n in self._segments.members(segment, now)] if segment else []
        since = _seconds(filters["updatedAtFrom"]) if "updatedAtFrom" in filters else None
        keys: list[Key] = [
            (contact.updated if request.sort == "updatedAt" else contact.number, contact.number)
            for contact in candidates
            if not contact.deleted
            and filters.get("status") in (None, contact.status)
            and (since is None or contact.updated >= since)
        ]
        return sorted(keys)


def _check_filters(filters: dict[str, str]) -> None:
    errors = []
    if "tag" in filters and "status" in filters:
        errors.append(FieldError("status", "invalid_combination", "Cannot be used with tag"))
    if "updatedAtFrom" in filters and len(filters) > 1:
        errors.append(FieldError("updatedAtFrom", "invalid_combination", "Cannot be used with other filters"))
    if filters.get("status", STATUSES[0]) not in STATUSES:
        errors.append(FieldError("status", "invalid_value", f"Must be one of: {', '.join(STATUSES)}"))
    if "updatedAtFrom" in filters and not is_day_or_moment(filters["updatedAtFrom"]):
        errors.append(FieldError("updatedAtFrom", "invalid_format", "Must be an RFC 3339 timestamp"))
    if errors:
        raise invalid(*errors)


def _seconds(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise wrong("updatedAtFrom", "Must be an RFC 3339 timestamp") from None
