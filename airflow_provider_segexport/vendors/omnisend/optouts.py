"""Omnisend: reads unsubscribed contacts (contacts OpenAPI 2026-03-15, read 2026-08).

The API cannot combine `status` with `tag` or `updatedAtFrom`. So all unsubscribed contacts of the brand are read, the
last changed first, until a page is older than the requested time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason, Sleep
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.omnisend.account import next_cursor
from airflow_provider_segexport.vendors.omnisend.members import PAGE_SIZE, email_of
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import EARLIEST, is_since_or_unknown, to_epoch_s

READ_AGAIN_AFTER_S = 1.0
"""Seconds between the last page and another read of the first page. The vendor's times may be whole seconds, so no
further change can have the time that the newest change had in the read before."""


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read contacts that unsubscribed since a time. May include contacts that changed since, but unsubscribed before.

    A contact that changes between two page reads moves to the first page, so the read may miss it. After more than one
    page, the contacts that have changed since the first read are therefore read as well, until there are none. In a
    list out of order, no contact moves to the first page, so such a list is read once.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.

    Raises:
        RetryableError: the vendor says that there are more contacts, and returns no way to read them.
    """
    read_until = -math.inf
    page_count, newest = yield from _read_pages(audience, since, on_page, read_until)
    while page_count > 1 and newest is not None and newest > read_until:
        read_until = newest
        yield Sleep(READ_AGAIN_AFTER_S)
        page_count, newest = yield from _read_pages(audience, since, on_page, read_until)


def _read_pages(
    audience: Audience, since: float, on_page: OnOptOutPage, read_until: float
) -> Operation[tuple[int, float | None]]:
    """Read pages until contacts changed before `since` or `read_until`; all pages if they are out of order.

    Args:
        audience: the audience.
        since: time in epoch seconds.
        on_page: receives the opt-outs on each page.
        read_until: time in epoch seconds; contacts that changed before it have already been read. The vendor's times
            may be whole seconds, so contacts of that second are read again.

    Returns:
        The number of pages, and the time of the newest change on the first page (None if unknown, or out of order).
    """
    cursors: set[str] = set()
    cursor = ""
    newest: float | None = None
    previous, is_ordered = math.inf, True
    while True:
        contacts, following = yield from _read_page(audience, cursor, cursors)
        changes = [_changed_s(contact) for contact in contacts]
        known_changes = [changed_s for changed_s in changes if changed_s is not None]
        if not cursor:
            newest = max(known_changes, default=None)
        fresh = [
            contact
            for contact, changed_s in zip(contacts, changes, strict=True)
            if changed_s is None or changed_s >= read_until
        ]
        on_page([person for person in _people(fresh) if is_since_or_unknown(person.since, since)])
        is_ordered = is_ordered and all(newer >= older for newer, older in pairwise([previous, *known_changes]))
        previous = min([previous, *known_changes])
        is_old = is_ordered and (previous < since or previous < read_until)
        if is_old or not following:
            return len(cursors) + 1, newest if is_ordered else None
        cursor = following
        cursors.add(cursor)


def read_optouts(audience: Audience, marker: str, on_page: OnOptOutPage) -> Operation[str]:
    """Read the page of all opt-outs at a cursor; return the next page's cursor, empty after the last page.

    Args:
        audience: the audience.
        marker: cursor of the page; empty for the first page.
        on_page: receives the opt-outs on the page; a person may be on several pages.

    Raises:
        RetryableError: the vendor says that there are more contacts, and returns no way to read them.
    """
    contacts, following = yield from _read_page(audience, marker, {marker})
    on_page(_people(contacts))
    return following


def _read_page(
    audience: Audience, cursor: str, cursors: Collection[str]
) -> Operation[tuple[list[dict[str, Any]], str]]:
    """Return the contacts on one page, the last changed first, and the next page's cursor, empty after the last page.

    Args:
        audience: the audience.
        cursor: cursor of the page; empty for the first page.
        cursors: cursors of the pages that have been read.

    Raises:
        RetryableError: the vendor says that there are more contacts, and returns no new cursor.
    """
    query = {"status": "unsubscribed", "sort": "updatedAt", "direction": "desc", "limit": PAGE_SIZE}
    query |= {"after": cursor} if cursor else {}
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", **query)))))
    return required_list(page.get("contacts"), "contacts"), next_cursor(page, cursors)


def _people(contacts: Sequence[dict[str, Any]]) -> list[OptOut]:
    """Return an opt-out for each address of the contacts."""
    return [OptOut(email, Reason.UNSUBSCRIBED, at) for contact in contacts for email, at in _dates(contact).items()]


def _dates(contact: dict[str, Any]) -> dict[str, str]:
    """Return when a contact opted out, by each of its addresses, because mail to every address reaches it."""
    identifiers = [entry for entry in as_objects(contact.get("identifiers")) if entry.get("type") == "email"]
    dates = {canonical(as_text(entry.get("id"))): unsubscribed_at({"identifiers": [entry]}) for entry in identifiers}
    if email := canonical(email_of(contact)):
        dates[email] = unsubscribed_at(contact)
    return {email: at for email, at in dates.items() if email}


def _changed_s(contact: dict[str, Any]) -> float | None:
    """Return when a contact last changed, in epoch seconds; None if unknown, or a default such as 0001-01-01."""
    changed_s = to_epoch_s(as_text(contact.get("updatedAt")))
    return changed_s if changed_s is not None and changed_s >= EARLIEST.timestamp() else None


def unsubscribed_at(contact: dict[str, Any]) -> str:
    """Return when the status of the email channel last changed; empty if unknown."""
    for identifier in as_objects(contact.get("identifiers")):
        channel = as_object(as_object(identifier.get("channels")).get("email"))
        if channel and identifier.get("type") == "email":
            return as_text(channel.get("statusChangedAt"))
    return ""
