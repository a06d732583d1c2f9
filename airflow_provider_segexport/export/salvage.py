"""Keeps what can be read of an unfinished run's damaged journals: `damaged journals -> journals`.

Without the ids of its jobs, the next run could not wait for them, and a job that ends later would overwrite newer
values or add people again. The next run recovers a salvaged run like any other. By then the ledger holds all people of
the plan as possible members with unknown content, so a lost line never makes a person count as never sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export.doubts import rows_of
from airflow_provider_segexport.storage.journal import Entry, State
from airflow_provider_segexport.storage.journal_rewrite import rewrite
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.storage.plan import Plan, PlanFacts
from airflow_provider_segexport.storage.results import leaf_batches
from airflow_provider_segexport.storage.run_folder import ATTRIBUTED, RunFolder
from airflow_provider_segexport.storage.sealing import verify


def salvage(folder: RunFolder) -> bool:
    """Replace the journals of a run by the entries that can be read.

    Args:
        folder: the run folder. Its rows count as possibly sent in the ledger already.

    Returns:
        False if the plan or its rows cannot be read, so that the run cannot be recovered.
    """
    try:
        frozen = rows_of(folder)
    except DamagedState:
        return False
    if frozen is None:
        return False
    readable = RunFolder(folder.path, lenient=True)
    _salvage_upserts(readable, *frozen)
    if frozen[0].removal_batches:
        rewrite(readable.removals.path, _with_results(readable.removals).values())
    return True


def _salvage_upserts(folder: RunFolder, planned: Plan, facts: PlanFacts) -> None:
    """Write the journal of the upserts. A batch without an entry counts as a call without a response.

    Its time is that of the plan, so that a vendor that lists its jobs is asked for all jobs since then. A removal
    without an entry gets none, because a person who has left on their own would count as removed by this run.
    """
    states = _with_results(folder)
    with closing(folder.upserts()) as rows:
        for number, name in enumerate(planned.batches):
            for batch, entry in leaf_batches(folder.batch(rows, number, name), states):
                if entry is None:
                    states[batch.id] = Entry(batch.id, State.SENDING, len(batch), written_at=facts.started_at)
    rewrite(folder.path, states.values())


def _with_results(folder: RunFolder) -> dict[str, Entry]:
    """Return the entries that can be read, except those of batches whose results of single rows cannot be read."""
    damaged = {file.name.removesuffix(".parquet").removesuffix(ATTRIBUTED) for file in _damaged_results(folder)}
    return {name: entry for name, entry in folder.journal.states().items() if name not in damaged}


def _damaged_results(folder: RunFolder) -> Iterator[StoragePath]:
    for file in folder.result_files():
        try:
            verify(file)
        except DamagedState:
            yield file
