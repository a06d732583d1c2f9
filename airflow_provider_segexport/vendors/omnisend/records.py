"""Omnisend: reads one contact with tags, status, fields and custom properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import public_code
from airflow_provider_segexport.model import Audience, Operation, Reason
from airflow_provider_segexport.vendors.member_record import MemberRecord, as_values
from airflow_provider_segexport.vendors.omnisend.fields import FIELD_RULES
from airflow_provider_segexport.vendors.omnisend.members import email_of
from airflow_provider_segexport.vendors.omnisend.responses import read_json, versioned
from airflow_provider_segexport.vendors.responses import as_object, as_text, get, required_list

KEYS = frozenset(rule.key for rule in FIELD_RULES) - {"identifiers", "phone"}
"""Fields with the same name in a contact and in an item. Phone numbers are identifiers and are not compared."""


def read_record(audience: Audience, email: str) -> Operation[MemberRecord]:
    """Read a contact by its address."""
    page = as_object(read_json((yield versioned(get(f"{audience.base_url}/contacts", email=email)))))
    contacts = required_list(page.get("contacts"), "contacts")
    same = [contact for contact in contacts if canonical(email_of(contact)) == email]
    if not same:
        return MemberRecord(is_member=False)
    contact = min(same, key=lambda contact: email_of(contact) != email)  # another spelling may be another contact
    status = as_text(contact.get("status"))
    tags = contact.get("tags")
    is_member = audience.audience in tags if isinstance(tags, list) else None
    reason = Reason.UNSUBSCRIBED if status == "unsubscribed" else None
    return MemberRecord(is_member, reason, public_code(status) if status else "", _values(contact))


def sent_values(audience: Audience, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a batch's item, by the keys of a record."""
    del audience
    return _values(item)


def _values(contact: Mapping[str, Any]) -> dict[str, str]:
    fields = as_values({key: value for key, value in contact.items() if key in KEYS})
    return fields | as_values(as_object(contact.get("customProperties")), "custom:")
