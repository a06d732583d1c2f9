"""Omnisend: mapping of the neutral fields (contacts OpenAPI 2026-03-15, read 2026-08).

One invalid value makes the vendor reject the whole item, so such a value is left out of its row and counted. No lengths
are published. There is no field for a full name.
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
    # The vendor derives the code from a name it knows; if both are sent, the code wins.
    FieldRule("country", "country", value_kind="country_name", drop_invalid=True),
    FieldRule("country", "countryCode", value_kind="country_code", drop_invalid=True, plan_column="country_code"),
    # A second identifier. The vendor ignores a number that another contact has.
    FieldRule("phone", "phone", value_kind="phone", drop_invalid=True),
    FieldRule("birthdate", "birthdate", value_kind="date", drop_invalid=True),
)

CUSTOM_NAME = r"[a-zA-Z0-9_]{1,128}"
"""Pattern of a custom property's name (omnisend/wp-omnisend, class-utils.php, read 2026-08)."""
