"""Omnisend: who has unsubscribed (contacts OpenAPI 2026-03-15, read 2026-08).

`status` goes together with neither `tag` nor `updatedAtFrom`: all unsubscribed contacts of the brand are listed, those
that changed last first, until they are older than what is asked for.
"""

from __future__ import annotations

from typing import Any

from airflow_provider_segexport.email_address import same
from airflow_provider_segexport.model import Audience, Operation, OptOut, Reason
from airflow_provider_segexport.vendors.base import OnOptOutPage
from airflow_provider_segexport.vendors.omnisend.account import next_cursor
from airflow_provider_segexport.vendors.omnisend.members import PAGE_SIZE, email_of
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list
from airflow_provider_segexport.vendors.timestamps import is_since_or_unknown, to_epoch_s


def list_optouts(audience: Audience, since: float, on_page: OnOptOutPage) -> Operation[None]:
    """A contact that changed since may have unsubscribed before: its channel tells when."""
    asked = {"status": "unsubscribed", "sort": "updatedAt", "direction": "desc", "limit": PAGE_SIZE}
    while True:
        page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", **asked)))))
        contacts = required_list(page.get("contacts"), "contacts")
        people = [(same(email), unsubscribed_at(one)) for one in contacts if (email := email_of(one))]
        on_page([OptOut(email, Reason.UNSUBSCRIBED, at) for email, at in people if is_since_or_unknown(at, since)])
        changed = [to_epoch_s(as_text(one.get("updatedAt"))) for one in contacts]
        after = next_cursor(page)
        if not after or after == asked.get("after") or any(at is not None and at < since for at in changed):
            return
        asked["after"] = after


def unsubscribed_at(contact: dict[str, Any]) -> str:
    """When the email channel came to its status."""
    for one in as_objects(contact.get("identifiers")):
        channel = as_object(as_object(one.get("channels")).get("email")) if one.get("type") == "email" else {}
        if channel:
            return as_text(channel.get("statusChangedAt"))
    return ""
