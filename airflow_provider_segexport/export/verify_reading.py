"""Reads an audience back for a verification, in parts that a retry does not read again: `audience -> parts on disk`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from airflow_provider_segexport.errors import FatalError, NeedsMemory, RateLimited, RetryableError, VendorUnavailable
from airflow_provider_segexport.export.config import ExportContext, Verify
from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.export.row_sql import mapped_row_sql
from airflow_provider_segexport.export.verify_estimate import estimate_reading
from airflow_provider_segexport.model import Audience, Member, OptOut
from airflow_provider_segexport.segment_files.memory import memory_for
from airflow_provider_segexport.stages import clean, drift, people_to_read
from airflow_provider_segexport.stages import read as read_stage
from airflow_provider_segexport.storage import reading
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import MEMORY, Engine, engine
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_schema import MEMBER
from airflow_provider_segexport.storage.paths import StoragePath, exists
from airflow_provider_segexport.storage.plan import ITEM_SUFFIX
from airflow_provider_segexport.storage.reading import MEMBERS, OPTOUTS, RECORDS, PartWriter, Progress
from airflow_provider_segexport.storage.sealing import verify
from airflow_provider_segexport.storage.tables import VALID_EMAIL_ROWS
from airflow_provider_segexport.vendors.member_pages import read_parts
from airflow_provider_segexport.vendors.member_record import MemberRecord, differing_keys

log = logging.getLogger(__name__)

MAX_READING_AGE_S = 48 * 3600.0
"""Seconds since the last progress after which a reading begins again. The longest wait for a quota is a day."""

MAX_LOOK_UPS = 500
"""Maximum absent people that are read one by one, because a list may lag, and a page may skip a person when another
person leaves. More absent people have another cause."""

RECORDS_PER_STEP = 100
"""Number of people that are read one by one between two writes of the progress."""

SEGMENT_FILE = "segment.parquet"


@dataclass(frozen=True, slots=True)
class Target:
    """The audience, ledger and segment that a verification compares.

    Attributes:
        audience: as the vendor describes it.
        ledger: of the audience.
        checked: the segment with its field mapping; None without a segment.
    """

    audience: Audience
    ledger: Ledger
    checked: Preflight | None = None


def open_reading(context: ExportContext, target: Target, sql: Engine) -> tuple[Progress, dict[str, Any]]:
    """Return the progress of an interrupted reading, or begin a new one, with the estimate of the whole reading.

    Args:
        context: the verification.
        target: audience, ledger and segment to compare.
        sql: gets the people that are compared.
    """
    folder, clock = context.environment.run_folder.path, context.environment.clock
    key = _key(context, target)
    progress = reading.intact_progress(folder, SEGMENT_FILE)
    if progress is not None and (progress.key != key or clock() - progress.written_at > MAX_READING_AGE_S):
        progress = None
    if progress is None:
        reading.discard(folder)
        version = target.ledger.version()
        _write_people(context, target, sql, version)
        progress = Progress(key, clock(), clock(), version, is_whole=True)
    else:
        log.info("Continuing the reading of an earlier try (people=%d)", progress.section(MEMBERS).people)
    people_to_read.load_known(sql, folder / reading.KNOWN_FILE)
    members = int(sql.single_row(f"select count(*) from {reading.KNOWN_PEOPLE} where state = '{MEMBER}'")[0])
    estimate = estimate_reading(context, target.audience, members)
    progress = replace(progress, is_whole=estimate["reads_all"])
    reading.save_progress(folder, progress)
    log.info(
        "Reading the audience (people=%s calls=%d estimated_minutes=%.1f)",
        estimate["people"] if progress.is_whole else f"sample of {estimate['people']}",
        estimate["calls"],
        estimate["estimated_minutes"],
    )
    quota_left = context.environment.remaining_quota()
    if quota_left is not None and quota_left < estimate["calls"]:
        log.warning("Waiting for quota will be needed (calls=%d quota_left=%d)", estimate["calls"], quota_left)
    return progress, estimate | {"quota_left": quota_left}


def read(context: ExportContext, target: Target, sql: Engine, progress: Progress) -> Progress:
    """Read the remaining members, opt-outs and records; return the progress.

    Args:
        context: the verification.
        target: audience, ledger and segment to compare.
        sql: gets the people to read.
        progress: the progress of the reading so far.

    Raises:
        RetryableError: a quota is used up or the vendor cannot be reached. The progress is stored.
    """
    folder = context.environment.run_folder.path
    items = folder / SEGMENT_FILE
    if exists(items):
        verify(items)
    people_to_read.load_items(sql, items if exists(items) else None)
    seed = context.config.run
    if progress.is_whole:
        progress = _read_pages(context, target, sql, progress, MEMBERS)
        progress = _read_pages(context, target, sql, progress, OPTOUTS)
        for kind in (MEMBERS, OPTOUTS, RECORDS):
            drift.load_parts(sql, kind, reading.part_files(folder, _without_records(progress), kind))
        drift.load_optouts(sql)
        settings = context.config.verify or Verify()
        people_to_read.choose_records(sql, values=settings.sample_values, seed=seed, most_absent=MAX_LOOK_UPS)
    else:
        size = context.config.verify.sample if context.config.verify else None
        people_to_read.choose_sample(sql, size=size or 0, seed=seed)
    return _read_records(context, target, sql, progress)


def _without_records(progress: Progress) -> Progress:
    """Return the progress without records, because the people to read one by one are chosen without them."""
    return replace(progress, sections={kind: part for kind, part in progress.sections.items() if kind != RECORDS})


def _read_pages(context: ExportContext, target: Target, sql: Engine, progress: Progress, kind: str) -> Progress:
    """Read the members or the opt-outs from the stored marker on."""
    section, reads = progress.section(kind), context.vendor.verification
    if section.done:
        return progress
    writer = PartWriter(sql, context.environment.run_folder.path, progress, kind, context.environment.clock)
    operation = read_parts(
        reads.read_members if kind == MEMBERS else reads.read_optouts,
        target.audience,
        lambda people: _add(context, writer, [_row(person) for person in people]),
        start=section.marker,
        on_marker=writer.mark,
    )
    with _stored_on_error(context, writer, resumed_at=section.marker):
        context.run_operation(operation)
    return writer.finish()


def _add(context: ExportContext, writer: PartWriter, rows: Sequence[Sequence[Any]]) -> None:
    """Add a page, and report the progress."""
    writer.add(rows)
    context.environment.on_progress({"phase": "reading", "people": writer.people})


def _row(person: Member | OptOut) -> Sequence[Any]:
    if isinstance(person, Member):
        return (person.email, person.active)
    return (person.email, str(person.reason), person.since)


@contextmanager
def _stored_on_error(context: ExportContext, writer: PartWriter, *, resumed_at: str) -> Iterator[None]:
    """Store what was read if an error ends the reading.

    If the vendor does not accept a stored marker any more, the reading is discarded, so that the next try begins again.
    """
    try:
        yield
    except BaseException as error:
        is_temporary = isinstance(error, RateLimited | VendorUnavailable) or not isinstance(
            error, FatalError | RetryableError
        )
        if is_temporary or not resumed_at or writer.has_advanced:
            writer.stop()
            raise
        reading.discard(context.environment.run_folder.path)
        raise RetryableError(
            "The vendor does not continue the reading of the audience where an earlier try stopped. The next try reads "
            "it from the beginning."
        ) from None


def _read_records(context: ExportContext, target: Target, sql: Engine, progress: Progress) -> Progress:
    """Read the chosen people one by one, several side by side, and compare their values."""
    section = progress.section(RECORDS)
    if section.done:
        return progress
    writer = PartWriter(sql, context.environment.run_folder.path, progress, RECORDS, context.environment.clock)
    reads, done = context.vendor.verification, int(section.marker or 0)

    def read_person(person: tuple[str, str | None]) -> Sequence[Any]:
        email, item = person
        record = context.run_operation(reads.read_record(target.audience, email))
        return _record_row(email, item, record, lambda text: reads.sent_values(target.audience, text))

    with (
        _stored_on_error(context, writer, resumed_at=""),
        ThreadPoolExecutor(context.vendor.limits.max_concurrency) as threads,
    ):
        while people := people_to_read.next_records(sql, done, RECORDS_PER_STEP):
            for row in threads.map(read_person, people):
                _add(context, writer, [row])
                done += 1
                writer.mark(str(done))
            writer.save()
    return writer.finish()


def _record_row(
    email: str, item: str | None, record: MemberRecord, sent_values: Callable[[dict[str, Any]], Any]
) -> Sequence[Any]:
    """Return the columns of `reading.SCHEMAS[RECORDS]`; `fields` is null if the values are not compared."""
    fields = None
    if item is not None and record.is_member:
        sent = sent_values(json.loads(item.removesuffix(ITEM_SUFFIX)))
        fields = "\n".join(differing_keys(sent, record.values))
    return (email, record.is_member, record.reason and str(record.reason), record.status, fields)


def _key(context: ExportContext, target: Target) -> str:
    """Return a hash of the settings that decide what is read. `repair` has no effect on that, so it is left out."""
    config, settings = context.config, context.config.verify or Verify()
    content = [
        context.vendor.name,
        target.audience.account,
        target.audience.audience,
        config.segment,
        dict(config.field_mapping),
        dict(config.custom_fields),
        config.default_region,
        dict(config.date_formats),
        config.partition_columns,
        asdict(replace(settings, repair=False)),
    ]
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=12).hexdigest()


def _write_people(context: ExportContext, target: Target, sql: Engine, version: int) -> None:
    """Write `known.parquet` and, with a segment, the rows whose values can be compared."""
    checked = target.checked
    if checked is None:
        _write_known(context, sql, _file(target.ledger, version), segment="")
        return
    try:
        _write_segment(context, target, checked, version, MEMORY)
    except NeedsMemory:
        _write_segment(context, target, checked, version, memory_for(checked.files))


def _write_segment(context: ExportContext, target: Target, checked: Preflight, version: int, memory: str) -> None:
    folder, file = context.environment.run_folder.path, _file(target.ledger, version)
    with engine(memory) as sql, read_stage.translate_read_errors(checked.files, ()):
        clean.clean(sql, checked.files, checked.mapping)
        _write_known(context, sql, file, segment=VALID_EMAIL_ROWS)
        if file is not None and (context.config.verify or Verify()).sample_values:
            encoded = mapped_row_sql(context.vendor, checked, AudienceState.of(target.ledger.path).fields)
            people_to_read.write_items(sql, folder / SEGMENT_FILE, encoded, file)


def _write_known(context: ExportContext, sql: Engine, ledger: StoragePath | None, *, segment: str) -> None:
    path = context.environment.run_folder.path / reading.KNOWN_FILE
    people_to_read.write_known(sql, path, ledger, segment=segment)


def _file(ledger: Ledger, version: int) -> StoragePath | None:
    """Return the file of a version after checking it; None for version 0."""
    if not version:
        return None
    ledger.check(version)
    return ledger.file(version)
