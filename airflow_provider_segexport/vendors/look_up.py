"""Looks members up at a vendor that can read single contacts and list whole audiences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from airflow_provider_segexport.model import Audience, Member, Operation
from airflow_provider_segexport.vendors.base import OnPage


def look_up_members(  # noqa: PLR0913 - two ways to read, and what decides between them
    audience: Audience,
    emails: Sequence[str],
    on_page: OnPage,
    *,
    page_size: int,
    read_contact: Callable[[str], Operation[Sequence[Member] | None]],
    find_on_pages: Callable[[set[str]], Operation[None]],
) -> Operation[None]:
    """Find members by reading the audience's pages or each contact, whichever takes fewer calls.

    Args:
        audience: the audience; without a member count its contacts are read one by one.
        emails: addresses to look up, normalised.
        on_page: receives the members among them.
        page_size: contacts on a page of the audience.
        read_contact: reads one contact: its membership, nothing if it is no member, or None if its own record does
            not say whether it is in the audience. Such contacts are looked up on the pages.
        find_on_pages: reads pages of the audience, and passes on the members among the addresses.
    """
    pages = math.inf if audience.member_count is None else audience.member_count // page_size + 1
    if len(emails) > pages:
        yield from find_on_pages(set(emails))
        return
    unclear: set[str] = set()
    for email in emails:
        members = yield from read_contact(email)
        if members is None:
            unclear.add(email)
        elif members:
            on_page(members)
    if unclear:
        yield from find_on_pages(unclear)
