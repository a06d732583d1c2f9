"""Checks everything that can be checked before a row is read: `order -> files, matching, target`. Nothing is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.parquet_files import find
from airflow_provider_segexport.segment_files.snapshots import copied
from airflow_provider_segexport.stages import map_fields, read
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import FieldMapping, ResolvedMapping, SegmentFiles
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import FieldType, MappedFields


@dataclass(frozen=True, slots=True)
class Preflight:
    """What has been found good.

    Attributes:
        suppression: each suppression list by its path, and its files with their names.
        fingerprint: of field mapping and the vendor's fields: when it changes, rejected rows are tried anew.
        missing_fields: custom fields that the run has to make first, with their types. `field_mapping` and `target`
            hold them as they will be.
    """

    files: SegmentFiles
    mapped: MappedFields
    mapping: ResolvedMapping
    audience: Audience
    suppression: tuple[tuple[str, tuple[tuple[StoragePath, str], ...]], ...]
    fingerprint: str
    missing_fields: Mapping[str, FieldType] = field(default_factory=dict)


def check(context: ExportContext) -> Preflight:
    """Files, columns, credentials, audience, custom fields. Nothing is changed at the vendor."""
    config, vendor, environment = context.config, context.vendor, context.environment
    asked = FieldMapping(config.field_mapping, config.custom_fields)
    wanted = map_fields.required_columns(vendor, asked)
    if config.consent.column:
        wanted = list(dict.fromkeys([*wanted, config.consent.column]))
    copy = partial(copied, resolve=environment.resolve, to=environment.run_folder.path)
    places = find(config.segment, environment.resolve, partial(copy, wanted=wanted, at=config.snapshot_at))
    files = read.read_schemas(places, wanted, partition_columns=config.partition_columns)
    _size(context, files)
    suppression = tuple(
        (path, tuple(find(path, environment.resolve, copy))) for path in config.consent.suppression_list
    )
    matched = map_fields.resolve_types(vendor, asked, files)
    target = context.run_operation(vendor.resolve_audience(context.endpoint, context.config.audience))
    lacking = _lacking(context, asked, matched, files, target)
    if lacking:
        foreseen = {name.lower(): VendorField(name, kind) for name, kind in lacking.items()}
        target = replace(target, fields={**target.fields, **foreseen})
    field_mapping = map_fields.resolve(vendor, asked, matched, files, target)
    return Preflight(files, matched, field_mapping, target, suppression, _fingerprint(asked, field_mapping), lacking)


def with_fields(context: ExportContext, checked: Preflight) -> Preflight:
    """Make the custom fields that the audience lacks, and take the vendor's own description of them.

    The first call of a run that changes something at the vendor: everything else was checked before, guards too.
    """
    vendor, config = context.vendor, context.config
    for name, kind in checked.missing_fields.items():
        context.run_operation(vendor.create_field(checked.audience, name, kind))
    target = context.run_operation(vendor.resolve_audience(context.endpoint, config.audience))
    asked = FieldMapping(config.field_mapping, config.custom_fields)
    lacking = map_fields.missing_custom_fields(vendor, asked, checked.mapped, checked.files, target)
    if lacking:
        raise InvalidFieldMapping(
            f"{vendor.title} took the new fields {', '.join(map(repr, lacking))} and does not list them yet. "
            "Try again in a minute, or create them there."
        )
    field_mapping = map_fields.resolve(vendor, asked, checked.mapped, checked.files, target)
    return replace(
        checked,
        audience=target,
        mapping=field_mapping,
        fingerprint=_fingerprint(asked, field_mapping),
        missing_fields={},
    )


def _fingerprint(asked: FieldMapping, field_mapping: ResolvedMapping) -> str:
    told = [
        dict(asked.fields),
        dict(asked.custom),
        [asdict(one) for one in field_mapping.columns],
        field_mapping.date_format,
    ]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def _size(context: ExportContext, files: SegmentFiles) -> None:
    if files.rows == 0 and (guard := context.config.guard("min_rows")) is not None and guard.action == "fail":
        raise InvalidSegment(
            "The segment has no rows. An empty segment is more often a mistake upstream than the truth. If it is "
            'true, say so: `guards={"min_rows": None}`.'
        )
    if files.rows > context.config.max_profiles:
        raise InvalidSegment(
            f"The segment has {counted(files.rows, 'profile')}, and this export takes {context.config.max_profiles:,} "
            "at most. Split the segment, or raise `max_profiles` if your contract with the vendor holds more."
        )


def _lacking(
    context: ExportContext, asked: FieldMapping, matched: MappedFields, files: SegmentFiles, audience: Audience
) -> Mapping[str, FieldType]:
    """Custom fields that the audience lacks; without `create_custom_fields` they are a mistake."""
    lacking = map_fields.missing_custom_fields(context.vendor, asked, matched, files, audience)
    if lacking and not context.config.create_custom_fields:
        raise InvalidFieldMapping(
            f"{context.vendor.title} has no field {', '.join(map(repr, lacking))} for {context.vendor.audience_noun} "
            f"{audience.audience_name!r}. Create it there, match it to another, or set `create_custom_fields=True`."
        )
    return lacking
