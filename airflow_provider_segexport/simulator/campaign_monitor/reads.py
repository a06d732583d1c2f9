"""Reading of people: pages of a list by state, and of the suppression list."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .state import Account, MailingList, Subscriber

Json = dict[str, object]
Entry = TypeVar("Entry")

_PAGE_SIZES = range(10, 1001)  # out of range: 400/801; conventions page, read 2026-08
_ORDER_FIELDS = ("email", "name", "date")


class Reader:
    """Reads pages of people. The last sorted listing is cached, because clients read its pages one after the other."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._cache: tuple[object, Sequence[Subscriber]] = (None, ())

    def members(self, call: Call, source: MailingList, state: str) -> Reply:
        """Handle GET /lists/{listid}/{state}.json.

        Args:
            call: the request.
            source: the list.
            state: state of the people to read.
        """
        since = self._since(call.query.get("date", ""))
        field, direction = _order(call)
        people = self._sorted(source, state, since, field, direction)
        tracking = call.query.get("includetrackingpreference", "").lower() == "true"
        return _page(call, people, lambda person: self.row(source, person, tracking=tracking))

    def suppressed(self, call: Call) -> Reply:
        """Handle GET /clients/{clientid}/suppressionlist.json."""
        field, direction = _order(call)
        entries = list(self._account.client.suppressed.values())
        entries.sort(key=lambda e: e[2] if field == "date" else e[0], reverse=direction == "desc")
        return _page(
            call,
            entries,
            lambda entry: {
                "SuppressionReason": entry[1],
                "EmailAddress": entry[0],
                "Date": self._account.date(entry[2]),
                "State": "Suppressed",
            },
        )

    def row(self, source: MailingList, person: Subscriber, *, tracking: bool) -> Json:
        """Return the JSON of a person, with the names of custom fields, not their keys (fixtures, read 2026-08).

        Args:
            source: the list, which has the custom fields.
            person: the person.
            tracking: include `ConsentToTrack`.
        """
        shown: Json = {
            "EmailAddress": person.email,
            "Name": person.name,
            "Date": self._account.date(person.changed),
            "ListJoinedDate": self._account.date(person.joined),
            "State": person.state,
            "CustomFields": _pairs(source, person),
            "ReadsEmailWith": "",
        }
        if tracking:
            shown["ConsentToTrack"] = person.consent
        return shown

    def _since(self, text: str) -> float:
        if not text:
            return -math.inf
        forms = "%Y-%m-%d", "%Y-%m-%d %H:%M"  # conventions page, read 2026-11
        try:
            local = datetime.strptime(text, forms[" " in text]).replace(tzinfo=UTC)
        except ValueError:
            raise refused(5) from None
        return local.timestamp() - self._account.settings.utc_offset_minutes * 60

    def _sorted(
        self, source: MailingList, state: str, since: float, field: str, direction: str
    ) -> Sequence[Subscriber]:
        wanted = (source.id, source.version, state, since, field, direction)
        if self._cache[0] != wanted:
            people = [
                person for person in source.subscribers.values() if person.state == state and person.changed >= since
            ]
            people.sort(key=_KEYS[field], reverse=direction == "desc")
            self._cache = (wanted, people)
        return self._cache[1]


_KEYS: dict[str, Callable[[Subscriber], str | float]] = {
    "email": lambda person: person.email.lower(),
    "name": lambda person: person.name,
    "date": lambda person: person.changed,
}


def _pairs(source: MailingList, person: Subscriber) -> list[Json]:
    pairs: list[Json] = []
    for bare, value in unpack(person.fields).items():
        field = source.fields.get(bare)
        if field and isinstance(value, tuple):
            pairs += [{"Key": field.name, "Value": text} for text in value]
        elif field:
            pairs.append({"Key": field.name, "Value": value})
    return pairs


def _order(call: Call) -> tuple[str, str]:
    field = call.query.get("orderfield", "email").lower()
    direction = call.query.get("orderdirection", "asc").lower()
    if field not in _ORDER_FIELDS:
        raise refused(802)
    if direction not in ("asc", "desc"):
        raise refused(803)
    return field, direction


def _page(call: Call, entries: Sequence[Entry], show: Callable[[Entry], Json]) -> Reply:
    page, size = call.query.get("page", "1"), call.query.get("pagesize", "1000")
    if not page.isdigit() or int(page) < 1:
        raise refused(800)
    if not size.isdigit() or int(size) not in _PAGE_SIZES:
        raise refused(801)
    number, length = int(page), int(size)
    rows = [show(entry) for entry in entries[(number - 1) * length : number * length]]
    field, direction = _order(call)
    call.count("rows", len(rows))
    return Reply.json(
        {
            "Results": rows,
            "ResultsOrderedBy": field,
            "OrderDirection": direction,
            "PageNumber": number,
            "PageSize": length,
            "RecordsOnThisPage": len(rows),
            "TotalNumberOfRecords": len(entries),
            "NumberOfPages": max(1, math.ceil(len(entries) / length)),
        }
    )
