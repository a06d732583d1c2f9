"""Omnisend: who has a tag."""

from __future__ import annotations

from airflow_provider_segexport.contract import Tell
from airflow_provider_segexport.model import Member, Operation, Target
from airflow_provider_segexport.vendors.omnisend.account import following
from airflow_provider_segexport.vendors.omnisend.replies import read, versioned
from airflow_provider_segexport.vendors.replies import get

PAGE = "250"  # the most a page may have (contacts OpenAPI 2026-03-15)


def members(target: Target, tell: Tell) -> Operation[None]:
    """Pages are sought by cursor. Tags are applied later than a batch ends, so an early look sees too few.

    Contacts without an address (a phone alone) are none of ours. Whoever is not unsubscribed may be mailed.
    """
    asked = {"tag": target.audience, "limit": PAGE}
    while True:
        page = read((yield versioned(get(f"{target.api}/contacts", **asked))))
        tell(
            [
                Member(str(one["email"]).lower(), str(one["id"]), one.get("status") != "unsubscribed")
                for one in page["contacts"]
                if one.get("email")
            ]
        )
        after = following(page)
        if not after or after == asked.get("after"):
            return
        asked["after"] = after
