"""Campaign Monitor: field rules for the neutral fields."""

from __future__ import annotations

from airflow_provider_segexport.vendors.base import FieldRule

MAX_VALUE_CHARS = 250
"""Maximum characters of a custom field's value (campaignmonitor.com/api/subscribers)."""

FIELD_RULES = (
    FieldRule("email", "EmailAddress"),
    FieldRule("full_name", "Name"),
    FieldRule("first_name", "Name", joined=True),
    FieldRule("last_name", "Name", joined=True),
    FieldRule("gender", "Gender", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("postcode", "Postcode", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("address", "Address", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("city", "City", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("state", "State", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("country", "Country", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("phone", "Phone", custom=True, max_chars=MAX_VALUE_CHARS),
    FieldRule("birthdate", "Birthdate", custom=True, max_chars=MAX_VALUE_CHARS),
)
