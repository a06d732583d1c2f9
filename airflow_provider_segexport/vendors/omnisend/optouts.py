"""Omnisend: who has unsubscribed (contacts OpenAPI 2026-03-15, read 2026-08).

`status` goes together with neither `tag` nor `updatedAtFrom`: all unsubscribed contacts of the brand are listed, those
that changed last first, until they are older than what is asked for.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.address import same
from airflow_provider_segexport.contract import TellOptOuts
from airflow_provider_segexport.model import Operation, OptOut, Reason, Target
from airflow_provider_segexport.vendors.moments import seconds, since_or_untold
from airflow_provider_segexport.vendors.omnisend.account import following
from airflow_provider_segexport.vendors.omnisend.members import PAGE
from airflow_provider_segexport.vendors.omnisend.replies import read, versioned
from airflow_provider_segexport.vendors.replies import get


def optouts(target: Target, since: float, tell: TellOptOuts) -> Operation[None]:
    """A contact that changed since may have unsubscribed before: its channel tells when."""
    asked = {"status": "unsubscribed", "sort": "updatedAt", "direction": "desc", "limit": PAGE}
    while True:
        page = read((yield versioned(get(f"{target.api}/contacts", **asked))))
        people = [(same(str(one["email"])), unsubscribed_at(one)) for one in page["contacts"] if one.get("email")]
        tell([OptOut(email, Reason.UNSUBSCRIBED, at) for email, at in people if since_or_untold(at, since)])
        changed = [seconds(str(one.get("updatedAt", ""))) for one in page["contacts"]]
        after = following(page)
        if not after or after == asked.get("after") or any(at is not None and at < since for at in changed):
            return
        asked["after"] = after


def unsubscribed_at(contact: dict[str, Any]) -> str:
    """When the email channel came to its status."""
    for one in contact.get("identifiers") or []:
        channel = (one.get("channels") or {}).get("email") if one.get("type") == "email" else None
        if channel:
            return str(channel.get("statusChangedAt") or "")
    return ""
