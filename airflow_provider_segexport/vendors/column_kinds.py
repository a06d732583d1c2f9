"""The column types that neutral fields and vendors' fields accept."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_segexport.vendors.base import FIELDS, ColumnType, FieldType, ValueKind

NEUTRAL_FIELD_TYPES: Mapping[str, tuple[ColumnType, ...]] = {
    **dict.fromkeys(FIELDS, ("text",)),
    "postcode": ("text", "integer"),
    "phone": ("text", "integer"),
    "birthdate": ("date", "timestamp", "text"),
}

ACCEPTED_TYPES: Mapping[ValueKind, tuple[ColumnType, ...]] = {
    "text": ("text", "integer", "decimal", "boolean", "date", "timestamp"),
    "number": ("integer", "decimal", "text"),
    "boolean": ("boolean", "text"),
    "date": ("date", "timestamp", "text"),
    "datetime": ("date", "timestamp", "text"),
    "gender": ("text",),
    "country_code": ("text",),
    "country_name": ("text",),
    "phone": ("text", "integer"),
    "month": ("date", "timestamp", "text"),
    "day": ("date", "timestamp", "text"),
}

FIELD_TYPES: Mapping[ColumnType, FieldType] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "date",
}
