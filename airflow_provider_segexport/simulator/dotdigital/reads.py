"""Reading of contacts: v3 pages with a marker, v2 pages with `select` and `skip`."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from airflow_provider_segexport.simulator.clock import iso
from airflow_provider_segexport.simulator.people import unpack
from airflow_provider_segexport.simulator.wire import Call, Reply

from .errors import bad_request, v2_refused, v3_refused
from .state import STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .state import Account, AddressBook, Contact, ContactIndex

Json = dict[str, object]

_LIMITS = range(1, 5001)  # contacts spec 3.4.3; the general v3 page says up to 10,000
_SELECTS = range(1, 1001)
_SINCE = re.compile(r"gte::(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z)")
_ALL = "[[ALL]]"
_PARTS = {"channelProperties", "lists", "preferences", "consentRecords"}  # contacts spec 3.4.3
# Contact statuses of v2 (enum ApiContactStatuses of the dotMailer clients for .NET and PHP, read 2026-11), by the
# status of v3 if they are written differently. v2 has no other statuses.
_V2_STATUSES = {
    **{
        status: status[0].upper() + status[1:]
        for status in ("subscribed", "unsubscribed", "softBounced", "hardBounced", "ispComplained", "pendingOptIn")
    },
    "directComplaint": "DirectComplaint",
    "suppressed": "Suppressed",
    "deleted": "Deleted",
    "sharedsuppression": "SharedSuppression",
    "domainSuppressed": "DomainSuppression",
}


def identifiers_of(contact: Contact) -> Json:
    """Return the contact's identifiers other than `contactId`."""
    others = unpack(contact.identifiers)
    return {"email": contact.email, **others} if contact.email else others


def contact_of(account: Account, contact: Contact, include: str, fields: str) -> Json:
    """Return the v3 JSON of a contact.

    Args:
        account: the vendor's account.
        contact: the contact.
        include: parts to include, separated by `|`.
        fields: data fields to include, separated by `|`; `[[ALL]]` for all.
    """
    shown: Json = {
        "contactId": contact.id,
        "status": STATUSES.get(contact.status, contact.status),
        "created": iso(contact.created),
        "updated": iso(contact.updated),
        "identifiers": identifiers_of(contact),
    }
    if fields:
        stored = unpack(contact.fields)
        names = account.fields if fields == _ALL else fields.split("|")
        shown["dataFields"] = {name: stored.get(name) for name in names}
    wanted = include.split("|")
    if "channelProperties" in wanted:
        channel = {"emailType": contact.email_type, "optInType": contact.opt_in}
        shown["channelProperties"] = {"email": channel | {"status": contact.status}}
    if "lists" in wanted and (contact.lists or account.settings.no_list != "left_out"):
        shown["lists"] = [_list_of(account.books[list_id], contact) for list_id in contact.lists]
    if "consentRecords" in wanted:
        shown["consentRecords"] = list(contact.consents)
    return shown


def _list_of(book: AddressBook, contact: Contact) -> Json:
    pending = "pending" if contact.status == "pendingOptIn" else "subscribed"
    status = "suppressed" if contact.id in book.suppressed else pending
    return {"id": book.id, "name": book.name, "status": status}


def page(account: Account, base_url: str, call: Call) -> Reply:
    """Handle GET /contacts/v3.

    Args:
        account: the vendor's account.
        base_url: the vendor's URL prefix.
        call: the request.
    """
    roll = _members(account, call)
    limit = call.query.get("limit", "5000")
    if not limit.isdigit() or int(limit) not in _LIMITS:
        raise bad_request("The limit must be between 1 and 5000", "limit")
    if "~created" in call.query and "~modified" in call.query:
        raise v3_refused("invalidFilter", "The filters '~created' and '~modified' cannot be combined")
    created, modified = (_since(call, name) for name in ("~created", "~modified"))
    marker = call.query.get("marker", _marker(0))
    contacts: list[Contact] = []
    for contact in roll.after(_position(marker)):
        if contact.created >= created and contact.updated >= modified:
            contacts.append(contact)
            if len(contacts) > int(limit):
                break
    more, contacts = len(contacts) > int(limit), contacts[: int(limit)]
    links = {"self": _link(base_url, call, marker), "first": _link(base_url, call, _marker(0))}
    if more:
        links["next"] = _link(base_url, call, _marker(contacts[-1].id))
    include, fields = call.query.get("include", ""), call.query.get("data-fields", "")
    if not set(filter(None, include.split("|"))) <= _PARTS:
        raise bad_request("The include parameter is invalid", "include")
    call.count("rows", len(contacts))
    items = [contact_of(account, contact, include, fields) for contact in contacts]
    return Reply.json({"_items": items, "_links": links})


def _members(account: Account, call: Call) -> ContactIndex:
    if "~segmentId" in call.query:
        call.note("segments are not simulated")
        raise v3_refused("invalidFilter", "The filter value for '~segmentId' is invalid")
    list_id = call.query.get("~listId")
    if list_id is None:
        return account.contacts
    if not list_id.isdigit() or int(list_id) not in account.books:
        raise v3_refused("invalidFilter", f"The filter value '{list_id}' is invalid")
    return account.books[int(list_id)].members


def _since(call: Call, name: str) -> float:
    text = call.query.get(name)
    if text is None:
        return 0.0
    match = _SINCE.fullmatch(text)
    if match is None:
        raise v3_refused("invalidFilter", f"The filter value '{text}' is invalid")
    return datetime.fromisoformat(match[1]).timestamp()


def _marker(contact_id: int) -> str:
    return base64.b64encode(str(contact_id).encode()).decode()


def _position(marker: str) -> int:
    try:
        return int(base64.b64decode(marker, validate=True))
    except (binascii.Error, ValueError):
        raise v3_refused("invalidMarker", f"The marker '{marker}' is invalid") from None


def _link(base_url: str, call: Call, marker: str) -> Json:
    query = urlencode({**call.query, "marker": marker}, quote_via=quote)
    return {"marker": marker, "link": f"{base_url}/contacts/v3?{query}"}


def v2_row(contact: Contact, *, full: bool = False) -> Json:
    """Return the v2 JSON of a contact; `full` includes the data fields."""
    pairs = [{"key": key, "value": value} for key, value in unpack(contact.fields).items()]
    return {
        "id": contact.id,
        "email": contact.email,
        "optInType": contact.opt_in,
        "emailType": contact.email_type,
        "dataFields": pairs if full else None,
        "status": _V2_STATUSES.get(contact.status, "NotAvailableInThisVersion"),
    }


def v2_cut(rows: Iterable[Json], call: Call) -> Reply:
    """Return the page of `rows` that the query selects with `select` (1 to 1000, default 1000) and `skip`."""
    select, skip = call.query.get("select", "1000"), call.query.get("skip", "0")
    if not select.isdigit() or int(select) not in _SELECTS or not skip.isdigit():
        raise v2_refused("Error: ERROR_PARAMETER_INVALID")
    shown = list(rows)[int(skip) : int(skip) + int(select)]
    call.count("rows", len(shown))
    return Reply.json(shown)
