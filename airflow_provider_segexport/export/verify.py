"""Verifies an audience: reads it back and compares it with the ledger and the segment: `audience, ledger -> report`.

The reading holds no lease, so exports of the audience run beside it. The comparison, which takes seconds and calls no
vendor, holds the lease and uses the ledger's newest version. No call changes anything at the vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export import preflight
from airflow_provider_segexport.export.config import ExportContext, Phase, Verify
from airflow_provider_segexport.export.doubts import check_not_gone
from airflow_provider_segexport.export.experiments import resolve_audience
from airflow_provider_segexport.export.match_rate import match_rate, wilson_interval
from airflow_provider_segexport.export.verify_reading import Target, open_reading, read
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.stages import drift, report
from airflow_provider_segexport.storage import reading, verifications
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import Engine, engine
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import FACTS_OF_ONE_RUN
from airflow_provider_segexport.storage.reading import MEMBERS, OPTOUTS, RECORDS, Progress
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.takeover import holding_lease, longest_call_s
from airflow_provider_segexport.vendors.links import page_link

log = logging.getLogger(__name__)

MEANINGS = drift.KINDS | {"not_ours": "people in the audience that the ledger does not have as members; only counted"}
"""Meaning of each kind of people in a report."""


def verify(context: ExportContext) -> dict[str, Any]:
    """Verify an audience, or continue a verification that was interrupted; return the report.

    Raises:
        FatalError: the audience, the segment or the connection cannot be used.
        RetryableError: the vendor cannot be reached, a quota is used up, or a run holds the audience. The next try
            continues.
    """
    checked = preflight.check(context) if context.config.segment else None
    audience = checked.audience if checked is not None else resolve_audience(context)
    try:
        return _verify(context, Target(audience, context.ledger(audience), checked))
    except DamagedState as damaged:
        raise DamagedState(damaged.file, damaged.why, audience.audience) from None


def _verify(context: ExportContext, target: Target) -> dict[str, Any]:
    folder = context.environment.run_folder.path
    context.environment.on_phase(Phase.READ)
    with engine() as sql:
        progress, estimate = open_reading(context, target, sql)
        progress = read(context, target, sql, progress)
        for kind in (MEMBERS, OPTOUTS, RECORDS):
            drift.load_parts(sql, kind, reading.part_files(folder, progress, kind))
        drift.load_optouts(sql)
        context.environment.on_phase(Phase.REPORT)
        with _holding_lease(context, target.ledger) as ledger:
            result = _conclude(context, target, sql, progress, ledger)
            entries = _entries(context, target.audience, progress) | {"estimate": estimate} | result
            if ledger.version():
                _record(ledger, entries)
    log.info("Writing the report (run_folder=%s)", folder)
    context.environment.run_folder.write_summary(entries)
    reading.discard(folder)
    return entries


@contextmanager
def _holding_lease(context: ExportContext, ledger: Ledger) -> Iterator[Ledger]:
    """Hold the audience's lease. An audience without any export has no lease."""
    environment = context.environment
    if not ledger.version() and AudienceState.of(ledger.path) == AudienceState():
        yield ledger
        return
    lease = context.lease(ledger.path)
    fenced_ledger = replace(ledger, fence=lease)
    with holding_lease(lease, fenced_ledger, longest_call_s(context.vendor), environment.clock):
        yield fenced_ledger


def _conclude(
    context: ExportContext, target: Target, sql: Engine, progress: Progress, ledger: Ledger
) -> dict[str, Any]:
    """Compare with the ledger's newest version, write the files, and write new facts into the ledger.

    Args:
        context: the verification.
        target: audience, ledger and segment to compare.
        sql: holds the people that were read.
        progress: the progress of the finished reading.
        ledger: the ledger, fenced by the lease.

    Returns:
        The report's entries on the comparison.
    """
    folder, version = context.environment.run_folder.path, ledger.version()
    ledger.check(version) if version else None
    file = ledger.file(version) if version else None
    open_run = _load_unsettled(context, sql, ledger)
    basis = drift.Basis(progress.is_whole, context.vendor.import_readds_leavers, progress.started_at)
    drift.compare(sql, file, basis)
    people = drift.count_kinds(sql)
    compared, different, by_field = drift.count_values(sql)
    in_sync, absent = people[drift.IN_SYNC], people[drift.MISSING] + people[drift.LEFT]
    seen_at = datetime.fromtimestamp(progress.started_at, UTC).isoformat(timespec="seconds")
    drifted = drift.write_drift(sql, folder / "drift.parquet")
    optouts = drift.write_optouts(sql, folder / "optouts.parquet", seen_at)
    not_ours = progress.section(MEMBERS).unknown + drift.count_not_ours(sql) if progress.is_whole else None
    entries: dict[str, Any] = {
        "people": people | {"not_ours": not_ours},
        "match_rate": match_rate(in_sync, absent),
        "match_rate_interval": None if progress.is_whole else wilson_interval(in_sync, in_sync + absent),
        "values": {"compared": compared, "different": different, "by_field": by_field},
        "segment": drift.count_segment(sql) if target.checked is not None else None,
        "drift": {"path": str(folder / "drift.parquet"), "count": drifted},
        "optouts": {"path": str(folder / "optouts.parquet"), "count": optouts},
        "open_run": open_run,
    }
    return entries | _learn(context, sql, ledger, may_write=not open_run)


def _load_unsettled(context: ExportContext, sql: Engine, ledger: Ledger) -> str:
    """Create `unsettled_people`, the people of runs whose results are not in the ledger; return the open run.

    The returned name is empty if no run is open, or if the open run stopped before its first call.
    """
    sql.run("create or replace table unsettled_people (email varchar)")
    state = AudienceState.of(ledger.path)
    open_run = ""
    for path in dict.fromkeys([state.open_run_folder, *(doubt.folder for doubt in state.doubts)]):
        folder = RunFolder(context.environment.resolve(path)) if path else None
        if folder is None:
            continue
        check_not_gone(folder)
        planned = folder.plan()
        if planned is None:
            continue
        open_run = state.run if path == state.open_run_folder else open_run
        folder.verify(results=False)
        for part in (folder, folder.removals):
            if part.rows.exists():
                _append_emails(sql, part)
    return open_run


def _append_emails(sql: Engine, part: RunFolder) -> None:
    import pyarrow as pa  # noqa: PLC0415 - only beside an unfinished run

    rows = part.upserts(["email"])
    try:
        batches = pa.RecordBatchReader.from_batches(pa.schema([("email", pa.string())]), iter(rows))
        sql.append("unsettled_people", batches, "select email from incoming")
    finally:
        rows.close()


def _learn(context: ExportContext, sql: Engine, ledger: Ledger, *, may_write: bool) -> dict[str, Any]:
    """Write opt-outs and, with `repair`, missing people into the ledger's next version, if there are any.

    If a run has not ended, nothing is written, because a new version would make that run discard its plan.
    """
    settings = context.config.verify or Verify()
    entries = {"repair": settings.repair, "repaired": 0, "optouts_learnt": 0}
    version = ledger.version()
    if not version:
        return entries | {"ledger_version": 0}
    rows, resend, learnt = drift.next_version(sql, ledger.file(version), repair=settings.repair)
    if not may_write and (resend or learnt):
        log.warning("Leaving the ledger unchanged, because a run of the audience has not ended")
    elif resend or learnt:
        facts = {name: value for name, value in ledger.facts(version).items() if name not in FACTS_OF_ONE_RUN}
        version = ledger.commit(sql.stream(rows), version, {**facts, "by": context.config.run})
        entries["optouts_learnt"] = learnt
    if may_write and settings.repair:
        entries["repaired"] = drift.count_kinds(sql)[drift.MISSING]
    return entries | {"ledger_version": version}


def _entries(context: ExportContext, audience: Audience, progress: Progress) -> dict[str, Any]:
    """Return the report's entries on the run and the audience."""
    environment, config = context.environment, context.config
    ended = environment.clock()
    return {
        "mode": "verify",
        "vendor": context.vendor.name,
        "audience": audience.audience,
        "audience_name": audience.audience_name,
        "audience_link": page_link(context.vendor, audience),
        "account": audience.account_name,
        "conn_id": config.conn_id,
        "run": config.run,
        "as_of": datetime.fromtimestamp(progress.started_at, UTC).isoformat(),
        "started_at": progress.started_at,
        "ended_at": ended,
        "seconds": round(ended - progress.started_at, 3),
        "http": asdict(environment.http.traffic),
        "segment_path": config.shown_segment if config.segment else "",
        "sampled": None if progress.is_whole else progress.section(RECORDS).people,
        "vendor_members": progress.section(MEMBERS).people if progress.is_whole else None,
        "compared_version": progress.version,
        "run_folder": str(environment.run_folder.path),
        "versions": report.versions(),
        "dry_run": False,
        "error": None,
        "finished": True,
    }


def _record(ledger: Ledger, entries: dict[str, Any]) -> None:
    """Add the verification to the audience's history. If the history cannot be written, the run does not fail."""
    try:
        ledger.fence.check()
        verifications.record(ledger.path, entries)
    except OSError as error:
        log.warning("Recording the verification failed (ledger=%s error=%s)", ledger.path, type(error).__name__)
