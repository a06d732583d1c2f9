"""Omnisend: who has unsubscribed (contacts OpenAPI 2026-03-15, read 2026-08).

`status` goes together with neither `tag` nor `updatedAtFrom`: all unsubscribed contacts of the brand are listed, those
that changed last first, until they are older than what is asked for.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.omnisend.account import following
from airflow_provider_segexport.vendors.omnisend.members import PAGE, email_of
from airflow_provider_segexport.vendors.omnisend.responses import read, versioned
from airflow_provider_segexport.vendors.responses import answer_list, get, inner, items, text
from airflow_provider_segexport.vendors.timestamps import seconds, since_or_untold


def optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """A contact that changed since may have unsubscribed before: its channel tells when."""
    asked = {"status": "unsubscribed", "sort": "updatedAt", "direction": "desc", "limit": PAGE}
    while True:
        page = inner(read((yield versioned(get(f"{audience.base_url}/contacts", **asked)))))
        contacts = answer_list(page.get("contacts"), "contacts")
        people = [(same(email), unsubscribed_at(one)) for one in contacts if (email := email_of(one))]
        on_page([OptOut(email, Reason.UNSUBSCRIBED, at) for email, at in people if since_or_untold(at, since)])
        changed = [seconds(text(one.get("updatedAt"))) for one in contacts]
        after = following(page)
        if not after or after == asked.get("after") or any(at is not None and at < since for at in changed):
            return
        asked["after"] = after


def unsubscribed_at(contact: dict[str, Any]) -> str:
    """When the email channel came to its status."""
    for one in items(contact.get("identifiers")):
        channel = inner(inner(one.get("channels")).get("email")) if one.get("type") == "email" else {}
        if channel:
            return text(channel.get("statusChangedAt"))
    return ""
