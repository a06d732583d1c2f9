"""Holds data matching against the vendor and the files: `names -> Matching`. Mistakes are found here, before any row."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_provider_segexport.contract import (
    FIELDS,
    ColumnType,
    CustomField,
    FieldRule,
    FieldType,
    Matched,
    Vendor,
)
from airflow_provider_segexport.errors import BadMatching, BadSegment
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.segment import Carried, Matching, SegmentFiles

TAKES: Mapping[str, tuple[ColumnType, ...]] = {
    **dict.fromkeys(FIELDS, ("text",)),
    "postcode": ("text", "integer"),
    "phone": ("text", "integer"),
    "birthdate": ("date", "timestamp", "text"),
}

FEEDS: Mapping[FieldType, tuple[ColumnType, ...]] = {
    "text": ("text", "integer", "decimal", "boolean", "date", "timestamp"),
    "number": ("integer", "decimal", "text"),
    "boolean": ("boolean", "text"),
    "date": ("date", "timestamp", "text"),
}

HOLDS: Mapping[ColumnType, FieldType] = {
    "text": "text",
    "integer": "number",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "date",
}


def names(vendor: Vendor, matching: Mapping[str, str], custom: Mapping[str, str]) -> list[str]:
    """The columns that data matching asks for, after it was held against what the vendor takes."""
    if "email" not in matching:
        raise BadMatching("Data matching names no column for `email`, the one field that every vendor needs.")
    for neutral in matching:
        if neutral not in FIELDS:
            raise BadMatching(f"Data matching knows no field {neutral!r}. It knows: {', '.join(FIELDS)}.")
    keys: dict[str, list[FieldRule]] = {}
    for neutral in matching:
        rule = vendor.rule(neutral)
        keys.setdefault(rule.key.lower(), []).append(rule)
    for rules in keys.values():
        if len(rules) > 1 and not all(rule.joined for rule in rules):
            fields = " and ".join(rule.field for rule in rules)
            raise BadMatching(f"{fields} both feed {rules[0].key!r} at {vendor.title}. Match one of them.")
    seen: set[str] = set()
    for name in custom:
        if name.lower() in keys or name.lower() in seen:
            raise BadMatching(f"Two fields are matched to {name!r} at {vendor.title}. Keep one of them.")
        seen.add(name.lower())
        if not re.fullmatch(vendor.custom_name, name):
            raise BadMatching(
                f"Custom field {name!r} cannot exist at {vendor.title}: it takes {vendor.custom_name_hint}."
            )
    columns = [*matching.values(), *custom.values()]
    for column in columns:
        if not isinstance(column, str) or not column:
            raise BadMatching("Data matching holds an empty column name.")
    return list(dict.fromkeys(columns))


def types(vendor: Vendor, matching: Mapping[str, str], custom: Mapping[str, str], files: SegmentFiles) -> Matched:
    """Fields and custom fields with the types that the files bring; a type that no field takes is named."""
    for neutral, column in matching.items():
        found = files.columns[column]
        if found not in TAKES[neutral]:
            raise BadSegment(
                f"Column {column!r} is {files.type_words[column]}, and `{neutral}` takes {' or '.join(TAKES[neutral])}."
            )
    customs = []
    for number, (name, column) in enumerate(custom.items()):
        kind = files.columns[column]
        if kind is None:
            raise BadSegment(
                f"Column {column!r} is {files.type_words[column]}, and a custom field of {vendor.title} takes a single "
                "value: text, number, boolean or date."
            )
        customs.append(CustomField(name, f"custom_{number}", kind))
    return Matched(tuple(matching), tuple(customs))


def missing(
    vendor: Vendor, matched: Matched, target: Target, files: SegmentFiles, matching: Mapping[str, str]
) -> dict[str, FieldType]:
    """Custom fields that this export needs and the audience lacks, with the type to make them of."""
    needed: dict[str, FieldType] = {}
    for neutral in matched.fields:
        rule = vendor.rule(neutral)
        if rule.custom:
            kind = files.columns[matching[neutral]]
            needed[rule.key] = "date" if kind in {"date", "timestamp"} else "text"
    needed |= {custom.name: HOLDS[custom.type] for custom in matched.custom}
    return {name: kind for name, kind in needed.items() if name.lower() not in target.fields}


def settle_on(  # noqa: PLR0913 - what the files say and what the vendor says meet here
    vendor: Vendor,
    matching: Mapping[str, str],
    custom: Mapping[str, str],
    matched: Matched,
    files: SegmentFiles,
    target: Target,
) -> Matching:
    """Every column that travels, with what the vendor's field holds."""
    carried = []
    for neutral in matched.fields:
        rule = vendor.rule(neutral)
        column = matching[neutral]
        if neutral == "email":
            continue
        wants: FieldType = "date" if neutral == "birthdate" else "text"
        if rule.custom:
            wants = target.fields[rule.key.lower()].type
        kind = fits(column, files.columns[column], wants, rule.key)
        carried.append(Carried(neutral, column, kind, rule.key, wants, rule.max_chars, rule.omit_misfit))
    for one in matched.custom:
        column = custom[one.name]
        wants = target.fields[one.name.lower()].type
        kind = fits(column, one.type, wants, one.name)
        carried.append(Carried(one.column, column, kind, one.name, wants, vendor.max_custom_chars))
    return Matching(matching["email"], tuple(carried), matched, vendor.date_format)


def fits(column: str, kind: ColumnType | None, wants: FieldType, label: str) -> ColumnType:
    """The column's type, if the vendor's field can be fed from it."""
    if kind is None or kind not in FEEDS[wants]:
        raise BadMatching(f"Column {column!r} is {kind}, and the vendor's field {label!r} holds a {wants}.")
    return kind
