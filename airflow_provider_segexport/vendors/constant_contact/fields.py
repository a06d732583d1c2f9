"""Constant Contact: field rules for the neutral fields."""

from __future__ import annotations

from airflow_provider_segexport.vendors.base import FieldRule

SHORT_MAX_CHARS, LONG_MAX_CHARS = 50, 255
"""Maximum lengths of fields in the published specification, 3.0.178."""

FIELD_RULES = (
    FieldRule("email", "email"),
    FieldRule("first_name", "first_name", max_chars=SHORT_MAX_CHARS),
    FieldRule("last_name", "last_name", max_chars=SHORT_MAX_CHARS),
    FieldRule("phone", "phone", max_chars=SHORT_MAX_CHARS),
    FieldRule("address", "street", max_chars=LONG_MAX_CHARS),
    FieldRule("city", "city", max_chars=SHORT_MAX_CHARS),
    FieldRule("state", "state", max_chars=SHORT_MAX_CHARS),
    FieldRule("postcode", "zip", max_chars=SHORT_MAX_CHARS),
    FieldRule("country", "country", max_chars=SHORT_MAX_CHARS),
    # The vendor stores no year. Month and day are sent together or not at all.
    FieldRule("birthdate", "birthday_month", value_kind="month", plan_column="birthday_month"),
    FieldRule("birthdate", "birthday_day", value_kind="day", plan_column="birthday_day"),
    FieldRule("gender", "Gender", custom=True, max_chars=LONG_MAX_CHARS),
)
