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
from airflow_provider_segexport.vendors.replies import get

PAGE = 500  # the most of a page
UNSUBSCRIBED = "unsubscribed"


def optouts(target: Target, since: float, tell: TellOptOuts) -> Operation[None]:
    """Of the whole account, since a moment; also of contacts that were deleted since, who have not opted in by that."""
    asked = {"status": "all", "optout_after": iso(since), "limit": str(PAGE)}
    request = get(f"{target.api}/contacts", **asked)
    while True:
        found = read((yield request))
        addresses = [one.get("email_address") or {} for one in found["contacts"]]
        tell(
            [
                OptOut(same(str(one["address"])), Reason.UNSUBSCRIBED, str(one.get("opt_out_date") or ""))
                for one in addresses
                if one.get("address") and one.get("permission_to_send") == UNSUBSCRIBED
            ]
        )
        following = linked(target.api, found, "next")
        if not following or following == request.url:
            return
        request = get(following)
