"""Holds field mapping against vendor and files: `names -> Matching`. Mistakes are found here, before any row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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

TAKES: Mapping[str, tuple[ColumnType, ...]] = {
    **dict.fromkeys(FIELDS, ("text",)),
    "postcode": ("text", "integer"),
    "phone": ("text", "integer"),
    "birthdate": ("date", "timestamp", "text"),
}

FEEDS: Mapping[ValueKind, tuple[ColumnType, ...]] = {
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

DATES = frozenset({"birthdate"})
"""Fields that are a date whatever the vendor's field holds, so a timestamp is read as its date in the column's zone."""

HOLDS: Mapping[ColumnType, FieldType] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "date",
}


def required_columns(vendor: Vendor, asked: FieldMapping) -> list[str]:
    """The columns that field mapping asks for, after it was held against what the vendor takes."""
    if "email" not in asked.fields:
        raise InvalidFieldMapping("Field mapping names no column for `email`, the one field that every vendor needs.")
    for neutral in asked.fields:
        if neutral not in FIELDS:
            raise InvalidFieldMapping(f"Field mapping knows no field {neutral!r}. It knows: {', '.join(FIELDS)}.")
    taken = _keys(vendor, asked)
    for name in asked.custom:
        if name.lower() in taken:
            raise InvalidFieldMapping(f"Two fields are matched to {name!r} at {vendor.title}. Keep one of them.")
        taken.add(name.lower())
        if not re.fullmatch(vendor.custom_name_pattern, name):
            raise InvalidFieldMapping(
                f"Custom field {name!r} cannot exist at {vendor.title}: it takes {vendor.custom_name_hint}."
            )
    _most(vendor, asked)
    columns: list[Any] = [*asked.fields.values(), *asked.custom.values()]
    if not all(isinstance(column, str) and column for column in columns):
        raise InvalidFieldMapping("Field mapping holds an empty column name.")
    return list(dict.fromkeys(columns))


def _most(vendor: Vendor, asked: FieldMapping) -> None:
    """A vendor may bound the custom fields of a contact; neutral fields that travel as such count too."""
    neutral = [name for name in asked.fields if any(rule.custom for rule in vendor.rules_for(name))]
    count = len(asked.custom) + len(neutral)
    if vendor.max_custom_fields is not None and count > vendor.max_custom_fields:
        among = f", {', '.join(neutral)} among them" if neutral else ""
        raise InvalidFieldMapping(
            f"{vendor.title} takes {counted(vendor.max_custom_fields, 'custom field')} of a contact, and the export "
            f"maps {count}{among}."
        )


def _keys(vendor: Vendor, asked: FieldMapping) -> set[str]:
    """The vendor's names of the neutral fields; one that two of them feed is a mistake, unless they are joined."""
    keys: dict[str, list[FieldRule]] = {}
    for neutral in asked.fields:
        for rule in vendor.rules_for(neutral):
            keys.setdefault(rule.key.lower(), []).append(rule)
    for rules in keys.values():
        if len(rules) > 1 and not all(rule.joined for rule in rules):
            fields = " and ".join(rule.field for rule in rules)
            raise InvalidFieldMapping(f"{fields} both feed {rules[0].key!r} at {vendor.title}. Match one of them.")
    return set(keys)


def resolve_types(vendor: Vendor, asked: FieldMapping, files: SegmentFiles) -> MappedFields:
    """Fields and custom fields with the types that the files bring; a type that no field takes is named."""
    for neutral, column in asked.fields.items():
        found = files.columns[column]
        if found not in TAKES[neutral]:
            raise InvalidSegment(
                f"Column {column!r} is {files.type_words[column]}, and `{neutral}` takes {' or '.join(TAKES[neutral])}."
            )
    customs = []
    for number, (name, column) in enumerate(asked.custom.items()):
        kind = files.columns[column]
        if kind is None:
            raise InvalidSegment(
                f"Column {column!r} is {files.type_words[column]}, and a custom field of {vendor.title} takes a single "
                "value: text, number, boolean or date."
            )
        customs.append(CustomField(name, f"custom_{number}", kind))
    return MappedFields(tuple(asked.fields), tuple(customs))


def missing_custom_fields(
    vendor: Vendor, asked: FieldMapping, matched: MappedFields, files: SegmentFiles, audience: Audience
) -> dict[str, FieldType]:
    """Custom fields that this export needs and the audience lacks, with the type to make them of."""
    if vendor.implicit_custom_fields:
        return {}
    needed: dict[str, FieldType] = {}
    for rule in _rules(vendor, matched):
        if rule.custom:
            kind = files.columns[asked.fields[rule.field]]
            needed[rule.key] = "date" if kind in {"date", "timestamp"} else "text"
    needed |= {custom.name: HOLDS[custom.type] for custom in matched.custom}
    for name in needed:
        theirs = audience.unsupported.get(name.lower())
        if theirs is not None:
            raise InvalidFieldMapping(
                f"The field {name!r} exists at {vendor.title}, and exports cannot write its type ({theirs or 'none'}). "
                "To fix: match another field, or create one of type text, number, boolean or date there."
            )
    return {name: kind for name, kind in needed.items() if name.lower() not in audience.fields}


def resolve(
    vendor: Vendor, asked: FieldMapping, matched: MappedFields, files: SegmentFiles, audience: Audience
) -> ResolvedMapping:
    """Every column that travels, with what the vendor's field holds."""
    carried = []
    fed: dict[str, str] = {}
    for rule in _rules(vendor, matched):
        column = asked.fields[rule.field]
        if rule.field == "email":
            continue
        wants: ValueKind = rule.value_kind
        into = audience.fields[rule.key.lower()] if rule.custom else None
        if into is not None:
            wants = into.type
            _feed(fed, audience, rule.key)
        kind = check_type(column, files.columns[column], wants, rule.key)
        if kind == "timestamp" and (rule.field in DATES or wants in DATE_PARTS):
            kind = "date"
        carried.append(MappedColumn(rule.name, column, kind, rule.key, wants, rule.max_chars, rule.drop_invalid, into))
    for one in matched.custom:
        column = asked.custom[one.name]
        wants = HOLDS[one.type]
        into = None if vendor.implicit_custom_fields else audience.fields[one.name.lower()]
        if into is not None:
            wants = into.type
            _feed(fed, audience, one.name)
        kind = check_type(column, one.type, wants, one.name)
        if kind == "timestamp" and wants in DATE_PARTS:
            kind = "date"
        carried.append(
            MappedColumn(one.column, column, kind, one.name, wants, vendor.max_custom_chars, custom_field=into)
        )
    return ResolvedMapping(asked.fields["email"], tuple(carried), matched, vendor.date_format)


def _rules(vendor: Vendor, matched: MappedFields) -> Iterator[FieldRule]:
    """The rules of the fields that travel."""
    for neutral in matched.fields:
        yield from vendor.rules_for(neutral)


def _feed(fed: dict[str, str], audience: Audience, name: str) -> None:
    """A vendor may know one field by two names."""
    key = audience.fields[name.lower()].key
    if key in fed:
        raise InvalidFieldMapping(
            f"Two fields are matched to {key!r}: {fed[key]!r} and {name!r} are the same. Keep one of them."
        )
    fed[key] = name


def check_type(column: str, kind: ColumnType | None, wants: ValueKind, label: str) -> ColumnType:
    """The column's type, if the vendor's field can be fed from it."""
    if kind is None or kind not in FEEDS[wants]:
        raise InvalidFieldMapping(f"Column {column!r} is {kind}, and the vendor's field {label!r} holds a {wants}.")
    return kind
