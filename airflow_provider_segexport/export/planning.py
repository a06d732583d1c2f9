"""Decides what is to be done, and measures it against the guards: `order, ledger -> plan`. Nothing is sent here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import GuardTripped, InvalidSegment, NeedsMemory, StaleSnapshot
from airflow_provider_segexport.export import estimate, removing
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.guards import GuardResult
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.segment_files.memory import more_memory
from airflow_provider_segexport.stages import (
    clean,
    consent,
    encode,
    guards,
    load_ledger,
    plan,
    read,
    readback,
    removals,
    row_hash,
    suppression,
)
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import MEMORY, Engine, engine
from airflow_provider_segexport.storage.erased import marks
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.plan import BEHIND, CleanResult, Plan, RowSql
from airflow_provider_segexport.vendors.item_template import JsonTemplate

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """A plan whose rows are written, and that does not count before it is frozen.

    Attributes:
        facts: what `plan.json` keeps beside the counts.
        error: why nothing may be sent, by the guards.
    """

    plan: Plan
    facts: dict[str, Any]
    error: GuardTripped | None = None


def prepare(context: ExportContext, checked: Preflight, ledger: Ledger, state: AudienceState) -> PlanDraft:
    """Plan an export: who is sent, who is taken out, who stays as they are.

    If the files' pages need more memory than an engine usually has, the plan is made again with as much as they need.
    """
    try:
        return _prepare(context, checked, ledger, state, MEMORY)
    except NeedsMemory:
        memory = more_memory(checked.files)
        log.warning("planning again with more memory (limit=%s, usually=%s)", memory, MEMORY)
        return _prepare(context, checked, ledger, state, memory)


def _prepare(
    context: ExportContext, checked: Preflight, ledger: Ledger, state: AudienceState, memory: str
) -> PlanDraft:
    config, vendor, environment = context.config, context.vendor, context.environment
    started, version = environment.clock(), ledger.version()
    bit = state.sharer_bit(config.export_name)
    lists_of_files = [file for _, files in checked.suppression for file in files]
    with engine(memory) as sql, read.translate_read_errors(checked.files, lists_of_files):
        cleaned = clean.clean(sql, checked.files, checked.mapping)
        answers, lists = _withhold(context, checked, sql)
        cleaned = _warned(cleaned, context.config.consent.column or "", answers)
        _load(sql, ledger, version, state, bit, lists=lists)
        if vendor.import_readds_leavers and version:
            context.run_operation(vendor.list_members(checked.audience, readback.Pages(sql)))
            readback.withhold_leavers(sql)
        _note_existing(context, checked, sql, ledger, version)
        encoded = row_sql(vendor.item_template(checked.mapped, checked.audience))
        against = bool(version) and config.mode != "full"
        waiting = 0
        if against and ledger.of_export(config.export_name).get("mapping_fingerprint") == checked.fingerprint:
            waiting = plan.withhold_recently_rejected(sql, encoded, started)
        if version and vendor.resubscribe_removed:
            plan.write_returning(sql, environment.run_folder.path / "returning.parquet", marks(ledger.path))
        fields = {} if vendor.implicit_custom_fields else {one.label: one.holds for one in checked.mapping.columns}
        stale = state.stale(config.export_name, fields)
        again = [one.name for one in checked.mapping.columns if one.label in stale]
        upserts = plan.upsert_sql(encoded, against_ledger=against, again=again)
        planned = plan.write_plan_rows(sql, upserts, vendor.limits, environment.run_folder.path, cleaned)
        found = removing.find(context, sql, version, bit, encoded.hash if state.is_shared else None)
        _note_bars(context, sql, state, bit)
        measured = _measure(context, sql, checked.audience, planned, found, lists=lists, version=version)
        planned = removing.freeze(context, sql, checked.audience, planned, keep=guards.removal_guard(measured))
        samples = estimate.sample_rows(sql)
    _check_not_all_rejected(context, planned)
    facts = {
        **plan_facts(context, checked.audience, started, version),
        "files": [(config.segment_name or file.name, file.first_row) for file in checked.files.files],
        "mapping_fingerprint": checked.fingerprint,
        "fields": fields,
        **claim_of(config.export_name, bit, state),
        "segment_part": config.segment_part,
        "held_after_rejection": waiting,
        "guards": [asdict(one) for one in measured],
        "consent": answers,
        "suppression": [tally.figures() for tally in lists],
        "estimate": estimate.estimate(vendor, planned)
        | {"quota_left": environment.remaining_quota(), "samples": samples},
    }
    _log_plan(planned, facts, measured)
    return PlanDraft(planned, facts, guards.blocking_error(measured))


def _load(  # noqa: PLR0913 - the ledger, and what of it is looked at
    sql: Engine, ledger: Ledger, version: int, state: AudienceState, bit: int, *, lists: Sequence[suppression.Tally]
) -> None:
    """Load the ledger, set aside the people whom other exports have barred, and find the ledger's people in a list."""
    if version:
        load_ledger.load(sql, ledger, version, bit.bit_length() - 1 if state.is_shared else None)
    else:
        load_ledger.load_nothing(sql)
    shares = state.shared or state.is_shared
    if lists and (shares or sql.one("select count(*) from ledger_in where existed") != (0,)):
        suppression.match_members(sql)
    if shares:
        consent.withhold_barred(sql, bit)


def _note_bars(context: ExportContext, sql: Engine, state: AudienceState, bit: int) -> None:
    """Write which bars of this export change, where other exports use the audience or may do so."""
    if state.shared or state.is_shared:
        removals.bar(sql, bit)
        removals.write_bars(sql, context.environment.run_folder.path / "bars.parquet")


def _note_existing(context: ExportContext, checked: Preflight, sql: Engine, ledger: Ledger, version: int) -> None:
    """Write which people of the segment are in the audience, and not by an export.

    The audience is read before the first export that comes to its end, unless the vendor says that it is empty.
    Afterwards only where every run reads it anyway: a million members are a thousand calls, a day's new people a few.
    """
    untouched = checked.audience.member_count == 0 and not version
    first = not ledger.facts(version).get("as_of")
    if context.config.adopt_existing or untouched or not (first or context.vendor.import_readds_leavers):
        return
    if not (context.vendor.import_readds_leavers and version):
        context.run_operation(context.vendor.list_members(checked.audience, readback.Pages(sql)))
    removals.find_existing(sql)
    removals.write_existing(sql, context.environment.run_folder.path / "existing.parquet")


def row_sql(shape: JsonTemplate) -> RowSql:
    """What is sent of a row, and how it is told whether that has changed."""
    return RowSql(encode.expression(shape, BEHIND), row_hash.expression(shape))


def plan_facts(context: ExportContext, audience: Audience, started: float, version: int) -> dict[str, Any]:
    """What every plan keeps."""
    return {
        "vendor": context.vendor.name,
        "audience_facts": asdict(audience),
        "mode": context.config.mode,
        "as_of": context.config.as_of,
        "started_at": started,
        "ledger_version": version,
    }


def claim_of(export: str, bit: int, state: AudienceState) -> dict[str, Any]:
    """What a plan keeps of the export whose claims on people it changes."""
    return {"export_name": export, "sharer_bit": bit, "is_shared": state.is_shared}


def _withhold(
    context: ExportContext, checked: Preflight, sql: Engine
) -> tuple[Mapping[str, int], Sequence[suppression.Tally]]:
    """Set aside the people who must not be mailed; the answers of the consent column, and what each list came to."""
    answers: Mapping[str, int] = {}
    lists: Sequence[suppression.Tally] = ()
    if context.config.consent.column:
        answers = consent.withhold_without_consent(sql, checked.files, context.config.consent.column)
    if checked.suppression:
        lists = suppression.match(sql, suppression.read(sql, checked.suppression))
        consent.withhold_suppressed(sql)
        for tally in lists:
            log.info("Reading suppression list (%s)", ", ".join(f"{k}={v}" for k, v in tally.figures().items()))
    return answers, lists


def _warned(cleaned: CleanResult, column: str, answers: Mapping[str, int]) -> CleanResult:
    """What cleaning counted, and the consent values that are neither yes nor no."""
    unclear = answers.get("unclear")
    if not unclear:
        return cleaned
    counts = {**cleaned.warnings.get(column, {}), "consent_neither_yes_nor_no": unclear}
    return replace(cleaned, warnings={**cleaned.warnings, column: counts})


def _measure(  # noqa: PLR0913 - everything that guards look at
    context: ExportContext,
    sql: Engine,
    audience: Audience,
    planned: Plan,
    leaving_count: int,
    *,
    lists: Sequence[suppression.Tally],
    version: int,
) -> list[GuardResult]:
    """What the guards find; by the version that was loaded, though another run may have written one since."""
    ledger = context.ledger(audience)
    before = ledger.of_export(context.config.export_name).get("profiles", {}).get(context.config.segment_part)
    new = planned.upsert_rows
    if version:
        new -= plan.count_known(sql, context.environment.run_folder)
    figures = guards.GuardInputs(
        rows=planned.profiles,
        before=before,
        first=before is None,
        members=ledger.members(),
        leavers=leaving_count,
        new=new,
        contact_headroom=audience.contact_headroom,
        not_sent=planned.not_sent,
        lists=[(*tally.unclear, tally.words()) for tally in lists],
    )
    return guards.measure(figures, context.config.guard, context.config.guards)


def check_not_stale(context: ExportContext, ledger: Ledger, state: AudienceState) -> None:
    """Refuse a snapshot older than the newest one of the same export. The same one may be exported again.

    The snapshots of other exports of the audience play no part: each has a segment of its own.

    Raises:
        StaleSnapshot: the audience has been brought, or at least begun to be brought, to a newer state.
    """
    export = context.config.export_name
    known = [moment for moment in (ledger.of_export(export).get("as_of"), state.begun.get(export)) if moment]
    newest = max(map(datetime.fromisoformat, known), default=None)
    if newest is None or datetime.fromisoformat(context.config.as_of) >= newest:
        return
    raise StaleSnapshot(
        f"This snapshot is as of {context.config.as_of}, and the audience has been brought to {newest.isoformat()} by "
        "this export already: nothing is sent, for an older state would overwrite the newer one.",
        fails=context.config.on_stale == "fail",
    )


def _check_not_all_rejected(context: ExportContext, planned: Plan) -> None:
    rejected = sum(planned.not_sent.get("rejected", {}).values())
    if planned.profiles and rejected == planned.profiles:
        raise InvalidSegment(
            f"Not one of {counted(planned.profiles, 'profile')} can be sent: {dict(planned.not_sent['rejected'])}. "
            f"Is {context.config.field_mapping['email']!r} the column with the emails?"
        )


def _log_plan(planned: Plan, facts: dict[str, Any], measured: Sequence[GuardResult]) -> None:
    """The plan in a line, and what the guards have to say."""
    log.info(
        "Planned: %s, %d to send in %s, %d unchanged, set aside %s, leavers %s. At the quota: %.1f min.",
        counted(planned.profiles, "profile"),
        planned.upsert_rows,
        counted(len(planned.batches), "call"),
        planned.unchanged,
        dict(planned.not_sent) or "none",
        dict(planned.leaver_counts) or "none",
        facts["estimate"]["estimated_minutes"],
    )
    calls, left = facts["estimate"]["calls"], facts["estimate"]["quota_left"]
    if left is not None and left < calls:
        log.warning("The run needs %s, the account has %d left: the run waits for more.", counted(calls, "call"), left)
    for words in guards.tripped_messages(list(measured)):
        log.warning("%s", words)
