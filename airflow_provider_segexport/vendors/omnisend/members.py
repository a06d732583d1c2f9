"""Omnisend: who has a tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.omnisend.account import next_cursor
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, id_of, required_list

PAGE_SIZE = "250"  # the most a page may have (contacts OpenAPI 2026-03-15)


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Pages are sought by cursor. Tags are applied later than a batch ends, so an early look sees too few."""
    after = ""
    while True:
        people, following_page = yield from read_page(audience, after)
        on_page(people)
        if not following_page or following_page == after:
            return
        after = following_page


def read_page(audience: Audience, after: str) -> Operation[tuple[list[Member], str]]:
    """The people of one page, from the first on or after a cursor; and the cursor of the next, empty on the last."""
    asked = {"tag": audience.audience, "limit": PAGE_SIZE} | ({"after": after} if after else {})
    found = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", **asked)))))
    return to_members(required_list(found.get("contacts"), "contacts")), next_cursor(found) or ""


def to_members(contacts: Sequence[dict[str, Any]]) -> list[Member]:
    """Contacts without an address (a phone alone) are none of ours. Whoever is not unsubscribed may be mailed."""
    return [
        Member(same(email), id_of(one.get("id")), one.get("status") != "unsubscribed")
        for one in contacts
        if (email := email_of(one))
    ]


def email_of(contact: dict[str, Any]) -> str:
    """A contact's address, or that of its identifier; empty for a contact with a phone alone."""
    identifiers = [one for one in as_objects(contact.get("identifiers")) if one.get("type") == "email"]
    return as_text(contact.get("email")) or next((as_text(one.get("id")) for one in identifiers), "")
