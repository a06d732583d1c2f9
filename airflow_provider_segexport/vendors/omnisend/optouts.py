"""Omnisend: reading unsubscribed contacts (contacts OpenAPI 2026-03-15, read 2026-08).

The API combines `status` with neither `tag` nor `updatedAtFrom`. So all unsubscribed contacts of the brand are read,
the last changed first, until they are older than the time in question.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.omnisend.account import next_cursor
from airflow_provider_segexport.vendors.omnisend.members import PAGE_SIZE, email_of
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import is_since_or_unknown, to_epoch_s


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read contacts that unsubscribed since a time. A contact that changed since may have unsubscribed before.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.
    """
    cursor = ""
    while True:
        contacts, following = yield from _read_page(audience, cursor)
        dates = [(canonical(email), unsubscribed_at(contact)) for contact in contacts if (email := email_of(contact))]
        on_page([OptOut(email, Reason.UNSUBSCRIBED, at) for email, at in dates if is_since_or_unknown(at, since)])
        changed_s = [to_epoch_s(as_text(contact.get("updatedAt"))) for contact in contacts]
        if not following or following == cursor or any(at_s is not None and at_s < since for at_s in changed_s):
            return
        cursor = following


def read_optouts(audience: Audience, marker: str, on_page: OnOptOutPage) -> Operation[str]:
    """Read the page of all opt-outs at a cursor; return the next page's cursor.

    Args:
        audience: the audience.
        marker: of the page; empty for the first page.
        on_page: receives the opt-outs on the page; a person may be on several pages.
    """
    contacts, following = yield from _read_page(audience, marker)
    people = [(canonical(email), unsubscribed_at(contact)) for contact in contacts if (email := email_of(contact))]
    on_page([OptOut(email, Reason.UNSUBSCRIBED, at) for email, at in people])
    return following


def _read_page(audience: Audience, cursor: str) -> Operation[tuple[list[dict[str, Any]], str]]:
    """Return the contacts on one page, the last changed first, and the cursor of the next page or empty."""
    query = {"status": "unsubscribed", "sort": "updatedAt", "direction": "desc", "limit": PAGE_SIZE}
    query |= {"after": cursor} if cursor else {}
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", **query)))))
    return required_list(page.get("contacts"), "contacts"), next_cursor(page) or ""


def unsubscribed_at(contact: dict[str, Any]) -> str:
    """Return when the status of the email channel changed last; empty if unknown."""
    for identifier in as_objects(contact.get("identifiers")):
        channel = as_object(as_object(identifier.get("channels")).get("email"))
        if channel and identifier.get("type") == "email":
            return as_text(channel.get("statusChangedAt"))
    return ""
