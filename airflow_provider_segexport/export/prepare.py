"""Checks everything that can be checked, then freezes what is to be done: `order -> plan`. Nothing is sent here."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime
from typing import Any

from airflow_provider_segexport.contract import Matched
from airflow_provider_segexport.errors import BadMatching, BadSegment, OlderThanLedger
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.engine import engine
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.segment import Asked, Planned, SegmentFiles
from airflow_provider_segexport.stages import clean, commit, encode, match, plan, read, readback

log = logging.getLogger(__name__)


def prepare(job: Job) -> tuple[Planned, dict[str, Any]]:
    """Plan and freeze; returns the plan and the facts that it was made of."""
    order, vendor, world = job.order, job.vendor, job.world
    started = world.clock()
    asked = Asked(order.matching, order.custom_fields)
    wanted = match.names(vendor, asked)
    files = read.inspect(read.find(order.segment, world.resolve), wanted)
    _size(job, files)
    matched = match.types(vendor, asked, files)
    target = _check(job, asked, matched, files)
    matching = match.settle_on(vendor, asked, matched, files, target)
    ledger = Ledger.of(world.root, vendor.name, target)
    _in_order(job, ledger)
    version = ledger.version()
    with engine() as sql, read.readable(files):
        cleaned = clean.clean(sql, files, matching)
        if version:
            commit.load(sql, ledger, version)
        if vendor.readds_leavers and ledger.members():
            job.drive(vendor.members(target, readback.Pages(sql)))
            readback.withhold_leavers(sql)
        item = encode.expression(vendor.item(matched, target))
        upserts = plan.upserts(item, against_ledger=bool(version) and order.mode == "changes")
        planned = plan.freeze(sql, upserts, vendor.limits, world.folder.place, cleaned)
    _worth_sending(job, planned)
    facts = {
        "vendor": vendor.name,
        "target": asdict(target),
        "files": [(file.name, file.first_row) for file in files.files],
        "mode": order.mode,
        "as_of": order.as_of,
        "started_at": started,
    }
    world.folder.freeze(planned, facts)
    log.info(
        "Planned: %d profiles, %d to send in %d calls, %d unchanged, set aside %s.",
        planned.profiles,
        planned.upserts,
        len(planned.batches),
        planned.unchanged,
        dict(planned.aside) or "none",
    )
    return planned, facts


def _size(job: Job, files: SegmentFiles) -> None:
    if files.rows == 0:
        raise BadSegment("The segment has no rows. An empty segment is more often a mistake upstream than the truth.")
    if files.rows > job.order.max_profiles:
        raise BadSegment(
            f"The segment has {files.rows:,} profiles, and this export takes {job.order.max_profiles:,} at most. "
            "Split the segment, or raise `max_profiles` if your contract with the vendor holds more."
        )


def _check(job: Job, asked: Asked, matched: Matched, files: SegmentFiles) -> Target:
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


def _in_order(job: Job, ledger: Ledger) -> None:
    """An older snapshot changes nothing at the vendor. The same one may be exported again."""
    newest = ledger.facts().get("as_of")
    if newest is None or datetime.fromisoformat(job.order.as_of) >= datetime.fromisoformat(newest):
        return
    raise OlderThanLedger(
        f"This snapshot is as of {job.order.as_of}, and the audience has been brought to {newest} already: nothing is "
        "sent, for an older state would overwrite the newer one.",
        fails=job.order.older == "fail",
    )


def _worth_sending(job: Job, planned: Planned) -> None:
    rejected = sum(planned.aside.get("rejected", {}).values())
    if rejected == planned.profiles:
        raise BadSegment(
            f"Not one of {planned.profiles:,} profiles can be sent: {dict(planned.aside['rejected'])}. "
            f"Is {job.order.matching['email']!r} the column with the emails?"
        )
