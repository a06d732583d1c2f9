"""dotdigital: reads the members of an address book."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.member_pages import read_parts
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
BOOK_STATUSES = {"subscribed", "pending"}
"""Statuses of contacts who have not left a book, in lower case. Any other status, such as `suppressed`, means so."""


def list_members(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages. Pages have markers, so additions and removals between two reads skip no contact."""
    return read_parts(read_members, audience, on_page)


def list_without_leavers(audience: Audience, on_page: OnPage) -> Operation[None]:
    """Read all pages with each contact's books; leave out contacts that have unsubscribed from this book."""
    return read_parts(
        lambda book, marker, receive: _read_page(
            book, marker, receive, {"include": "lists"}, lambda contact: has_left(contact, audience)
        ),
        audience,
        on_page,
    )


def has_left(contact: Mapping[str, Any], audience: Audience) -> bool:
    """Return whether a contact's record says that the person has unsubscribed from this book."""
    return any(status not in {"", *BOOK_STATUSES} for status in statuses_in_book(contact, audience))


def statuses_in_book(contact: Mapping[str, Any], audience: Audience) -> list[str]:
    """Return a contact's status in this book in lower case, from the record; empty if it does not name the book."""
    entries = [entry for entry in as_objects(contact.get("lists")) if as_text(entry.get("id")) == audience.audience]
    return [as_text(entry.get("status")).lower() for entry in entries]


def read_members(audience: Audience, marker: str, on_page: OnPage) -> Operation[str]:
    """Read the page at a marker; return the marker of the next page, empty after the last page.

    Args:
        audience: the audience.
        marker: marker of the page; empty for the first page.
        on_page: receives the members on the page.
    """
    return _read_page(audience, marker, on_page, {})


def _read_page(
    audience: Audience,
    marker: str,
    on_page: OnPage,
    options: Mapping[str, str],
    is_left: Callable[[dict[str, Any]], bool] = lambda _: False,
) -> Operation[str]:
    """Read one page of a book, without contacts for which `is_left` is true; return the marker of the next page."""
    query = {"~listId": audience.audience, "limit": str(PAGE_SIZE), **options} | ({"marker": marker} if marker else {})
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
    following = as_text(as_object(as_object(page.get("_links")).get("next")).get("marker"))
    return following if contacts else ""
