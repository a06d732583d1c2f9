"""Constant Contact: who has unsubscribed from everything (specification 3.0.178, read 2026-08).

Who has left one list alone is told nowhere: they are found by reading the list back.
"""

from __future__ import annotations

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.constant_contact.account import link_url
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import to_iso

PAGE_SIZE = 500  # the most of a page
MAILABLE_PERMISSIONS = {"implicit", "explicit", "pending_confirmation", "temp_hold", "not_set"}
"""Permissions of people who have not opted out; the vendor is asked for opt-outs, so no other word is taken for one."""


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Of the whole account, since a moment; also of contacts that were deleted since, who have not opted in by that."""
    asked = {"status": "all", "optout_after": to_iso(since), "limit": str(PAGE_SIZE)}
    request = get(f"{audience.base_url}/contacts", **asked)
    while True:
        found = as_object(read_json((yield request)))
        addresses = [as_object(one.get("email_address")) for one in required_list(found.get("contacts"), "contacts")]
        on_page(
            [
                OptOut(same(as_text(one["address"])), Reason.UNSUBSCRIBED, as_text(one.get("opt_out_date")))
                for one in addresses
                if as_text(one.get("address")) and as_text(one.get("permission_to_send")) not in MAILABLE_PERMISSIONS
            ]
        )
        following = link_url(audience.base_url, found, "next")
        if not following or following == request.url:
            return
        request = get(following)
