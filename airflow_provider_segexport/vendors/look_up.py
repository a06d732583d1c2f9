"""Looks up members at a vendor that can read single contacts and list an audience in pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage

ReadContact = Callable[[Audience, str], Operation[Sequence[Member] | None]]
FindOnPages = Callable[[Audience, set[str], OnPage], Operation[None]]
ResolveIds = Callable[[Audience, Sequence[str], OnPage], Operation[None]]


def member_lookup(page_size: int, read_contact: ReadContact, find_on_pages: FindOnPages) -> ResolveIds:
    """Return a `Removal.resolve_ids` that reads pages or single contacts, whichever takes fewer calls.

    Args:
        page_size: contacts on one page of the audience.
        read_contact: reads one contact. Returns its memberships, empty if it is not a member; None if the record does
            not say whether it is one. Such a contact is looked up on the pages.
        find_on_pages: reads pages of the audience, and passes the members among the addresses to the callback.
    """

    def resolve_ids(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
        """Pass the members among normalised addresses to `on_page`; without a member count, read single contacts."""
        pages = math.inf if audience.member_count is None else audience.member_count // page_size + 1
        if len(emails) > pages:
            yield from find_on_pages(audience, set(emails), on_page)
            return
        unclear: set[str] = set()
        for email in emails:
            members = yield from read_contact(audience, email)
            if members is None:
                unclear.add(email)
            elif members:
                on_page(members)
        if unclear:
            yield from find_on_pages(audience, unclear, on_page)

    return resolve_ids
