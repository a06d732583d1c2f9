"""Omnisend: reads the contacts with a tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.member_pages import read_parts
from airflow_provider_segexport.vendors.omnisend.account import next_cursor
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, id_of, required_list

PAGE_SIZE = "250"  # maximum (contacts OpenAPI 2026-03-15)


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages. The vendor applies tags after a batch has ended, so an early read returns too few contacts."""
    return read_parts(read_members, audience, on_page)


def read_members(audience: Audience, marker: str, on_page: OnPage) -> Operation[str]:
    """Read the page at a cursor; return the cursor of the next page, empty after the last page.

    Args:
        audience: the audience.
        marker: cursor of the page; empty for the first page.
        on_page: receives the members on the page.
    """
    members, following = yield from read_page(audience, marker)
    on_page(members)
    return following


def read_page(audience: Audience, cursor: str) -> Operation[tuple[list[Member], str]]:
    """Return the members on one page, and the cursor of the next page; it is empty on the last page."""
    query = {"tag": audience.audience, "limit": PAGE_SIZE} | ({"after": cursor} if cursor else {})
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", **query)))))
    return to_members(required_list(page.get("contacts"), "contacts")), next_cursor(page, {cursor})


def to_members(contacts: Sequence[dict[str, Any]]) -> list[Member]:
    """Return the contacts that have an address. All except unsubscribed contacts are active."""
    return [
        Member(canonical(email), id_of(contact.get("id")), contact.get("status") != "unsubscribed")
        for contact in contacts
        if (email := email_of(contact))
    ]


def email_of(contact: dict[str, Any]) -> str:
    """Return a contact's address, or else that of its email identifier; empty if it has only a phone number."""
    identifiers = [entry for entry in as_objects(contact.get("identifiers")) if entry.get("type") == "email"]
    return as_text(contact.get("email")) or next((as_text(entry.get("id")) for entry in identifiers), "")
