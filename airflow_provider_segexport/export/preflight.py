"""Checks an export before a row is read: `config -> files, field mapping, audience`. Changes nothing at the vendor."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import InvalidFieldMapping, InvalidSegment
from airflow_provider_segexport.export import audience as audiences
from airflow_provider_segexport.export.config import ExportConfig, ExportContext, Phase
from airflow_provider_segexport.export.experiments import resolve_audience, with_account_facts
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.empty_columns import with_empty_columns
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.segment_files.snapshots import copy_snapshot, is_table
from airflow_provider_segexport.stages import date_columns, map_fields, proof, read
from airflow_provider_segexport.storage import known_fields
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import FieldMapping, ResolvedMapping, SegmentFiles
from airflow_provider_segexport.vendor_field import VendorField
from airflow_provider_segexport.vendors.base import FieldType, MappedFields

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preflight:
    """Files, field mapping and audience that have passed the checks.

    Attributes:
        suppression: path of each suppression list, and its files with their names.
        fingerprint: hash of field mapping and vendor fields; when it changes, rejected rows are sent again.
        missing_fields: type by name of the custom fields that the run must create first. `mapping` and `audience`
            include these fields.
    """

    files: SegmentFiles
    mapped: MappedFields
    mapping: ResolvedMapping
    audience: Audience
    suppression: tuple[tuple[str, tuple[tuple[StoragePath, str], ...]], ...]
    fingerprint: str
    missing_fields: Mapping[str, FieldType] = field(default_factory=dict)

    def in_state(self, state: AudienceState, context: ExportContext) -> AudienceState:
        """Return the audience's state with the export as a sharer, and with the fields as it finds or creates them.

        Raises:
            AudienceOwnedByOther: another export owns the audience, and not both exports allow sharing.
        """
        state = state.with_sharer(context.config.export_name, shared=context.config.allow_shared_audience)
        if context.vendor.implicit_custom_fields:
            return state
        custom = [(column, column.custom_field) for column in self.mapping.columns if column.custom_field is not None]
        types = {column.label: column.vendor_type for column, _ in custom}
        keys = {column.label: vendor_field.key for column, vendor_field in custom}
        return replace(state, fields=known_fields.update(state.fields, types, self.missing_fields, keys))


def reads_tables(config: ExportConfig) -> bool:
    """Return whether the segment or a suppression list is a table, whose snapshot is copied."""
    segments = [config.segment] if isinstance(config.segment, str) else config.segment
    return any(is_table(text) for text in (*segments, *config.consent.suppression_list))


def check(context: ExportContext) -> Preflight:
    """Check files, columns, credentials, audience and custom fields. Change nothing at the vendor."""
    config, vendor, environment = context.config, context.vendor, context.environment
    environment.on_phase(Phase.CHECK)
    log.info("Checking segment, connection and audience (vendor=%s mode=%s)", vendor.name, config.mode)
    configured = _configured(config)
    columns = map_fields.required_columns(vendor, configured)
    consent_columns = [config.consent.column] if config.consent.column else []
    if config.consent.proof is not None:
        proof.check(vendor, config.consent.proof, config.consent.column)
        consent_columns += config.consent.proof.names()
    columns = list(dict.fromkeys([*columns, *consent_columns]))
    copy = partial(copy_snapshot, resolve=environment.resolve, to=environment.run_folder.path)
    paths = find_files(config.segment, environment.resolve, partial(copy, wanted=columns, at=config.snapshot_at))
    files = read.read_schemas(paths, columns, partition_columns=config.partition_columns)
    _check_row_count(context, files)
    consented_at = config.consent.proof.consented_at if config.consent.proof is not None else ""
    files = with_empty_columns(files, map_fields.columns_of_other_types(configured, files))
    files = date_columns.with_dates(configured, files, consented_at)
    suppression = tuple(
        (path, tuple(find_files(path, environment.resolve, copy))) for path in config.consent.suppression_list
    )
    mapped = _mapped_fields(context, configured, files)
    audience = resolve_audience(context)
    files = with_empty_columns(files, map_fields.columns_of_other_kinds(vendor, configured, mapped, files, audience))
    mapped = _mapped_fields(context, configured, files)
    if vendor.check_reads is not None:
        context.run_operation(vendor.check_reads(audience))
    audience, mapping, missing = _resolve_mapping(context, mapped, files, audience)
    log.info(
        "Checking done (files=%d rows=%d columns=%d fields_to_create=%d)",
        len(files.files),
        files.rows,
        len(columns),
        len(missing),
    )
    return Preflight(files, mapped, mapping, audience, suppression, _fingerprint(configured, mapping), missing)


def _configured(config: ExportConfig) -> FieldMapping:
    return FieldMapping(config.field_mapping, config.custom_fields, config.default_region, config.date_formats)


def _mapped_fields(context: ExportContext, configured: FieldMapping, files: SegmentFiles) -> MappedFields:
    """Return the mapped fields with the types of their columns, and the parts of the proof of consent."""
    mapped = map_fields.resolve_types(context.vendor, configured, files)
    configured_proof = context.config.consent.proof
    if configured_proof is None:
        return mapped
    return replace(mapped, proof=proof.resolve(configured_proof, files, context.config.date_formats)[1])


def with_new_audience(context: ExportContext, checked: Preflight) -> Preflight:
    """Create the audience that does not exist yet.

    This is the run's first call that changes something at the vendor. All other checks, including guards, are made
    before it.
    """
    created = with_account_facts(context, audiences.create(context, checked.audience))
    audience, mapping, missing = _resolve_mapping(context, checked.mapped, checked.files, created)
    configured = _configured(context.config)
    fingerprint = _fingerprint(configured, mapping)
    return replace(checked, audience=audience, mapping=mapping, fingerprint=fingerprint, missing_fields=missing)


def _resolve_mapping(
    context: ExportContext, mapped: MappedFields, files: SegmentFiles, audience: Audience
) -> tuple[Audience, ResolvedMapping, Mapping[str, FieldType]]:
    """Return the audience with the fields that the run must create, the field mapping, and those fields."""
    configured = _configured(context.config)
    missing = _missing_fields(context, configured, mapped, files, audience)
    if missing:
        planned_fields = {name.lower(): VendorField(name, field_type) for name, field_type in missing.items()}
        audience = replace(audience, fields={**audience.fields, **planned_fields})
    return (
        audience,
        _with_proof(context, files, map_fields.resolve(context.vendor, configured, mapped, files, audience)),
        missing,
    )


def _with_proof(context: ExportContext, files: SegmentFiles, mapping: ResolvedMapping) -> ResolvedMapping:
    """Return the field mapping with the columns of the proof of consent, if the export sends it."""
    configured = context.config.consent.proof
    if configured is None:
        return mapping
    return replace(mapping, proof=proof.resolve(configured, files, context.config.date_formats)[0])


def with_fields(context: ExportContext, checked: Preflight) -> Preflight:
    """Create the custom fields that the audience lacks, and read the vendor's own description of them.

    All other checks, including guards, are made before it.

    Raises:
        InvalidFieldMapping: the vendor does not list a new field yet.
    """
    vendor, config = context.vendor, context.config
    for name, field_type in checked.missing_fields.items():
        context.run_operation(vendor.create_field(checked.audience, name, field_type))
    audience = resolve_audience(context)
    configured = _configured(config)
    missing = map_fields.missing_custom_fields(vendor, configured, checked.mapped, checked.files, audience)
    if missing:
        raise InvalidFieldMapping(
            f"{vendor.title} accepted the new fields {', '.join(map(repr, missing))} but does not list them yet. "
            "To fix: clear the task in a minute, or create the fields at the vendor."
        )
    mapping = map_fields.resolve(vendor, configured, checked.mapped, checked.files, audience)
    mapping = _with_proof(context, checked.files, mapping)
    return replace(
        checked,
        audience=audience,
        mapping=mapping,
        fingerprint=_fingerprint(configured, mapping),
        missing_fields={},
    )


def _fingerprint(configured: FieldMapping, mapping: ResolvedMapping) -> str:
    """Return a hash of the configured and the resolved field mapping."""
    content = [
        dict(configured.fields),
        dict(configured.custom),
        [asdict(column) for column in mapping.columns],
        mapping.date_format,
        mapping.default_region,
    ]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()


def _check_row_count(context: ExportContext, files: SegmentFiles) -> None:
    if files.rows == 0 and (guard := context.config.guard("min_rows")) is not None and guard.action == "fail":
        raise InvalidSegment(
            "The segment has no rows, which is usually a mistake upstream. To fix: check the task that writes the "
            'segment; if it may be empty, set `guards={"min_rows": None}`.'
        )
    if files.rows > context.config.max_profiles:
        raise InvalidSegment(
            f"The segment has {counted(files.rows, 'profile')}, more than `max_profiles` "
            f"({context.config.max_profiles:,}). To fix: split the segment, or raise `max_profiles` if your contract "
            "with the vendor allows more contacts."
        )


def _missing_fields(
    context: ExportContext, configured: FieldMapping, mapped: MappedFields, files: SegmentFiles, audience: Audience
) -> Mapping[str, FieldType]:
    """Return type by name of the custom fields that the audience lacks.

    Raises:
        InvalidFieldMapping: fields are missing, and `create_custom_fields` is not set.
    """
    missing = map_fields.missing_custom_fields(context.vendor, configured, mapped, files, audience)
    if missing and not context.config.create_custom_fields:
        raise InvalidFieldMapping(
            f"{context.vendor.title} has no field {', '.join(map(repr, missing))} for {context.vendor.audience_noun} "
            f"{audience.audience_name!r}. To fix: create the field at the vendor, map the column to another field, or "
            "set `create_custom_fields=True`."
        )
    return missing
