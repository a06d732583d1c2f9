"""Finds out facts about an account that its vendor does not document: `account record, planned person -> fact`.

A probe (`airflow segexport probe`) writes facts to the same record. A fact travels in `Audience.extra`. It is frozen
with the plan before the first upsert, so that all tries of a run, and a run that recovers it, read the vendor's results
in the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import DamagedState, FatalError
from airflow_provider_segexport.export import audience as audiences
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.model import Audience, Batch
from airflow_provider_segexport.stages import record
from airflow_provider_segexport.storage.account_record import AccountRecord, LearntFact, account_of
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.paths import exists
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import EXPERIMENT_NOTES, RunFolder
from airflow_provider_segexport.storage.sealing import read_as, write_json
from airflow_provider_segexport.storage.side_by_side import side_by_side
from airflow_provider_segexport.vendors.base import Vendor
from airflow_provider_segexport.vendors.experiment import TEMPORARY_PREFIX, UNKNOWN, Experiment, Notes

log = logging.getLogger(__name__)

NOTES = EXPERIMENT_NOTES

UNKNOWN_S = 24 * 3600.0
"""Seconds after which an experiment without a clear answer is repeated."""

MAX_PEOPLE = 3
"""Maximum people that a run tries an experiment on, if the vendor rejects them."""

SETTLE_S = 600.0
"""Seconds from an experiment's first call until all of its calls have ended: two batches of one person, each of at most
five minutes."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The content of `NOTES`: the vendor's notes, and when the experiment began (epoch seconds)."""

    notes: Notes
    began_at: float


def resolve_audience(context: ExportContext) -> Audience:
    """Return account and audience as the vendor describes them, with the facts about the account."""
    return with_account_facts(context, audiences.resolve(context))


def with_account_facts(context: ExportContext, audience: Audience) -> Audience:
    """Return the audience with the facts that experiments and probes have found out about its account."""
    account = account_of(audience)
    if not account:
        return audience
    now = context.environment.clock()
    root, known_facts = context.environment.state_root, list(_facts_of_exports(context.vendor))
    of = partial(AccountRecord.of, root, context.vendor.name, account)
    facts = side_by_side(root, *(partial(of(api_version).fact, name) for api_version, name, _ in known_facts))
    for fact, (_, name, values) in zip(facts, known_facts, strict=True):
        if fact is not None and _is_valid(fact, values, now):
            audience = _with_fact(audience, name, fact)
    return audience


def _is_valid(fact: LearntFact, values: frozenset[str], now: float) -> bool:
    """Return whether a fact is still valid. A fact without a clear answer is valid for `UNKNOWN_S`."""
    return fact.value in values or (fact.value == UNKNOWN and 0 <= now - fact.learnt_at < UNKNOWN_S)


def _facts_of_exports(vendor: Vendor) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield API version, name and values of each fact that changes how exports behave."""
    experiment, probe = vendor.experiment, vendor.probe
    if experiment is not None:
        yield experiment.api_version, experiment.fact, experiment.values
    if probe is not None:
        for name, values in probe.facts().items():
            if experiment is None or name != experiment.fact:
                yield probe.api_version, name, values


def adapted(context: ExportContext, audience: Audience) -> ExportContext:
    """Return the context with the vendor adapted to the facts about the account.

    Raises:
        FatalError: the facts about the account do not allow exports.
    """
    check_exported(context, audience)
    change = context.vendor.with_facts
    return context if change is None else replace(context, vendor=change(context.vendor, audience))


def check_exported(context: ExportContext, audience: Audience) -> None:
    """Check that the facts about the account allow exports.

    Raises:
        FatalError: they do not; the message says why.
    """
    vendor, config = context.vendor, context.config
    checks = [vendor.why_not_exported]
    if config.mode == "mirror" or config.undo is not None:
        checks.append(vendor.why_not_removed)
    if config.consent.proof is not None and vendor.consent_proof is not None:
        checks.append(vendor.consent_proof.why_not)
    for why_not in checks:
        if why_not is not None and (reason := why_not(audience)):
            raise FatalError(f"{reason} Nothing is sent.")


def account_facts(context: ExportContext, audience: Audience) -> dict[str, Any]:
    """Return the facts about the account for the report: `value` and `learnt_at` (epoch seconds) by fact."""
    extra, names = audience.extra, [name for _, name, _ in _facts_of_exports(context.vendor)]
    return {
        name: {"value": extra[name], "learnt_at": int(extra[f"{name}_at"])}
        for name in names
        if name in extra and f"{name}_at" in extra
    }


def learn(context: ExportContext, planned: Plan, facts: PlanFacts, recorder: record.BatchRecorder) -> PlanFacts:
    """Carry out the vendor's experiment if the account's record lacks its fact; freeze the fact with the plan.

    Args:
        context: the run, which holds the audience.
        planned: the frozen plan.
        facts: the facts that `plan.json` keeps beside the plan.
        recorder: writes the batch of the chosen person to the journal before the first call.

    Returns:
        The facts, with an audience that has the fact.
    """
    audience = facts.audience
    undo_unfinished(context, audience)
    experiment, folder = context.vendor.experiment, context.environment.run_folder
    if experiment is None or experiment.fact in audience.extra or not planned.batches:
        return facts
    learnt = with_account_facts(context, audience)  # another run may have found it out since this plan was made
    if experiment.fact not in learnt.extra:
        parts = record.remaining(folder, planned.batches)
        batch = next((part for part in parts if isinstance(part, Batch)), None)
        if batch is None:
            return facts
        value = _carry_out(context, experiment, audience, batch, recorder)
        fact = LearntFact(value or UNKNOWN, context.environment.clock())
        if value is not None:
            _record(context, audience, experiment).record(experiment.fact, fact)
        log.info("Finding out how the account behaves (vendor=%s fact=%s value=%s)", *_named(context), fact.value)
        learnt = _with_fact(audience, experiment.fact, fact)
    facts = replace(facts, audience=learnt)
    context.fence.check()
    folder.write_plan(planned, facts)
    return facts


def undo_unfinished(context: ExportContext, audience: Audience) -> None:
    """Undo an experiment of the run folder that an earlier process has begun and not undone.

    Raises:
        DamagedState: its notes have changed since they were written, or they are not of this run.
    """
    experiment, notes = context.vendor.experiment, context.environment.run_folder.path / NOTES
    if experiment is None or not exists(notes):
        return
    unfinished = read_notes(context.environment.run_folder)
    seconds = unfinished.began_at + SETTLE_S - context.environment.clock()
    if seconds > 0:
        log.info("Waiting for the calls of an unfinished experiment (seconds=%.0f)", seconds)
        context.environment.sleep(min(seconds, SETTLE_S))
    context.run_operation(experiment.undo(audience, unfinished.notes))
    notes.unlink(missing_ok=True)


def undo_set_aside(context: ExportContext, audience: Audience, ledger: Ledger, state: AudienceState) -> AudienceState:
    """Undo the experiments of runs that a repair has set aside, because no try of those runs does.

    Args:
        context: the next run.
        audience: the audience of both runs.
        ledger: the audience's ledger.
        state: the audience's state, which names the run folders.

    Returns:
        The state without these run folders.
    """
    if not state.experiments:
        return state
    for name in state.experiments:
        folder = RunFolder(context.environment.resolve(name))
        try:
            undo_unfinished(replace(context, environment=replace(context.environment, run_folder=folder)), audience)
        except DamagedState as damaged:  # calls by such notes could change another person's contact
            log.warning("Undoing an experiment failed (file=%s why=%s)", damaged.file, damaged.why)
    settled = replace(state, experiments=())
    settled.write(ledger.path, ledger.fence)
    return settled


def read_notes(folder: RunFolder) -> Unfinished:
    """Return the notes of the experiment in a run folder.

    Raises:
        DamagedState: they have changed since they were written, or they are about a person who is not in the run's
            plan or about names that no experiment adds. Calls by such notes would change another person's contact.
    """
    path = folder.path / NOTES
    unfinished = read_as(path, Unfinished)
    if not all(name.startswith(TEMPORARY_PREFIX) for name in unfinished.notes.temporary):
        raise DamagedState(str(path), "it names tags that no experiment adds")
    if not _is_planned(folder, unfinished.notes.email):
        raise DamagedState(str(path), "it is about a person who is not in the run's plan")
    return unfinished


def _is_planned(folder: RunFolder, email: str) -> bool:
    if not exists(folder.rows):
        return False
    import pyarrow.compute as pc  # noqa: PLC0415 - other runs do not need it

    with closing(folder.upserts(["email"])) as rows:
        return any(pc.any(pc.equal(rows.batch(at).column("email"), email)).as_py() for at in range(len(rows)))


def _carry_out(
    context: ExportContext, experiment: Experiment, audience: Audience, batch: Batch, recorder: record.BatchRecorder
) -> str | None:
    """Carry out the experiment, undo it, and return the value; None if no person of the batch is suitable."""
    folder, tried = context.environment.run_folder, frozenset[int]()
    for _ in range(MAX_PEOPLE):
        notes = context.run_operation(experiment.choose(audience, batch, tried))
        if notes is None:
            return None
        context.fence.check()
        write_json(folder.path / NOTES, asdict(Unfinished(notes, context.environment.clock())))
        recorder.record_sending([batch])
        folder.journal.sync()
        value = context.run_operation(experiment.run(audience, batch, notes))
        context.run_operation(experiment.undo(audience, notes))
        (folder.path / NOTES).unlink(missing_ok=True)
        if value is not None:
            return value
        tried |= {notes.index}
    return None


def _record(context: ExportContext, audience: Audience, experiment: Experiment) -> AccountRecord:
    root = context.environment.state_root
    return AccountRecord.of(root, context.vendor.name, account_of(audience), experiment.api_version)


def _with_fact(audience: Audience, name: str, fact: LearntFact) -> Audience:
    return replace(audience, extra={**audience.extra, name: fact.value, f"{name}_at": str(int(fact.learnt_at))})


def _named(context: ExportContext) -> tuple[str, str]:
    experiment = context.vendor.experiment
    return context.vendor.name, experiment.fact if experiment else ""
