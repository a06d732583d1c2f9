"""Constant Contact: reads the people who unsubscribed from everything (specification 3.0.178, read 2026-08).

No call lists the people who left a single list. A run identifies them by reading the list back.
"""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason, Request
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import to_iso

PAGE_SIZE = 500  # maximum
MAILABLE_PERMISSIONS = {"implicit", "explicit", "pending_confirmation", "temp_hold", "not_set"}
"""Permissions of people who have not opted out. Every other permission counts as an opt-out."""


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Read the opt-outs of the account since a time, also of deleted contacts, because a deletion is not an opt-in.

    Args:
        audience: the audience.
        since: time in epoch seconds; 0 for all opt-outs.
        on_page: receives the opt-outs on each page.
    """
    request = get(f"{audience.base_url}/contacts", status="all", optout_after=to_iso(since), limit=str(PAGE_SIZE))
    while True:
        url = yield from _read_page(audience, request, on_page)
        if not url:
            return
        request = get(url)


def read_optouts(audience: Audience, marker: str, on_page: OnOptOutPage) -> Operation[str]:
    """Read one page of all opt-outs; return the next page's marker, empty after the last page.

    Args:
        audience: the audience.
        marker: path and query of the page; empty for the first page.
        on_page: receives the opt-outs on the page; a person may be on several pages.
    """
    first = f"/contacts?status=all&optout_after={quote(to_iso(0.0), safe='')}&limit={PAGE_SIZE}"
    request = get(audience.base_url + (marker or first))
    url = yield from _read_page(audience, request, on_page)
    return url.removeprefix(audience.base_url)


def _read_page(audience: Audience, request: Request, on_page: OnOptOutPage) -> Operation[str]:
    """Read one page of opt-outs; return the URL of the next page, or empty."""
    page = as_object(read_json((yield request)))
    contacts = required_list(page.get("contacts"), "contacts")
    addresses = [as_object(contact.get("email_address")) for contact in contacts]
    on_page(
        [
            OptOut(canonical(as_text(address["address"])), Reason.UNSUBSCRIBED, as_text(address.get("opt_out_date")))
            for address in addresses
            if as_text(address.get("address"))
            and as_text(address.get("permission_to_send")) not in MAILABLE_PERMISSIONS
        ]
    )
    return link_url(audience.base_url, page, "next")
