"""Constant Contact: who has unsubscribed from everything (specification 3.0.178, read 2026-08).

Who has left one list alone is told nowhere: they are found by reading the list back.
"""

from __future__ import annotations

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.responses import read
from airflow_provider_segexport.vendors.responses import answer_list, get, inner, text
from airflow_provider_segexport.vendors.timestamps import iso

PAGE = 500  # the most of a page
MAILABLE = {"implicit", "explicit", "pending_confirmation", "temp_hold", "not_set"}
"""Permissions of people who have not opted out; the vendor is asked for opt-outs, so no other word is taken for one."""


def optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """Of the whole account, since a moment; also of contacts that were deleted since, who have not opted in by that."""
    asked = {"status": "all", "optout_after": iso(since), "limit": str(PAGE)}
    request = get(f"{audience.base_url}/contacts", **asked)
    while True:
        found = inner(read((yield request)))
        addresses = [inner(one.get("email_address")) for one in answer_list(found.get("contacts"), "contacts")]
        on_page(
            [
                OptOut(same(text(one["address"])), Reason.UNSUBSCRIBED, text(one.get("opt_out_date")))
                for one in addresses
                if text(one.get("address")) and text(one.get("permission_to_send")) not in MAILABLE
            ]
        )
        following = linked(audience.base_url, found, "next")
        if not following or following == request.url:
            return
        request = get(following)
