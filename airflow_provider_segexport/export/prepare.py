"""Decides what is to be done, and measures it against the guards: `order, ledger -> plan`. Nothing is sent here."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import BadSegment, GuardTripped, NeedsMemory, OlderThanLedger
from airflow_provider_segexport.export import foresight, leaving
from airflow_provider_segexport.export.checked import Checked
from airflow_provider_segexport.export.order import Job
from airflow_provider_segexport.guards import Measured
from airflow_provider_segexport.model import Target
from airflow_provider_segexport.ports.engine import MEMORY, Engine, engine
from airflow_provider_segexport.ports.erased import marks
from airflow_provider_segexport.ports.ledger import Ledger
from airflow_provider_segexport.ports.memory import more_memory
from airflow_provider_segexport.ports.standing import Standing
from airflow_provider_segexport.segment import BEHIND, Cleaned, Encoded, Planned
from airflow_provider_segexport.shape import Object
from airflow_provider_segexport.stages import (
    clean,
    consent,
    content,
    encode,
    guard,
    known,
    leavers,
    plan,
    read,
    readback,
    suppression,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan whose rows are written, and that does not count before it is frozen.

    Attributes:
        facts: what `plan.json` keeps beside the counts.
        error: why nothing may be sent, by the guards.
    """

    planned: Planned
    facts: dict[str, Any]
    error: GuardTripped | None = None


def prepare(job: Job, checked: Checked, ledger: Ledger, standing: Standing) -> Prepared:
    """Plan an export: who is sent, who is taken out, who stays as they are.

    If the files' pages need more memory than an engine usually has, the plan is made again with as much as they need.
    """
    try:
        return _prepare(job, checked, ledger, standing, MEMORY)
    except NeedsMemory:
        memory = more_memory(checked.files)
        log.warning("planning again with more memory (limit=%s, usually=%s)", memory, MEMORY)
        return _prepare(job, checked, ledger, standing, memory)


def _prepare(job: Job, checked: Checked, ledger: Ledger, standing: Standing, memory: str) -> Prepared:
    order, vendor, world = job.order, job.vendor, job.world
    started, version = world.clock(), ledger.version()
    bit = standing.bit(order.export)
    lists_of_files = [file for _, files in checked.suppression for file in files]
    with engine(memory) as sql, read.readable(checked.files, lists_of_files):
        cleaned = clean.clean(sql, checked.files, checked.matching)
        answers, lists = _withhold(job, checked, sql)
        cleaned = _warned(cleaned, job.order.consent.column or "", answers)
        _load(sql, ledger, version, standing, bit, lists=lists)
        if vendor.readds_leavers and version:
            job.drive(vendor.members(checked.target, readback.Pages(sql)))
            readback.withhold_leavers(sql)
        _note_existing(job, checked, sql, ledger, version)
        encoded = encoded_as(vendor.item(checked.matched, checked.target))
        against = bool(version) and order.mode != "full"
        waiting = 0
        if against and ledger.of_export(order.export).get("fingerprint") == checked.fingerprint:
            waiting = plan.withhold_waiting(sql, encoded, started)
        if version and vendor.revive:
            plan.freeze_returners(sql, world.folder.place / "returners.parquet", marks(ledger.place))
        fields = {} if vendor.free_fields else {one.label: one.holds for one in checked.matching.carried}
        stale = standing.stale(order.export, fields)
        again = [one.name for one in checked.matching.carried if one.label in stale]
        upserts = plan.upserts(encoded, against_ledger=against, again=again)
        planned = plan.freeze(sql, upserts, vendor.limits, world.folder.place, cleaned)
        found = leaving.find(job, sql, version, bit, encoded.hash if standing.joint else None)
        _note_bars(job, sql, standing, bit)
        measured = _measure(job, sql, checked.target, planned, found, lists=lists, version=version)
        planned = leaving.freeze(job, sql, checked.target, planned, keep=guard.keeps(measured))
        samples = foresight.samples(sql)
    _worth_sending(job, planned)
    facts = {
        **facts_of(job, checked.target, started, version),
        "files": [(order.segment_name or file.name, file.first_row) for file in checked.files.files],
        "fingerprint": checked.fingerprint,
        "fields": fields,
        **claim_of(order.export, bit, standing),
        "part": order.part,
        "waiting": waiting,
        "guards": [asdict(one) for one in measured],
        "consent": answers,
        "suppression": [tally.figures() for tally in lists],
        "plan": foresight.effort(vendor, planned) | {"quota_left": world.quota_left(), "samples": samples},
    }
    _tell(planned, facts, measured)
    return Prepared(planned, facts, guard.error(measured))


def _load(  # noqa: PLR0913 - the ledger, and what of it is looked at
    sql: Engine, ledger: Ledger, version: int, standing: Standing, bit: int, *, lists: Sequence[suppression.Tally]
) -> None:
    """Load the ledger, set aside the people whom other exports have barred, and find the ledger's people in a list."""
    if version:
        known.load(sql, ledger, version, bit.bit_length() - 1 if standing.joint else None)
    else:
        known.load_nothing(sql)
    shares = standing.shared or standing.joint
    if lists and (shares or sql.one("select count(*) from ledger_in where existed") != (0,)):
        suppression.match_members(sql)
    if shares:
        consent.withhold_barred(sql, bit)


def _note_bars(job: Job, sql: Engine, standing: Standing, bit: int) -> None:
    """Write which bars of this export change, where other exports use the audience or may do so."""
    if standing.shared or standing.joint:
        leavers.bar(sql, bit)
        leavers.freeze_bars(sql, job.world.folder.place / "bars.parquet")


def _note_existing(job: Job, checked: Checked, sql: Engine, ledger: Ledger, version: int) -> None:
    """Write which people of the segment are in the audience, and not by an export.

    The audience is read before the first export that comes to its end, unless the vendor says that it is empty.
    Afterwards only where every run reads it anyway: a million members are a thousand calls, a day's new people a few.
    """
    untouched = checked.target.members == 0 and not version
    first = not ledger.facts(version).get("as_of")
    if job.order.adopt_existing or untouched or not (first or job.vendor.readds_leavers):
        return
    if not (job.vendor.readds_leavers and version):
        job.drive(job.vendor.members(checked.target, readback.Pages(sql)))
    leavers.note_existing(sql)
    leavers.freeze_existing(sql, job.world.folder.place / "existing.parquet")


def encoded_as(shape: Object) -> Encoded:
    """What is sent of a row, and how it is told whether that has changed."""
    return Encoded(encode.expression(shape, BEHIND), content.expression(shape))


def facts_of(job: Job, target: Target, started: float, version: int) -> dict[str, Any]:
    """What every plan keeps."""
    return {
        "vendor": job.vendor.name,
        "target": asdict(target),
        "mode": job.order.mode,
        "as_of": job.order.as_of,
        "started_at": started,
        "ledger_version": version,
    }


def claim_of(export: str, bit: int, standing: Standing) -> dict[str, Any]:
    """What a plan keeps of the export whose claims on people it changes."""
    return {"export": export, "bit": bit, "joint": standing.joint}


def _withhold(job: Job, checked: Checked, sql: Engine) -> tuple[Mapping[str, int], Sequence[suppression.Tally]]:
    """Set aside the people who must not be mailed; the answers of the consent column, and what each list came to."""
    answers: Mapping[str, int] = {}
    lists: Sequence[suppression.Tally] = ()
    if job.order.consent.column:
        answers = consent.withhold_without_consent(sql, checked.files, job.order.consent.column)
    if checked.suppression:
        lists = suppression.match(sql, suppression.read(sql, checked.suppression))
        consent.withhold_suppressed(sql)
        for tally in lists:
            log.info("Reading suppression list (%s)", ", ".join(f"{k}={v}" for k, v in tally.figures().items()))
    return answers, lists


def _warned(cleaned: Cleaned, column: str, answers: Mapping[str, int]) -> Cleaned:
    """What cleaning counted, and the consent values that are neither yes nor no."""
    unclear = answers.get("unclear")
    if not unclear:
        return cleaned
    counts = {**cleaned.warnings.get(column, {}), "consent_neither_yes_nor_no": unclear}
    return replace(cleaned, warnings={**cleaned.warnings, column: counts})


def _measure(  # noqa: PLR0913 - everything that guards look at
    job: Job,
    sql: Engine,
    target: Target,
    planned: Planned,
    leaving_count: int,
    *,
    lists: Sequence[suppression.Tally],
    version: int,
) -> list[Measured]:
    """What the guards find; by the version that was loaded, though another run may have written one since."""
    ledger = job.ledger(target)
    before = ledger.of_export(job.order.export).get("profiles", {}).get(job.order.part)
    new = planned.upserts
    if version:
        new -= plan.in_ledger(sql, job.world.folder)
    figures = guard.Figures(
        rows=planned.profiles,
        before=before,
        first=before is None,
        members=ledger.members(),
        leavers=leaving_count,
        new=new,
        headroom=target.headroom,
        aside=planned.aside,
        lists=[(*tally.unclear, tally.words()) for tally in lists],
    )
    return guard.measure(figures, job.order.guard, job.order.guards)


def in_order(job: Job, ledger: Ledger, standing: Standing) -> None:
    """Refuse a snapshot older than the newest one of the same export. The same one may be exported again.

    The snapshots of other exports of the audience play no part: each has a segment of its own.

    Raises:
        OlderThanLedger: the audience has been brought, or at least begun to be brought, to a newer state.
    """
    export = job.order.export
    known = [moment for moment in (ledger.of_export(export).get("as_of"), standing.begun.get(export)) if moment]
    newest = max(map(datetime.fromisoformat, known), default=None)
    if newest is None or datetime.fromisoformat(job.order.as_of) >= newest:
        return
    raise OlderThanLedger(
        f"This snapshot is as of {job.order.as_of}, and the audience has been brought to {newest.isoformat()} by this "
        "export already: nothing is sent, for an older state would overwrite the newer one.",
        fails=job.order.older == "fail",
    )


def _worth_sending(job: Job, planned: Planned) -> None:
    rejected = sum(planned.aside.get("rejected", {}).values())
    if planned.profiles and rejected == planned.profiles:
        raise BadSegment(
            f"Not one of {counted(planned.profiles, 'profile')} can be sent: {dict(planned.aside['rejected'])}. "
            f"Is {job.order.matching['email']!r} the column with the emails?"
        )


def _tell(planned: Planned, facts: dict[str, Any], measured: Sequence[Measured]) -> None:
    """The plan in a line, and what the guards have to say."""
    log.info(
        "Planned: %s, %d to send in %s, %d unchanged, set aside %s, leavers %s. At the quota: %.1f min.",
        counted(planned.profiles, "profile"),
        planned.upserts,
        counted(len(planned.batches), "call"),
        planned.unchanged,
        dict(planned.aside) or "none",
        dict(planned.leavers) or "none",
        facts["plan"]["minutes"],
    )
    calls, left = facts["plan"]["calls"], facts["plan"]["quota_left"]
    if left is not None and left < calls:
        log.warning("The run needs %s, the account has %d left: the run waits for more.", counted(calls, "call"), left)
    for words in guard.tripped_words(list(measured)):
        log.warning("%s", words)
