"""dotdigital: field rules. All neutral fields except the email are data fields, which count as custom fields."""

from __future__ import annotations

from airflow_provider_segexport.vendors.base import FieldRule

MAX_VALUE_CHARS = 255
"""Maximum characters of a text data field, from an old help article (support.dotmailer.com 212211908)."""

FIELD_RULES = (
    FieldRule("email", "email"),
    FieldRule("first_name", "FIRSTNAME", custom=True),
    FieldRule("last_name", "LASTNAME", custom=True),
    FieldRule("full_name", "FULLNAME", custom=True),
    FieldRule("gender", "GENDER", custom=True),
    FieldRule("postcode", "POSTCODE", custom=True),
    FieldRule("address", "ADDRESS", custom=True),
    FieldRule("city", "CITY", custom=True),
    FieldRule("state", "STATE", custom=True),
    FieldRule("country", "COUNTRY", custom=True),
    FieldRule("phone", "PHONE", custom=True),
    FieldRule("birthdate", "BIRTHDATE", custom=True),
)
