"""Dynamic segments: ready some seconds after they are created, and always up to date from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import BodyError, Call, Reply

from .errors import FieldError, Problem, invalid, wrong
from .listing import Request, Sorted
from .records import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .records import Contact
    from .state import Account

Json = dict[str, object]
Test = "Callable[[Contact], bool]"

_NAME_LENGTH, _MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE = 256, 50, 10  # segments OpenAPI 2026-03-15, read 2026-08
_VALUE_TYPES = ("text", "number", "bool", "date")  # of custom properties; segments OpenAPI 2026-03-15, read 2026-11
_TEXTS = ("firstName", "lastName", "gender", "country", "state", "city", "address", "postalCode")


def body_of(call: Call) -> Json:
    """Return the body's object; reject a body that is not a JSON object."""
    if call.has_other_type:  # assumed
        raise Problem(415, "The Content-Type must be application/json.")
    try:
        return call.json_object()
    except BodyError:
        raise wrong("", "Request body must be a JSON object", "invalid_body") from None


@dataclass(slots=True)
class Segment:
    """A segment. `groups` has the rules as sent, `matches` checks a contact, `ready` is the time when it is built."""

    id: str
    number: int
    name: str
    groups: list[object]
    matches: Callable[[Contact], bool]
    created: float
    updated: float
    ready: float

    def status(self, now: float) -> str:
        """Return `building` or `ready`."""
        return "ready" if now >= self.ready else "building"


class SegmentRoutes:
    """The routes below /segments."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.by_id: dict[str, Segment] = {}
        self._cache: dict[str, tuple[int, Sequence[int]]] = {}

    def members(self, segment: Segment, now: float) -> Sequence[int]:
        """Return the members' numbers in ascending order; assumed: none while the segment is built."""
        if segment.status(now) == "building":
            return ()
        version, numbers = self._cache.get(segment.id, (-1, ()))
        if version != self._account.version:
            numbers = [c.number for c in self._account.contacts if not c.deleted and segment.matches(c)]
            self._cache[segment.id] = (self._account.version, numbers)
        return numbers

    def of(self, contact: Contact, now: float) -> list[str]:
        """Return the ids of the segments that have the contact as a member."""
        return [s.id for s in self.by_id.values() if s.status(now) == "ready" and s.matches(contact)]

    def all(self, call: Call) -> Reply:
        """Handle GET /segments."""
        request = Request.read(call, (), ("createdAt", "name"), _MAX_PAGE_SIZE, _DEFAULT_PAGE_SIZE)
        by_name = request.sort == "name"
        keys = {((s.name if by_name else s.number), s.number): s for s in self.by_id.values()}
        page_keys, paging = request.page(Sorted(sorted(keys)))
        return Reply.json({"segments": [self._show(keys[key], call.now) for key in page_keys], "paging": paging})  # type: ignore[index]

    def single(self, call: Call) -> Reply:
        """Handle GET /segments/{segmentID}."""
        return Reply.json(self._show(self._named(call), call.now))

    def statistics(self, call: Call) -> Reply:
        """Handle GET /segments/{segmentID}/statistics."""
        return Reply.json({"contactsCount": len(self.members(self._named(call), call.now))})

    def create(self, call: Call) -> Reply:
        """Handle POST /segments."""
        name, groups, matches = self._read(body_of(call))
        ready = call.now + self._account.settings.segment_seconds
        segment_id = self._account.ids.hex(24)
        segment = Segment(segment_id, len(self.by_id), name, groups, matches, call.now, call.now, ready)
        self.by_id[segment_id] = segment
        return Reply.json(self._show(segment, call.now), 201)

    def change(self, call: Call) -> Reply:
        """Handle PUT /segments/{segmentID}; 409 while it is building."""
        segment = self._settled(call, "updated")
        segment.name, segment.groups, segment.matches = self._read(body_of(call))
        segment.updated, segment.ready = call.now, call.now + self._account.settings.segment_seconds
        self._cache.pop(segment.id, None)
        return Reply.json(self._show(segment, call.now))

    def delete(self, call: Call) -> Reply:
        """Handle DELETE /segments/{segmentID}; 409 while it is building."""
        del self.by_id[self._settled(call, "deleted").id]
        call.count("segments_deleted")
        return Reply(204)

    def _settled(self, call: Call, what: str) -> Segment:
        segment = self._named(call)
        if segment.status(call.now) == "building":
            raise Problem(409, f"Segment is currently being built and cannot be {what}.")
        return segment

    def _named(self, call: Call) -> Segment:
        segment = self.by_id.get(call.params["segment"])
        if segment is None:
            raise Problem(404, f"Segment '{call.params['segment']}' not found.")
        return segment

    @staticmethod
    def _read(body: Json) -> tuple[str, list[object], Callable[[Contact], bool]]:
        name, groups = body.get("name"), body.get("conditionGroups")
        errors = []
        if not isinstance(name, str) or not 1 <= len(name) <= _NAME_LENGTH:
            errors.append(FieldError("name", "required", f"Name of 1 to {_NAME_LENGTH} characters is required"))
        if not isinstance(groups, list) or not groups:
            errors.append(FieldError("conditionGroups", "required", "At least one condition group is required"))
        if errors or not isinstance(groups, list):
            raise invalid(*errors)
        tests = [_group(group, f"conditionGroups.{number}") for number, group in enumerate(groups)]
        return str(name), groups, lambda contact: any(test(contact) for test in tests)

    @staticmethod
    def _show(segment: Segment, now: float) -> Json:
        return {
            "segmentID": segment.id,
            "name": segment.name,
            "status": segment.status(now),
            "conditionGroups": segment.groups,
            "isStarred": False,
            "createdAt": iso(segment.created),
            "updatedAt": iso(segment.updated),
            "archivedAt": None,
        }


def _rows(value: object, at: str) -> list[Json]:
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        raise wrong(at, "Must be a list of objects with at least one item", "required")
    return value


def _group(group: object, at: str) -> Callable[[Contact], bool]:
    conditions = _rows(group.get("conditions") if isinstance(group, dict) else None, f"{at}.conditions")
    tests = [_condition(condition, f"{at}.conditions.{number}") for number, condition in enumerate(conditions)]
    return lambda contact: all(test(contact) for test in tests)


def _condition(condition: Json, at: str) -> Callable[[Contact], bool]:
    if condition.get("entity") != "contact":
        raise wrong(f"{at}.entity", "Only the entity contact is simulated", "invalid_value")
    filters = _rows(condition.get("filters"), f"{at}.filters")
    tests = [_filter(row, f"{at}.filters.{number}") for number, row in enumerate(filters)]
    if condition.get("junction") == "or":
        return lambda contact: any(test(contact) for test in tests)
    return lambda contact: all(test(contact) for test in tests)


def _filter(row: Json, at: str) -> Callable[[Contact], bool]:
    """Return a function that checks one filter; only tags, status, texts and custom properties are simulated."""
    name, operator, value = row.get("property"), row.get("operator"), row.get("value")
    wanted = {str(item) for item in (value if isinstance(value, list) else [value])}
    if name == "subscriptionStatus" and operator == "equals":
        return lambda contact: contact.status in wanted
    if operator not in ("anyOf", "noneOf"):
        raise wrong(f"{at}.operator", f"The operator {operator!r} is not simulated", "invalid_value")
    any_of = operator == "anyOf"
    if name == "tags":
        return lambda contact: wanted.isdisjoint(contact.tags) != any_of
    if name == "email":
        return lambda contact: (contact.email in wanted) == any_of
    if name == "custom" and not (row.get("name") and row.get("valueType") in _VALUE_TYPES):
        raise wrong(at, "A custom property needs name and valueType", "required")
    if name in _TEXTS or name == "custom":
        key = str(name) if name in _TEXTS else CUSTOM + str(row.get("name"))
        return lambda contact: (str(unpack(contact.fields).get(key)) in wanted) == any_of
    raise wrong(f"{at}.property", f"The property {name!r} is unknown or not simulated", "invalid_value")
