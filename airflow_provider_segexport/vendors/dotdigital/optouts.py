"""dotdigital: reads the opt-outs of an account and of one address book.

Both calls belong to API v2, and neither is deprecated (contacts and lists specifications v2, read 2026-08).
"""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import UnexpectedResponse
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import day_before, is_since_or_unknown

PAGE_SIZE = 1000  # maximum of the specification
MAX_PAGES = 10_000
"""Maximum pages of one read: 10 million people."""


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read each person once. The account's reason takes precedence over `LEFT_AUDIENCE`.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.
    """
    day, seen = day_before(since), set[str]()
    account_url = f"{audience.base_url}/v2/contacts/suppressed-since/{day}"
    book_url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/unsubscribed-since/{day}"
    for url in (account_url, book_url):
        for page in range(MAX_PAGES):
            query = {"select": str(PAGE_SIZE), "skip": str(page * PAGE_SIZE)}
            entries = required_list(read_json((yield get(url, **query))), "contacts")
            if not entries:
                break
            optouts: dict[str, OptOut] = {}
            for entry in entries:
                optout = _to_optout(entry, in_book=url == book_url)
                if optout.email and optout.email not in seen and is_since_or_unknown(optout.since, since):
                    optouts[optout.email] = optout
            on_page(list(optouts.values()))
            seen.update(optouts)
        else:
            raise UnexpectedResponse(
                f"{url} has more pages after {counted(MAX_PAGES * PAGE_SIZE, 'person')}. To fix: report it to "
                "dotdigital's support."
            )


def read_optouts(audience: Audience, marker: str, on_page: OnOptOutPage) -> Operation[str]:
    """Read one page of all opt-outs, first the account's, then the book's; return the next page's marker.

    Args:
        audience: the audience.
        marker: kind and number of the page; empty for the first page.
        on_page: receives the opt-outs on the page; a person may be on several pages.
    """
    kind, _, number = (marker or "account:0").partition(":")
    page, day = int(number), day_before(0.0)
    url = f"{audience.base_url}/v2/contacts/suppressed-since/{day}"
    if kind == "book":
        url = f"{audience.base_url}/v2/address-books/{audience.audience}/contacts/unsubscribed-since/{day}"
    query = {"select": str(PAGE_SIZE), "skip": str(page * PAGE_SIZE)}
    entries = required_list(read_json((yield get(url, **query))), "contacts")
    optouts = [_to_optout(entry, in_book=kind == "book") for entry in entries]
    on_page([optout for optout in optouts if optout.email])
    if entries:
        return f"{kind}:{page + 1}"
    return "" if kind == "book" else "book:0"


def _to_optout(entry: dict[str, Any], *, in_book: bool) -> OptOut:
    """Convert one entry of a page to an opt-out."""
    contact = as_object(entry.get("suppressedContact"))
    status = f"{as_text(entry.get('reason'))} {as_text(contact.get('status'))}"
    reason = Reason.LEFT_AUDIENCE if in_book else reason_of(status)
    return OptOut(canonical(as_text(contact.get("email"))), reason, as_text(entry.get("dateRemoved")))


def reason_of(status: str) -> Reason:
    """Map a status to a reason. Statuses are an open set, such as `Unsubscribed`, `HardBounced` or `IspComplained`."""
    status = status.lower()
    if "bounce" in status:
        return Reason.BOUNCED
    return Reason.UNSUBSCRIBED if "unsubscribed" in status else Reason.SUPPRESSED
