"""Finds what a superseded run has sent since it was superseded: `its journal, as it was read -> rows in doubt`.

A run that was suspended and goes on finds out before its next call leaves. The calls that were on their way by then may
land later, and their answers go into its journal after a newer run has read that. So the audience's state names every
superseded run that has not confirmed its stop, and each newer run reads its journal again. Rows that it may have
touched count as there with unknown content: they are sent again, or taken out again.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

from airflow_provider_segexport.export.config import ExportContext
from airflow_provider_segexport.stages import update_ledger
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.journal import State
from airflow_provider_segexport.storage.lease_files import has_stopped
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import LedgerCommit
from airflow_provider_segexport.storage.paths import StoragePath, read, write
from airflow_provider_segexport.storage.run_folder import RunFolder

log = logging.getLogger(__name__)

OLD_S = 24 * 3600.0
"""Seconds after which a superseded run that has confirmed nothing is looked at no more: the vendor has closed its
connections long before."""

SURE = frozenset({State.SETTLED, State.SPLIT})


def settle(context: ExportContext, ledger: Ledger, state: AudienceState, recovered: str = "") -> AudienceState:
    """Bring into the ledger what superseded runs may have sent since their journals were read.

    Args:
        context: the run that comes after them.
        ledger: of the audience.
        state: names them.
        recovered: run folder that is not looked at, because it is recovered whole.

    Returns:
        The standing with the doubts that are left.
    """
    kept = []
    for doubt in state.doubts:
        if doubt.folder == recovered:
            kept.append(doubt)
            continue
        stopped = has_stopped(ledger.path / "lease", doubt.mark)  # asked first: nothing is written after that
        _settle(context, ledger, RunFolder(context.environment.resolve(doubt.folder)))
        if not stopped and context.environment.clock() - doubt.at < OLD_S:
            kept.append(doubt)
    if tuple(kept) == state.doubts:
        return state
    settled = replace(state, doubts=tuple(kept))
    settled.write(ledger.path, ledger.fence)
    return settled


def note(folder: RunFolder, *, all_of_it: bool) -> None:
    """Remember the journal of a superseded run as it was read.

    Args:
        folder: the superseded run's.
        all_of_it: also batches without a verdict, which counted as sent; False leaves them to be looked at again.
    """
    seen = {
        part.kind: {
            name: [entry.state, entry.written_at]
            for name, entry in part.journal.states().items()
            if all_of_it or entry.state in SURE
        }
        for part in (folder, folder.removals)
    }
    write(_seen(folder), json.dumps(seen).encode())


def _settle(context: ExportContext, ledger: Ledger, folder: RunFolder) -> None:
    """Bring into the ledger the batches that have changed since the journal was read."""
    frozen = folder.plan()
    if frozen is None:
        return
    planned, facts = frozen
    seen: dict[str, dict[str, Any]] = json.loads(read(_seen(folder))) if _seen(folder).exists() else {}
    late = [
        {
            name
            for name, entry in part.journal.states().items()
            if seen.get(part.kind, {}).get(name) != [entry.state, entry.written_at]
        }
        for part in (folder, folder.removals)
    ]
    if not any(late):
        return
    # No run's name: the superseded run's next try must not take this version for its own, and go on with its old plan.
    commit = LedgerCommit.of_plan(facts, "", context.environment.clock())
    names = update_ledger.PlanBatches(
        planned.batches, planned.removal_batches, late=(frozenset(late[0]), frozenset(late[1]))
    )
    with engine() as sql:
        version = update_ledger.update_ledger(sql, ledger, folder, names, commit)
    log.warning(
        "Rows that a superseded run may have touched are in doubt (folder=%s batches=%d version=%d).",
        folder.path,
        sum(map(len, late)),
        version,
    )
    note(folder, all_of_it=True)


def _seen(folder: RunFolder) -> StoragePath:
    return folder.path / "seen.json"
