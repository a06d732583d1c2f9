"""Checks everything that can be checked before a row is read: `order -> files, matching, target`. Nothing is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from airflow_provider_segexport.contract import FieldType, Matched
from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BadMatching, BadSegment
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.parquet_files import find
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.ports.snapshots import copied
from airflow_provider_segexport.segment import Asked, Matching, SegmentFiles
from airflow_provider_segexport.stages import match, read
from airflow_provider_segexport.vendor_field import VendorField


@dataclass(frozen=True, slots=True)
class Checked:
    """What has been found good.

    Attributes:
        suppression: each suppression list by its path, and its files with their names.
        fingerprint: of data matching and the vendor's fields: when it changes, rejected rows are tried anew.
        lacking: custom fields that the run has to make first, with their types. `matching` and `target` hold them as
            they will be.
    """

    files: SegmentFiles
    matched: Matched
    matching: Matching
    target: Target
    suppression: tuple[tuple[str, tuple[tuple[Place, str], ...]], ...]
    fingerprint: str
    lacking: Mapping[str, FieldType] = field(default_factory=dict)


def check(job: Job) -> Checked:
    """Files, columns, credentials, audience, custom fields. Nothing is changed at the vendor."""
    order, vendor, world = job.order, job.vendor, job.world
    asked = Asked(order.matching, order.custom_fields)
    wanted = match.names(vendor, asked)
    if order.consent.column:
        wanted = list(dict.fromkeys([*wanted, order.consent.column]))
    copy = partial(copied, resolve=world.resolve, to=world.folder.place)
    places = find(order.segment, world.resolve, partial(copy, wanted=wanted, at=order.snapshot_at))
    files = read.inspect(places, wanted, partition_columns=order.partition_columns)
    _size(job, files)
    suppression = tuple((path, tuple(find(path, world.resolve, copy))) for path in order.consent.suppression)
    matched = match.types(vendor, asked, files)
    target = job.drive(vendor.check(job.access, job.order.audience))
    lacking = _lacking(job, asked, matched, files, target)
    if lacking:
        foreseen = {name.lower(): VendorField(name, kind) for name, kind in lacking.items()}
        target = replace(target, fields={**target.fields, **foreseen})
    matching = match.settle_on(vendor, asked, matched, files, target)
    return Checked(files, matched, matching, target, suppression, _fingerprint(asked, matching), lacking)


def with_fields(job: Job, checked: Checked) -> Checked:
    """Make the custom fields that the audience lacks, and take the vendor's own description of them.

    The first call of a run that changes something at the vendor: everything else was checked before, guards too.
    """
    vendor, order = job.vendor, job.order
    for name, kind in checked.lacking.items():
        job.drive(vendor.create_field(checked.target, name, kind))
    target = job.drive(vendor.check(job.access, order.audience))
    asked = Asked(order.matching, order.custom_fields)
    lacking = match.missing(vendor, asked, checked.matched, checked.files, target)
    if lacking:
        raise BadMatching(
            f"{vendor.title} took the new fields {', '.join(map(repr, lacking))} and does not list them yet. "
            "Try again in a minute, or create them there."
        )
    matching = match.settle_on(vendor, asked, checked.matched, checked.files, target)
    return replace(checked, target=target, matching=matching, fingerprint=_fingerprint(asked, matching), lacking={})


def _fingerprint(asked: Asked, matching: Matching) -> str:
    told = [dict(asked.fields), dict(asked.custom), [asdict(one) for one in matching.carried], matching.date_format]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()


def _size(job: Job, files: SegmentFiles) -> None:
    if files.rows == 0 and (guard := job.order.guard("empty")) is not None and guard.then == "fail":
        raise BadSegment(
            "The segment has no rows. An empty segment is more often a mistake upstream than the truth. If it is "
            'true, say so: `guards={"empty": None}`.'
        )
    if files.rows > job.order.max_profiles:
        raise BadSegment(
            f"The segment has {counted(files.rows, 'profile')}, and this export takes {job.order.max_profiles:,} at "
            "most. Split the segment, or raise `max_profiles` if your contract with the vendor holds more."
        )


def _lacking(job: Job, asked: Asked, matched: Matched, files: SegmentFiles, target: Target) -> Mapping[str, FieldType]:
    """Custom fields that the audience lacks; without `create_fields` they are a mistake."""
    lacking = match.missing(job.vendor, asked, matched, files, target)
    if lacking and not job.order.create_fields:
        raise BadMatching(
            f"{job.vendor.title} has no field {', '.join(map(repr, lacking))} for {job.vendor.audience_word} "
            f"{target.audience_name!r}. Create it there, match it to another, or set `create_fields=True`."
        )
    return lacking
