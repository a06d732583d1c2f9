"""dotdigital: reads one contact with status, address books and data fields.

A read of one contact has no `include` parameter and returns all parts of the contact (contacts specification 3.4.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.errors import public_code
from airflow_provider_segexport.model import Audience, Operation, Reason
from airflow_provider_segexport.vendors.dotdigital.optouts import reason_of
from airflow_provider_segexport.vendors.dotdigital.responses import read_json
from airflow_provider_segexport.vendors.member_record import MemberRecord, as_values
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get

MAILABLE = {"", "subscribed", "softbounced", "pendingoptin", "nosubscription"}
"""Statuses of contacts who have not opted out, in lower case. Any other status is an opt-out."""
BOOK_OPTED_OUT = {"suppressed", "unsubscribed"}


def read_record(audience: Audience, email: str) -> Operation[MemberRecord]:
    """Read a contact by its address."""
    response = yield get(f"{audience.base_url}/contacts/v3/email/{quote(email, safe='')}")
    if response.status == 404:  # noqa: PLR2004 - contacts:contactNotFound
        return MemberRecord(is_member=False)
    contact = as_object(read_json(response))
    values = as_values(as_object(contact.get("dataFields")))
    status_by_book = {
        as_text(entry.get("id")): as_text(entry.get("status")) for entry in as_objects(contact.get("lists"))
    }
    channel = as_object(as_object(contact.get("channelProperties")).get("email"))
    status = as_text(channel.get("status")) or as_text(contact.get("status"))
    if not isinstance(contact.get("lists"), list):
        return MemberRecord(None, status=public_code(status), values=values)
    reason = None
    if status_by_book.get(audience.audience, "").lower() in BOOK_OPTED_OUT:
        reason = Reason.LEFT_AUDIENCE
    if status.lower() not in MAILABLE:
        reason = reason_of(status)
    return MemberRecord(audience.audience in status_by_book, reason, public_code(status) if status else "", values)


def sent_values(audience: Audience, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of an import's item, by the keys of a record."""
    del audience
    return as_values(as_object(item.get("dataFields")))
