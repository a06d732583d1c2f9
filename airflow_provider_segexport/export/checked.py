"""Checks everything that can be checked before a row is read: `order -> files, matching, target`. Nothing is sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from airflow_provider_segexport.contract import Matched
from airflow_provider_segexport.errors import BadMatching, BadSegment
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.parquet_files import find
from airflow_provider_segexport.ports.places import Place
from airflow_provider_segexport.segment import Asked, Matching, SegmentFiles
from airflow_provider_segexport.stages import match, read


@dataclass(frozen=True, slots=True)
class Checked:
    """What has been found good.

    Attributes:
        suppression: the files of addresses not to be mailed, with their names.
        fingerprint: of data matching and the vendor's fields: when it changes, rejected rows are tried anew.
    """

    files: SegmentFiles
    matched: Matched
    matching: Matching
    target: Target
    suppression: tuple[tuple[Place, str], ...]
    fingerprint: str


def check(job: Job) -> Checked:
    """Files, columns, credentials, audience, custom fields."""
    order, vendor, world = job.order, job.vendor, job.world
    asked = Asked(order.matching, order.custom_fields)
    wanted = match.names(vendor, asked)
    if order.consent.column:
        wanted = list(dict.fromkeys([*wanted, order.consent.column]))
    files = read.inspect(find(order.segment, world.resolve), wanted)
    _size(job, files)
    suppression = tuple(find(order.consent.suppression, world.resolve)) if order.consent.suppression else ()
    matched = match.types(vendor, asked, files)
    target = _target(job, asked, matched, files)
    matching = match.settle_on(vendor, asked, matched, files, target)
    return Checked(files, matched, matching, target, suppression, _fingerprint(asked, matching))


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
            f"The segment has {files.rows:,} profiles, and this export takes {job.order.max_profiles:,} at most. "
            "Split the segment, or raise `max_profiles` if your contract with the vendor holds more."
        )


def _target(job: Job, asked: Asked, matched: Matched, files: SegmentFiles) -> Target:
    """Credentials, audience and custom fields, as the vendor tells them; makes fields where that is asked for."""
    vendor = job.vendor
    target = job.drive(vendor.check(job.access, job.order.audience))
    lacking = match.missing(vendor, asked, matched, files, target)
    if not lacking:
        return target
    if not job.order.create_fields:
        raise BadMatching(
            f"{vendor.title} has no field {', '.join(map(repr, lacking))} for {vendor.audience_word} "
            f"{target.audience_name!r}. Create it there, match it to another, or set `create_fields=True`."
        )
    if job.order.dry_run:
        raise BadMatching(
            f"{vendor.title} has no field {', '.join(map(repr, lacking))} yet, and a dry run makes none. The run "
            "itself would make it; create it there, or match without it, to see the plan."
        )
    for name, kind in lacking.items():
        job.drive(vendor.create_field(target, name, kind))
    target = job.drive(vendor.check(job.access, job.order.audience))
    lacking = match.missing(vendor, asked, matched, files, target)
    if lacking:
        raise BadMatching(
            f"{vendor.title} took the new fields {', '.join(map(repr, lacking))} and does not list them yet. "
            "Try again in a minute, or create them there."
        )
    return target
