"""Constant Contact: who has unsubscribed from everything (specification 3.0.178, read 2026-08).

Who has left one list alone is told nowhere: they are found by reading the list back.
"""

from __future__ import annotations

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import TellOptOuts
from airflow_provider_segexport.model import Operation, OptOut, Reason, Target
from airflow_provider_segexport.vendors.constant_contact.account import linked
from airflow_provider_segexport.vendors.constant_contact.replies import read
from airflow_provider_segexport.vendors.moments import iso
from airflow_provider_segexport.vendors.replies import answer_list, get, inner, text

PAGE = 500  # the most of a page
MAILABLE = {"implicit", "explicit", "pending_confirmation", "temp_hold", "not_set"}
"""Permissions of people who have not opted out; the vendor is asked for opt-outs, so no other word is taken for one."""


def optouts(target: Target, since: float, tell: TellOptOuts) -> Operation[None]:
    """Of the whole account, since a moment; also of contacts that were deleted since, who have not opted in by that."""
    asked = {"status": "all", "optout_after": iso(since), "limit": str(PAGE)}
    request = get(f"{target.api}/contacts", **asked)
    while True:
        found = inner(read((yield request)))
        addresses = [inner(one.get("email_address")) for one in answer_list(found.get("contacts"), "contacts")]
        tell(
            [
                OptOut(same(text(one["address"])), Reason.UNSUBSCRIBED, text(one.get("opt_out_date")))
                for one in addresses
                if text(one.get("address")) and text(one.get("permission_to_send")) not in MAILABLE
            ]
        )
        following = linked(target.api, found, "next")
        if not following or following == request.url:
            return
        request = get(following)
