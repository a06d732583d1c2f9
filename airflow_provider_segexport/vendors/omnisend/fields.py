"""Omnisend: field rules for the neutral fields (contacts OpenAPI 2026-03-15, read 2026-08).

The vendor rejects an entire item because of one invalid value, so such a value is left out of its row and counted. The
vendor publishes no maximum lengths, and has no field for a full name.
"""

from __future__ import annotations

from airflow_provider_segexport.vendors.base import FieldRule

FIELD_RULES = (
    FieldRule("email", "identifiers"),
    FieldRule("first_name", "firstName"),
    FieldRule("last_name", "lastName"),
    FieldRule("gender", "gender", value_kind="gender", drop_invalid=True),
    FieldRule("postcode", "postalCode"),
    FieldRule("address", "address"),
    FieldRule("city", "city"),
    FieldRule("state", "state"),
    # The vendor derives the code from a country name that it knows. If both are sent, the code takes precedence.
    FieldRule("country", "country", value_kind="country_name", drop_invalid=True),
    FieldRule("country", "countryCode", value_kind="country_code", drop_invalid=True, plan_column="country_code"),
    # The phone is a second identifier. The vendor ignores a number that belongs to another contact.
    FieldRule("phone", "phone", value_kind="phone", drop_invalid=True),
    FieldRule("birthdate", "birthdate", value_kind="date", drop_invalid=True),
)

CUSTOM_NAME = r"[a-zA-Z0-9_]{1,128}"
"""Pattern of a custom property's name (omnisend/wp-omnisend, class-utils.php, read 2026-08)."""
