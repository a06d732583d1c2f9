"""Check the field mapping against vendor and files: `FieldMapping -> ResolvedMapping`, before any row is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.field_values import DATE_PARTS
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.plan import FieldMapping, MappedColumn, ResolvedMapping, SegmentFiles
from airflow_provider_segexport.vendors.base import (
    FIELDS,
    ColumnType,
    CustomField,
    FieldRule,
    FieldType,
    MappedFields,
    ValueKind,
    Vendor,
)
from airflow_provider_segexport.vendors.column_kinds import ACCEPTED_TYPES, FIELD_TYPES, NEUTRAL_FIELD_TYPES

CAST_HINT = "To fix: cast it in the task that writes the segment, for example `CAST(... AS VARCHAR)`."

DATE_FIELDS = frozenset({"birthdate"})
"""Fields that always hold a date. A timestamp is read as its date in the column's time zone."""


def required_columns(vendor: Vendor, mapping: FieldMapping) -> list[str]:
    """Return the columns that the field mapping names, after checking it against the vendor's fields.

    Raises:
        InvalidFieldMapping: a field is missing, unknown or mapped twice, or there are too many custom fields.
    """
    if "email" not in mapping.fields:
        raise InvalidFieldMapping(
            "The field mapping names no column for `email`, which every vendor needs. To fix: add the column that "
            "holds the email address, such as `field_mapping={'email': 'mail_address'}`."
        )
    for neutral in mapping.fields:
        if neutral not in FIELDS:
            raise InvalidFieldMapping(
                f"`field_mapping` has no field {neutral!r}. To fix: use one of {', '.join(FIELDS)}, or map the column "
                "in `custom_fields`."
            )
    used = _keys(vendor, mapping)
    for name in mapping.custom:
        if name.lower() in used:
            raise InvalidFieldMapping(f"Two fields are mapped to {name!r} at {vendor.title}. To fix: keep one of them.")
        used.add(name.lower())
        if not re.fullmatch(vendor.custom_name_pattern, name):
            raise InvalidFieldMapping(
                f"Custom field {name!r} cannot exist at {vendor.title}: it takes {vendor.custom_name_hint}. "
                "To fix: rename it in `custom_fields`."
            )
    _check_custom_field_count(vendor, mapping)
    columns: list[Any] = [*mapping.fields.values(), *mapping.custom.values()]
    if not all(isinstance(column, str) and column for column in columns):
        raise InvalidFieldMapping(
            "The field mapping holds an empty column name. To fix: name a column for each field, or remove the field."
        )
    return list(dict.fromkeys(columns))


def _check_custom_field_count(vendor: Vendor, mapping: FieldMapping) -> None:
    """Check the vendor's maximum of custom fields; neutral fields that are sent as custom fields count too."""
    neutral = [name for name in mapping.fields if any(rule.custom for rule in vendor.rules_for(name))]
    count = len(mapping.custom) + len(neutral)
    if vendor.max_custom_fields is not None and count > vendor.max_custom_fields:
        among = f", {', '.join(neutral)} among them" if neutral else ""
        raise InvalidFieldMapping(
            f"{vendor.title} takes {counted(vendor.max_custom_fields, 'custom field')} of a contact, and the export "
            f"maps {count}{among}. To fix: remove {counted(count - vendor.max_custom_fields, 'field')}."
        )


def _keys(vendor: Vendor, mapping: FieldMapping) -> set[str]:
    """Return the vendor's names of the mapped neutral fields, in lower case.

    Raises:
        InvalidFieldMapping: two fields feed the same name, and the vendor does not join them.
    """
    keys: dict[str, list[FieldRule]] = {}
    for neutral in mapping.fields:
        for rule in vendor.rules_for(neutral):
            keys.setdefault(rule.key.lower(), []).append(rule)
    for rules in keys.values():
        if len(rules) > 1 and not all(rule.joined for rule in rules):
            fields = " and ".join(rule.field for rule in rules)
            raise InvalidFieldMapping(
                f"{fields} both feed {rules[0].key!r} at {vendor.title}. To fix: map one of them."
            )
    return set(keys)


def columns_of_other_types(mapping: FieldMapping, files: SegmentFiles) -> set[str]:
    """Return the columns whose type their neutral field or their date format does not accept.

    Columns of types that no field accepts are not returned, and neither are columns that also feed a custom field.
    """
    columns = {
        column
        for neutral, column in mapping.fields.items()
        if files.columns[column] not in NEUTRAL_FIELD_TYPES[neutral]
    }
    columns -= set(mapping.custom.values())
    columns |= {column for column in mapping.date_formats if files.columns.get(column) != "text"}
    return {column for column in columns if files.columns.get(column) is not None}


def columns_of_other_kinds(
    vendor: Vendor, mapping: FieldMapping, mapped: MappedFields, files: SegmentFiles, audience: Audience
) -> set[str]:
    """Return the columns whose type their field of the audience does not accept.

    Args:
        vendor: the vendor of the audience.
        mapping: the field mapping.
        mapped: the mapped fields and custom fields.
        files: the files of the segment, with the types of the columns.
        audience: the audience, with its existing custom fields.
    """
    if vendor.implicit_custom_fields:
        return set()
    fed = [(rule.key, mapping.fields[rule.field]) for rule in _rules(vendor, mapped) if rule.custom]
    fed += [(custom.name, mapping.custom[custom.name]) for custom in mapped.custom]
    existing = [(audience.fields.get(name.lower()), column) for name, column in fed]
    return {
        column
        for field, column in existing
        if field is not None and files.columns[column] not in ACCEPTED_TYPES[field.type]
    }


def resolve_types(vendor: Vendor, mapping: FieldMapping, files: SegmentFiles) -> MappedFields:
    """Return the mapped fields, and the custom fields with the types of their columns.

    Args:
        vendor: the vendor of the audience.
        mapping: the field mapping.
        files: the files of the segment, with the types of the columns.

    Raises:
        InvalidSegment: no field, or not this field, takes a column's type.
    """
    for neutral, column in mapping.fields.items():
        accepted = NEUTRAL_FIELD_TYPES[neutral]
        if files.columns[column] not in accepted:
            raise InvalidSegment(
                f"Column {column!r} is {files.type_names[column]}, and `{neutral}` takes {' or '.join(accepted)}. "
                f"{CAST_HINT}"
            )
    customs = []
    for number, (name, column) in enumerate(mapping.custom.items()):
        kind = files.columns[column]
        if kind is None:
            raise InvalidSegment(
                f"Column {column!r} is {files.type_names[column]}, and a custom field of {vendor.title} takes a single "
                f"value: text, number, boolean or date. {CAST_HINT}"
            )
        customs.append(CustomField(name, f"custom_{number}", kind))
    return MappedFields(tuple(mapping.fields), tuple(customs))


def missing_custom_fields(
    vendor: Vendor, mapping: FieldMapping, mapped: MappedFields, files: SegmentFiles, audience: Audience
) -> dict[str, FieldType]:
    """Return the custom fields that this export needs and the audience lacks, with the type to create.

    Args:
        vendor: the vendor of the audience.
        mapping: the field mapping.
        mapped: the mapped fields and custom fields.
        files: the files of the segment, with the types of the columns.
        audience: the audience, with its existing custom fields.

    Raises:
        InvalidFieldMapping: a field exists with a type that exports cannot write.
    """
    if vendor.implicit_custom_fields:
        return {}
    needed: dict[str, FieldType] = {}
    for rule in _rules(vendor, mapped):
        if rule.custom:
            kind = files.columns[mapping.fields[rule.field]]
            needed[rule.key] = "date" if kind in {"date", "timestamp"} else "text"
    needed |= {custom.name: FIELD_TYPES[custom.type] for custom in mapped.custom}
    for name in needed:
        existing = audience.unsupported.get(name.lower())
        if existing is not None:
            raise InvalidFieldMapping(
                f"The field {name!r} exists at {vendor.title}, and exports cannot write its type "
                f"({existing or 'none'}). To fix: map another field, or create one of type text, number, boolean or "
                "date there."
            )
    return {name: kind for name, kind in needed.items() if name.lower() not in audience.fields}


def resolve(
    vendor: Vendor, mapping: FieldMapping, mapped: MappedFields, files: SegmentFiles, audience: Audience
) -> ResolvedMapping:
    """Return every column that is sent, with the type of the vendor's field.

    Args:
        vendor: the vendor of the audience.
        mapping: the field mapping.
        mapped: the mapped fields and custom fields.
        files: the files of the segment, with the types of the columns.
        audience: the audience, with its custom fields.

    Raises:
        InvalidFieldMapping: a column's type cannot feed the field, or two fields are the same at the vendor.
    """
    columns = []
    fed: dict[str, str] = {}
    for rule in _rules(vendor, mapped):
        column = mapping.fields[rule.field]
        if rule.field == "email":
            continue
        value_kind: ValueKind = rule.value_kind
        custom_field = audience.fields[rule.key.lower()] if rule.custom else None
        if custom_field is not None:
            value_kind = custom_field.type
            _check_not_fed_twice(fed, audience, rule.key)
        kind = check_type(column, files.columns[column], value_kind, rule.key)
        if kind == "timestamp" and (rule.field in DATE_FIELDS or value_kind in DATE_PARTS):
            kind = "date"
        columns.append(
            MappedColumn(rule.name, column, kind, rule.key, value_kind, rule.max_chars, rule.drop_invalid, custom_field)
        )
    for custom in mapped.custom:
        column = mapping.custom[custom.name]
        value_kind = FIELD_TYPES[custom.type]
        custom_field = None if vendor.implicit_custom_fields else audience.fields[custom.name.lower()]
        if custom_field is not None:
            value_kind = custom_field.type
            _check_not_fed_twice(fed, audience, custom.name)
        kind = check_type(column, custom.type, value_kind, custom.name)
        if kind == "timestamp" and value_kind in DATE_PARTS:
            kind = "date"
        columns.append(
            MappedColumn(
                custom.column, column, kind, custom.name, value_kind, vendor.max_custom_chars, custom_field=custom_field
            )
        )
    return _resolved(vendor, mapping, mapped, columns)


def _resolved(
    vendor: Vendor, mapping: FieldMapping, mapped: MappedFields, columns: list[MappedColumn]
) -> ResolvedMapping:
    """Return the resolved field mapping, with the date formats of its columns and the vendor's date format."""
    columns = [replace(column, text_format=mapping.date_formats.get(column.column, "")) for column in columns]
    country = mapping.fields.get("country", "")
    return ResolvedMapping(
        mapping.fields["email"], tuple(columns), mapped, vendor.date_format, country, mapping.default_region
    )


def _rules(vendor: Vendor, mapped: MappedFields) -> Iterator[FieldRule]:
    """Yield the rules of the mapped fields."""
    for neutral in mapped.fields:
        yield from vendor.rules_for(neutral)


def _check_not_fed_twice(fed: dict[str, str], audience: Audience, name: str) -> None:
    """Check that no other mapped name is the same field, because a vendor may have two names for a field."""
    key = audience.fields[name.lower()].key
    if key in fed:
        raise InvalidFieldMapping(
            f"Two fields are mapped to {key!r}: {fed[key]!r} and {name!r} are the same. To fix: keep one of them."
        )
    fed[key] = name


def check_type(column: str, kind: ColumnType | None, value_kind: ValueKind, label: str) -> ColumnType:
    """Check that a column's type can feed the vendor's field, and return the type.

    Args:
        column: name of the column.
        kind: type of the column; None if no field accepts it.
        value_kind: type of the vendor's field.
        label: the vendor's name of the field.

    Raises:
        InvalidFieldMapping: the type cannot feed the field.
    """
    if kind is None or kind not in ACCEPTED_TYPES[value_kind]:
        raise InvalidFieldMapping(
            f"Column {column!r} is {kind}, and the vendor's field {label!r} holds a {value_kind}. To fix: "
            "map a column of that type, or cast it in the task that writes the segment."
        )
    return kind
