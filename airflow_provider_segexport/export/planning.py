"""Plans an export and measures the plan against the guards: `config, ledger -> plan`. Sends nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import GuardTripped, InvalidSegment, NeedsMemory, StaleSnapshot
from airflow_provider_segexport.export import consent_rules, estimate, removing
from airflow_provider_segexport.export.config import ExportContext, Phase
from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.export.row_sql import mapped_row_sql
from airflow_provider_segexport.export.segment_version import write_version
from airflow_provider_segexport.guards import GuardResult
from airflow_provider_segexport.model import Audience, Reason
from airflow_provider_segexport.segment_files.memory import memory_for
from airflow_provider_segexport.stages import (
    clean,
    consent,
    guards,
    load_ledger,
    plan,
    read,
    readback,
    removals,
    suppression,
)
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import MEMORY, Engine, engine
from airflow_provider_segexport.storage.erased import marks
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.local_copies import uploads
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.tables import LEDGER_MEMBERS

log = logging.getLogger(__name__)

MAX_COLUMNS_NAMED = 10
"""Maximum columns that an error names."""


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan whose rows are written. The run carries it out after it is frozen.

    Attributes:
        error: the tripped guards that stop the run; None if the plan may be carried out.
    """

    plan: Plan
    facts: PlanFacts
    error: GuardTripped | None = None


def prepare(context: ExportContext, checked: Preflight, ledger: Ledger, state: AudienceState) -> PlanDraft:
    """Plan an export: the rows to send, the people to remove, and the rows that are not sent.

    If the Parquet pages need more memory than an engine's usual limit, plan again with a higher limit.

    Args:
        context: the export.
        checked: files, field mapping and audience, as checked before.
        ledger: the audience's ledger.
        state: the audience's state, with this export as a sharer.

    Returns:
        The plan, with the guards' error if one stops it.

    Raises:
        InvalidSegment: every row is rejected.
    """
    context.environment.on_phase(Phase.PLAN)
    write_version(context.environment.run_folder.path, context.config, checked)
    try:
        with uploads(context.environment.run_folder.path):
            return _prepare(context, checked, ledger, state, MEMORY)
    except NeedsMemory:
        memory = memory_for(checked.files)
        log.warning("Planning again with more memory (limit=%s usual_limit=%s)", memory, MEMORY)
        with uploads(context.environment.run_folder.path):
            return _prepare(context, checked, ledger, state, memory)


def _prepare(
    context: ExportContext, checked: Preflight, ledger: Ledger, state: AudienceState, memory: str
) -> PlanDraft:
    config, vendor, environment = context.config, context.vendor, context.environment
    ledger = ledger.pinned()
    facts = _initial_facts(context, checked, state, ledger.version())
    version, bit = facts.ledger_version, facts.sharer_bit
    suppression_files = [file for _, files in checked.suppression for file in files]
    with engine(memory) as sql, read.translate_read_errors(checked.files, suppression_files):
        cleaned = clean.clean(sql, checked.files, checked.mapping)
        consent_counts, lists = consent_rules.withhold(context, checked, sql)
        cleaned = consent_rules.add_unclear_consent(cleaned, config.consent.column or "", consent_counts)
        _load(sql, ledger, version, state, bit, lists=lists)
        if vendor.import_readds_leavers and version:
            context.run_operation(vendor.list_members(checked.audience, readback.Pages(sql)))
            readback.withhold_leavers(sql)
        consent_rules.withhold_opted_out(context, checked.audience, sql)
        _write_existing(context, checked, sql, ledger, version)
        rows, cleaned = consent_rules.prove(context, checked, sql, cleaned)
        encoded = mapped_row_sql(vendor, checked, state.fields, rows)
        against_ledger = bool(version) and config.mode != "full"
        held_after_rejection = 0
        if against_ledger and ledger.of_export(config.export_name).get("mapping_fingerprint") == checked.fingerprint:
            held_after_rejection = plan.withhold_recently_rejected(sql, encoded, facts.started_at)
        if version and vendor.resubscribe_removed:
            plan.write_returning(
                sql, environment.run_folder.path / "returning.parquet", marks(ledger.path, ledger.names)
            )
        upserts = plan.upsert_sql(encoded, against_ledger=against_ledger)
        planned = plan.write_plan_rows(sql, upserts, vendor.limits, environment.run_folder.path, cleaned)
        proof_counts = consent_rules.record_proofs(context, checked, sql)
        leaver_count = removing.find(context, sql, version, bit, encoded if state.is_shared else None)
        _write_bars(context, sql, state, bit)
        measured = _measure(context, sql, checked.audience, ledger, planned, leavers=leaver_count, lists=lists)
        planned = removing.freeze(context, sql, planned, keep=guards.removal_guard(measured))
        samples = estimate.sample_rows(sql)
    _check_not_all_rejected(context, planned)
    facts = replace(
        facts,
        held_after_rejection=held_after_rejection,
        guards=tuple(measured),
        consent=consent_counts,
        suppression=tuple(tally.figures() for tally in lists),
        proof=proof_counts,
        estimate=estimate.estimate(vendor, checked.audience, planned, samples, environment.remaining_quota()),
    )
    _log_plan(planned, facts)
    return PlanDraft(planned, facts, guards.blocking_error(measured))


def _initial_facts(context: ExportContext, checked: Preflight, state: AudienceState, version: int) -> PlanFacts:
    """Return the plan's facts that are known before a row is read."""
    config = context.config
    return PlanFacts(
        vendor=context.vendor.name,
        audience=checked.audience,
        mode=config.mode,
        as_of=config.as_of,
        started_at=context.environment.clock(),
        ledger_version=version,
        export_name=config.export_name,
        files=tuple((config.segment_name or file.name, file.first_row) for file in checked.files.files),
        segment_part=config.segment_part,
        sharer_bit=state.sharer_bit(config.export_name),
        is_shared=state.is_shared,
        mapping_fingerprint=checked.fingerprint,
    )


def _load(  # noqa: PLR0913 - the ledger and the values that it is compared with
    sql: Engine, ledger: Ledger, version: int, state: AudienceState, bit: int, *, lists: Sequence[suppression.Tally]
) -> None:
    """Load the ledger, count its people who are on a suppression list, and withhold people barred by other exports."""
    if version:
        load_ledger.load(sql, ledger, version, bit.bit_length() - 1 if state.is_shared else None)
    else:
        load_ledger.load_nothing(sql)
    shares = state.shared or state.is_shared
    if lists and (shares or sql.single_row(f"select count(*) from {LEDGER_MEMBERS} where existed") != (0,)):
        suppression.match_members(sql)
    else:
        suppression.match_no_members(sql)
    if shares:
        consent.withhold_barred(sql, bit)


def _write_bars(context: ExportContext, sql: Engine, state: AudienceState, bit: int) -> None:
    """If other exports use the audience, or may do so, write which bars of this export change."""
    if state.shared or state.is_shared:
        removals.update_bars(sql, bit)
        removals.write_bars(sql, context.environment.run_folder.path / "bars.parquet")


def _write_existing(context: ExportContext, checked: Preflight, sql: Engine, ledger: Ledger, version: int) -> None:
    """Write which people of the segment were in the audience before an export added them.

    The audience is read until this export of this segment has finished once, unless the vendor reports that it is
    empty. Later it is read only if every run reads it anyway, because reading a million members takes a thousand calls.
    """
    config, reads_always = context.config, context.vendor.import_readds_leavers
    is_empty = checked.audience.member_count == 0 and not version
    is_first = config.segment_part not in ledger.of_export(config.export_name, version).get("profiles", {})
    if config.adopt_existing or is_empty or not (is_first or reads_always):
        return
    if not (reads_always and version):
        context.run_operation(context.vendor.list_members(checked.audience, readback.Pages(sql)))
    removals.find_existing(sql, reads_again=reads_always)
    removals.write_existing(sql, context.environment.run_folder.path / "existing.parquet")


def _measure(  # noqa: PLR0913 - guards measure each
    context: ExportContext,
    sql: Engine,
    audience: Audience,
    ledger: Ledger,
    planned: Plan,
    *,
    leavers: int,
    lists: Sequence[suppression.Tally],
) -> list[GuardResult]:
    """Measure the guards with the facts of the ledger version that was loaded (`ledger` is pinned)."""
    facts, version = ledger.facts(), ledger.version()
    exports = facts.get("exports", {})
    rows_before = exports.get(context.config.export_name, {}).get("profiles", {}).get(context.config.segment_part)
    new_people = planned.upsert_rows
    if version:
        new_people -= plan.count_known(sql, context.environment.run_folder)
    figures = guards.GuardInputs(
        rows=planned.profiles,
        rows_before=rows_before,
        is_first=rows_before is None,
        members=int(facts.get("members", 0)),
        leavers=leavers,
        new_people=new_people,
        contact_headroom=audience.contact_headroom,
        not_sent=planned.not_sent,
        lists=[(*tally.unclear, tally.message()) for tally in lists],
    )
    return guards.measure(figures, context.config.guard, context.config.guards)


def check_not_stale(context: ExportContext, ledger: Ledger, state: AudienceState) -> None:
    """Refuse a snapshot older than the newest one of the same export. The same snapshot may be exported again.

    Args:
        context: the export.
        ledger: the audience's ledger.
        state: the audience's state.

    Raises:
        StaleSnapshot: this export has sent, or begun to send, a newer snapshot.
    """
    export = context.config.export_name
    snapshots = [moment for moment in (ledger.of_export(export).get("as_of"), state.begun.get(export)) if moment]
    newest = max(map(datetime.fromisoformat, snapshots), default=None)
    if newest is None or datetime.fromisoformat(context.config.as_of) >= newest:
        return
    raise StaleSnapshot(
        f"This snapshot is as of {context.config.as_of}, but this export has already sent a snapshot as of "
        f"{newest.isoformat()}. Nothing was sent, because older values would overwrite newer ones. To fix: "
        "export a snapshot as of that time or later, or undo the newer export first.",
        fails=context.config.on_stale == "fail",
    )


def _check_not_all_rejected(context: ExportContext, planned: Plan) -> None:
    reasons = planned.not_sent.get("rejected", {})
    if not planned.profiles or sum(reasons.values()) != planned.profiles:
        return
    email = context.config.field_mapping["email"]
    if reasons.keys() & {Reason.NO_EMAIL, Reason.INVALID_EMAIL, Reason.NON_ASCII_EMAIL}:
        fix = f"check that column {email!r}, mapped to `email`, contains email addresses."
    else:
        mapped = {**context.config.field_mapping, **context.config.custom_fields}
        columns = list(dict.fromkeys(column for column in mapped.values() if column != email))
        fix = (
            f"check the values of the other mapped columns ({', '.join(map(repr, columns[:MAX_COLUMNS_NAMED]))}), or "
            "leave out the column that does not fit its field."
        )
    raise InvalidSegment(f"None of {counted(planned.profiles, 'profile')} can be sent: {dict(reasons)}. To fix: {fix}")


def _log_plan(planned: Plan, facts: PlanFacts) -> None:
    """Log the plan in one line, and each tripped guard."""
    calls, quota_left = facts.estimate.calls, facts.estimate.quota_left
    log.info(
        "Planning done (profiles=%d upserts=%d calls=%d unchanged=%d not_sent=%s leavers=%s estimated_minutes=%.1f)",
        planned.profiles,
        planned.upsert_rows,
        calls,
        planned.unchanged,
        dict(planned.not_sent),
        dict(planned.leaver_counts),
        facts.estimate.estimated_minutes,
    )
    if quota_left is not None and quota_left < calls:
        log.warning("Waiting for quota will be needed (calls=%d quota_left=%d)", calls, quota_left)
    for message in guards.tripped_messages(list(facts.guards)):
        log.warning("%s", message)
