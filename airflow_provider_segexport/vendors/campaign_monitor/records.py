"""Campaign Monitor: reads one subscriber with state, name and custom fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_segexport.errors import public_code
from airflow_provider_segexport.model import OPTED_OUT, Audience, Operation
from airflow_provider_segexport.vendors.campaign_monitor.responses import error_of, read_json
from airflow_provider_segexport.vendors.campaign_monitor.subscribers import (
    ACTIVE,
    INACTIVE_REASONS,
    UNKNOWN_CODES,
    subscriber_url,
)
from airflow_provider_segexport.vendors.member_record import MemberRecord, as_values
from airflow_provider_segexport.vendors.responses import as_object, as_objects, as_text, get


def read_record(audience: Audience, email: str) -> Operation[MemberRecord]:
    """Read a subscriber by address."""
    response = yield get(subscriber_url(audience), email=email, includetrackingpreference="false")
    if response.status == 400 and error_of(response)[0] in UNKNOWN_CODES:  # noqa: PLR2004
        return MemberRecord(is_member=False)
    subscriber = as_object(read_json(response))
    state = as_text(subscriber.get("State"))
    values = _values(audience, subscriber)
    if not state:
        return MemberRecord(None, values=values)
    reason = INACTIVE_REASONS.get(state)
    opted_out = reason if reason in OPTED_OUT else None
    return MemberRecord(state == ACTIVE or opted_out is not None, opted_out, public_code(state), values)


def sent_values(audience: Audience, item: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of an import's item, by the keys of a record."""
    return _values(audience, item)


def _values(audience: Audience, subscriber: Mapping[str, Any]) -> dict[str, str]:
    """Return name and custom fields, by the field's key. A read contains the field's name, an import its key.

    A field with several values has an entry for each value; they are joined into one text.
    """
    values = as_values({"name": subscriber["Name"]}) if subscriber.get("Name") is not None else {}
    for entry in as_objects(subscriber.get("CustomFields")):
        name = as_text(entry.get("Key")).strip("[]")
        field = audience.fields.get(name.lower())
        key = f"field:{field.key if field else name}".casefold()
        texts = [values[key]] if key in values else []
        values[key] = "; ".join(sorted([*texts, *as_values({"": entry.get("Value")}).values()]))
    return values
