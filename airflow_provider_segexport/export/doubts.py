"""Finds the rows that a superseded run may have sent after a newer run has read its journal: `journals -> late rows`.

A suspended run that resumes detects before its next call that it was superseded. Calls that it has already sent may
arrive later, and it may write their responses to its journal after a newer run has read the journal. So the audience's
state names every superseded run that has not confirmed its stop, and each newer run reads that run's journal again. The
people of batches that have changed in it count as members with unknown content, so they are sent or removed again.
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
        context: the newer run.
        ledger: the audience's ledger.
        state: the audience's state, which names the superseded runs.
        recovered: run folder to skip, because its run is recovered as a whole.

    Returns:
        The audience's state with the superseded runs that have not confirmed their stop.
    """
    remaining = []
    for doubt in state.doubts:
        if doubt.folder == recovered:
            remaining.append(doubt)
            continue
        # Before the journal is read, because the run writes nothing after it has confirmed its stop.
        stopped = has_stopped(ledger.path / "lease", doubt.writer_token)
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
    need them. The present states of the journal are stored, so that only later changes of the process are in doubt.

    Args:
        state: the audience's state, as the run has written it.
        folder: the run folder.
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
    """Remove the files with planned rows and results. If that fails, the ended run does not fail."""
    try:
        folder.drop_bodies()
    except OSError as error:
        log.warning("Removing planned rows failed (folder=%s error=%s)", folder.path, type(error).__name__)


def note(folder: RunFolder, *, all_of_it: bool) -> None:
    """Store the present states of a superseded run's journal, so that later changes can be recognised.

    Args:
        folder: the superseded run's folder.
        all_of_it: also store batches without a result, which have counted as sent. If False, they are in doubt later.
    """
    states = {
        str(part.kind): {
            name: [entry.state, entry.written_at]
            for name, entry in part.journal.states().items()
            if all_of_it or entry.state in FINAL_STATES
        }
        for part in (folder, folder.removals)
    }
    write_json(_noted_file(folder), states)


def _settle(context: ExportContext, ledger: Ledger, folder: RunFolder) -> None:
    """Write the batches whose journal state has changed since the journal was read into the ledger."""
    frozen = folder.plan()
    if frozen is None:
        check_not_gone(folder)
        return
    planned, facts = frozen
    noted_states = _noted_states(folder)
    late = [
        {
            name
            for name, entry in part.journal.states().items()
            if mapping(noted_states.get(part.kind)).get(name) != [entry.state, entry.written_at]
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
        False if the plan or its rows cannot be read.
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
    """Write late rows into the ledger, and return the number of the version.

    The version names no run. Otherwise the superseded run's next try would take the version for its own, and resume its
    old plan.
    """
    with engine() as sql:
        return update_ledger.update_ledger(sql, ledger, folder, names, LedgerCommit.of_plan(facts, "", now))


def _noted_states(folder: RunFolder) -> Mapping[str, Any]:
    """Return the states that `note` has stored; nothing if the file cannot be read, so that every batch is in doubt."""
    try:
        return read_json(_noted_file(folder), bare=True)
    except FileNotFoundError:
        return {}
    except DamagedState as damaged:
        log.warning("Reading the whole journal of a superseded run again (file=%s why=%s)", damaged.file, damaged.why)
        return {}


def _noted_file(folder: RunFolder) -> StoragePath:
    return folder.path / "seen.json"
