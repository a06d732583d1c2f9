"""Finds the rows that a superseded run may have sent after it was superseded: `its journal, twice -> rows in doubt`.

A suspended run that resumes notices before its next call that it was superseded. Calls that were already on their way
may arrive later, and their responses enter its journal after a newer run has read it. So the audience state names every
superseded run that has not confirmed its stop, and each newer run reads that run's journal again. Rows that it may have
changed count as members with unknown content, so they are sent or removed again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.json_values import mapping
from airflow_provider_segexport.stages import update_ledger
from airflow_provider_segexport.stages.update_ledger import PlanBatches
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.lease_files import has_stopped
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.paths import StoragePath, list_names
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_json, write_json

log = logging.getLogger(__name__)

MAX_DOUBT_S = 24 * 3600.0
"""Seconds after which the journal of a superseded run is not read again, although the run has not confirmed its stop:
the vendor has closed its connections long before."""

FINAL_STATES = frozenset({State.SETTLED, State.SPLIT})


def settle(context: ExportContext, ledger: Ledger, state: AudienceState, recovered: str = "") -> AudienceState:
    """Write into the ledger what superseded runs may have sent since their journals were read.

    Args:
        context: the run that comes after them.
        ledger: of the audience.
        state: of the audience; names the superseded runs.
        recovered: run folder to skip, because the run in it is recovered as a whole.

    Returns:
        The audience state with the doubts that remain.
    """
    remaining = []
    for doubt in state.doubts:
        if doubt.folder == recovered:
            remaining.append(doubt)
            continue
        stopped = has_stopped(
            ledger.path / "lease", doubt.writer_token
        )  # read first, because the run writes nothing after it
        folder = RunFolder(context.environment.resolve(doubt.folder))
        _settle(context, ledger, folder)
        if not stopped and context.environment.clock() - doubt.superseded_at < MAX_DOUBT_S:
            remaining.append(doubt)
        elif is_finished(folder):
            _drop_bodies(folder)
    if tuple(remaining) == state.doubts:
        return state
    settled = replace(state, doubts=tuple(remaining))
    settled.write(ledger.path, ledger.fence)
    return settled


def drop_rows(state: AudienceState, folder: RunFolder) -> None:
    """Remove the planned rows of a run that has finished and is in the ledger.

    If an earlier process of the run has not confirmed its stop, the rows stay until it has, because the next run may
    need them. Its journal is noted as it is now, so that only what the process writes later counts as in doubt.

    Args:
        state: of the audience, as the run has written it.
        folder: of the run.
    """
    if any(doubt.folder == str(folder.path) for doubt in state.doubts):
        note(folder, all_of_it=True)
    else:
        _drop_bodies(folder)


def is_finished(folder: RunFolder) -> bool:
    """Return whether the run's report says that it has finished."""
    return bool((folder.summary() or {}).get("finished"))


def check_not_gone(folder: RunFolder) -> None:
    """Check that the folder of a run that may have sent something still exists.

    Raises:
        DamagedState: nothing is in it, so what the run has sent is unknown.
    """
    if not list_names(folder.path):
        raise DamagedState(str(folder.path), "it is gone, and with it the record of what its run has sent")


def _drop_bodies(folder: RunFolder) -> None:
    """Remove the files that hold every profile. If the store refuses, the ended run does not fail."""
    try:
        folder.drop_bodies()
    except OSError as error:
        log.warning("Removing planned rows failed (folder=%s error=%s)", folder.path, type(error).__name__)


def note(folder: RunFolder, *, all_of_it: bool) -> None:
    """Store the states of a superseded run's journal as they were read.

    Args:
        folder: the superseded run's folder.
        all_of_it: also store batches without a result, which counted as sent; False reads them again later.
    """
    seen = {
        str(part.kind): {
            name: [entry.state, entry.written_at]
            for name, entry in part.journal.states().items()
            if all_of_it or entry.state in FINAL_STATES
        }
        for part in (folder, folder.removals)
    }
    write_json(_seen(folder), seen)


def _settle(context: ExportContext, ledger: Ledger, folder: RunFolder) -> None:
    """Write the batches into the ledger whose journal state has changed since the journal was read."""
    frozen = folder.plan()
    if frozen is None:
        check_not_gone(folder)
        return
    planned, facts = frozen
    seen = _seen_states(folder)
    late = [
        {
            name
            for name, entry in part.journal.states().items()
            if mapping(seen.get(part.kind)).get(name) != [entry.state, entry.written_at]
        }
        for part in (folder, folder.removals)
    ]
    if not any(late):
        return
    names = PlanBatches(planned.batches, planned.removal_batches, late=(frozenset(late[0]), frozenset(late[1])))
    version = _write(ledger, folder, names, facts, context.environment.clock())
    log.warning(
        "Writing rows that a superseded run may have sent into the ledger (folder=%s batches=%d version=%d)",
        folder.path,
        sum(map(len, late)),
        version,
    )
    note(folder, all_of_it=True)


def count_as_sent(ledger: Ledger, folder: RunFolder, now: float) -> bool:
    """Write all rows of a run whose journal is lost into the ledger, as possible members with unknown content.

    Args:
        ledger: of the audience.
        folder: the run folder.
        now: epoch seconds.

    Returns:
        False if the plan or its rows cannot be read, either.
    """
    try:
        frozen = rows_of(folder)
    except DamagedState:
        return False
    if frozen is not None:
        planned, facts = frozen
        late = (frozenset(planned.batches), frozenset(planned.removal_batches))
        names = PlanBatches(planned.batches, planned.removal_batches, late=late)
        _write(ledger, RunFolder(folder.path, lenient=True), names, facts, now)
    return True


def rows_of(folder: RunFolder) -> tuple[Plan, PlanFacts] | None:
    """Return the plan of a run whose journal may be lost, after checking its rows; None if there is no plan.

    Raises:
        DamagedState: the plan or its rows cannot be read.
    """
    frozen = folder.plan(check_journals=False)
    folder.verify(results=False)
    return frozen


def _write(ledger: Ledger, folder: RunFolder, names: PlanBatches, facts: PlanFacts, now: float) -> int:
    """Write late rows into the ledger.

    The version is attributed to no run, because the superseded run's next try must not resume its old plan as if the
    version were its own.
    """
    with engine() as sql:
        return update_ledger.update_ledger(sql, ledger, folder, names, LedgerCommit.of_plan(facts, "", now))


def _seen_states(folder: RunFolder) -> Mapping[str, Any]:
    """Return what `note` has stored; nothing if it cannot be read, because then every batch is read again."""
    try:
        return read_json(_seen(folder), bare=True)
    except FileNotFoundError:
        return {}
    except DamagedState as damaged:
        log.warning("Reading the whole journal of a superseded run again (file=%s why=%s)", damaged.file, damaged.why)
        return {}


def _seen(folder: RunFolder) -> StoragePath:
    return folder.path / "seen.json"
