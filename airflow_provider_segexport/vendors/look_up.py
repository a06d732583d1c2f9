"""Looks members up at a vendor that can read single contacts and list whole audiences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage

ReadContact = Callable[[Audience, str], Operation[Sequence[Member] | None]]
FindOnPages = Callable[[Audience, set[str], OnPage], Operation[None]]
ResolveIds = Callable[[Audience, Sequence[str], OnPage], Operation[None]]


def member_lookup(page_size: int, read_contact: ReadContact, find_on_pages: FindOnPages) -> ResolveIds:
    """Return `Removal.resolve_ids` of a vendor that is read by pages or by contact, whichever takes fewer calls.

    Args:
        page_size: contacts on a page of the audience.
        read_contact: reads one contact: its membership, nothing if it is no member, or None if its own record does
            not say whether it is in the audience. Such contacts are looked up on the pages.
        find_on_pages: reads pages of the audience, and passes on the members among the addresses.
    """

    def resolve_ids(audience: Audience, emails: Sequence[str], on_page: OnPage) -> Operation[None]:
        """Pass on the members among normalised addresses; without a member count, contacts are read one by one."""
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
