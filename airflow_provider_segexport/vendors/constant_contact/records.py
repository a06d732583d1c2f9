"""Constant Contact: reads one contact with memberships, name, birthday and custom fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.email_address import canonical
from airflow_provider_segexport.errors import public_code
from airflow_provider_segexport.model import Audience, Operation, Reason
from airflow_provider_segexport.vendors.constant_contact.optouts import MAILABLE_PERMISSIONS
from airflow_provider_segexport.vendors.constant_contact.responses import read_json
from airflow_provider_segexport.vendors.member_record import MemberRecord, as_values
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get, required_list

RETURNED = ("first_name", "last_name", "birthday_month", "birthday_day")
"""Fields with the same name in a contact and in an import. Postal addresses and phone numbers are not compared."""


def read_record(audience: Audience, email: str) -> Operation[MemberRecord]:
    """Read a contact by its address."""
    query = {"email": email, "status": "all", "include": "list_memberships,custom_fields"}
    page = as_object(read_json((yield get(f"{audience.base_url}/contacts", **query))))
    contacts = required_list(page.get("contacts"), "contacts")
    same = [contact for contact in contacts if canonical(str(_address(contact)["address"])) == email]
    if not same:
        return MemberRecord(is_member=False)
    contact = min(same, key=lambda contact: _address(contact)["address"] != email)  # not another spelling
    permission = as_text(_address(contact).get("permission_to_send"))
    lists = contact.get("list_memberships")
    reason = Reason.UNSUBSCRIBED if permission and permission not in MAILABLE_PERMISSIONS else None
    is_member = audience.audience in lists if isinstance(lists, list) else None
    values = as_values({name: contact[name] for name in RETURNED if name in contact})
    keys = {field.id: field.key for field in audience.fields.values()}
    for entry in as_objects(contact.get("custom_fields")):
        key = keys.get(as_text(entry.get("custom_field_id")))
        values |= as_values({f"cf:{key}": entry.get("value")}) if key else {}
    return MemberRecord(is_member, reason, public_code(permission) if permission else "", values)


def _address(contact: Mapping[str, Any]) -> dict[str, Any]:
    address = as_object(contact.get("email_address"))
    return {**address, "address": as_text(address.get("address"))}


def sent_values(audience: Audience, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of an import's item, by the keys of a record."""
    del audience
    return as_values({key: value for key, value in item.items() if key in RETURNED or key.startswith("cf:")})
