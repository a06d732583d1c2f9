"""dotdigital: reading the members of an address book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import (
    DIGITS,
    as_object,
    as_objects,
    as_text,
    get,
    id_of,
    required_list,
)

PAGE_SIZE = 5000  # maximum of the contacts specification, 3.4.3


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages. They are addressed by a marker, so additions and removals between reads skip no contact."""
    return read_pages(audience, on_page, {})


def list_without_leavers(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages with each contact's books, and leave out contacts that have unsubscribed from this book alone."""

    def is_left(contact: dict[str, Any]) -> bool:
        entries = [book for book in as_objects(contact.get("lists")) if as_text(book.get("id")) == audience.audience]
        return any(as_text(book.get("status")) not in {"", "subscribed"} for book in entries)

    return read_pages(audience, on_page, {"include": "lists"}, is_left)


def read_pages(
    audience: Audience,
    on_page: OnPage,
    options: Mapping[str, str],
    is_left: Callable[[dict[str, Any]], bool] = lambda _: False,
) -> Operation[None]:
    """Read the contacts of a book.

    Args:
        audience: the book.
        on_page: receives the members on each page.
        options: further members of the query.
        is_left: returns whether a contact is left out.
    """
    query = {"~listId": audience.audience, "limit": str(PAGE_SIZE), **options}
    while True:
        page = read_json((yield get(f"{audience.base_url}/contacts/v3", **query)))
        contacts = required_list(as_object(page).get("_items"), "_items")
        emails = [as_text(as_object(contact.get("identifiers")).get("email")) for contact in contacts]
        on_page(
            [
                Member(canonical(email), id_of(contact.get("contactId"), DIGITS))
                for email, contact in zip(emails, contacts, strict=True)
                if email and not is_left(contact)
            ]
        )
        marker = as_text(as_object(as_object(page.get("_links")).get("next")).get("marker"))
        if not contacts or not marker or marker == query.get("marker"):
            return
        query["marker"] = marker
