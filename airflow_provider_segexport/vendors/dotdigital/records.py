"""dotdigital: reads one contact with status, address books and data fields.

A read of one contact has no `include` parameter and returns all parts of the contact (contacts specification 3.4.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from airflow_provider_segexport.errors import public_code
from airflow_provider_segexport.model import Audience, Operation, Reason
from airflow_provider_segexport.vendors.dotdigital.members import has_left, statuses_in_book
from airflow_provider_segexport.vendors.dotdigital.optouts import reason_of
from airflow_provider_segexport.vendors.dotdigital.responses import is_unknown_contact, read_json
from airflow_provider_segexport.vendors.member_record import MemberRecord, as_values
from airflow_provider_segexport.vendors.responses import as_object, as_text, get

MAILABLE = {"", "subscribed", "softbounced", "pendingoptin", "nosubscription"}
"""Statuses of contacts who have not opted out, in lower case. Any other status is an opt-out."""


def read_record(audience: Audience, email: str) -> Operation[MemberRecord]:
    """Read a contact by its address."""
    response = yield get(f"{audience.base_url}/contacts/v3/email/{quote(email, safe='')}")
    if is_unknown_contact(response):
        return MemberRecord(is_member=False)
    contact = as_object(read_json(response))
    values = as_values(as_object(contact.get("dataFields")))
    channel = as_object(as_object(contact.get("channelProperties")).get("email"))
    status = as_text(channel.get("status")) or as_text(contact.get("status"))
    if not isinstance(contact.get("lists"), list):
        return MemberRecord(None, status=public_code(status), values=values)
    reason = Reason.LEFT_AUDIENCE if has_left(contact, audience) else None
    if status.lower() not in MAILABLE:
        reason = reason_of(status)
    is_member = bool(statuses_in_book(contact, audience))
    return MemberRecord(is_member, reason, public_code(status) if status else "", values)


def sent_values(audience: Audience, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of an import's item, by the keys of a record."""
    del audience
    return as_values(as_object(item.get("dataFields")))
