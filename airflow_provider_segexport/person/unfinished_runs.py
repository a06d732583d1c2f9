"""Marks an erased person in runs that may continue, so that their results for the person do not count.

<run folder>/erased/<sha256>      see `storage/erased.py`
"""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress

from airflow_provider_segexport.errors import DamagedState, RetryableError
from airflow_provider_segexport.person import files
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.storage import erased
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.history import ledger_paths, resolved
from airflow_provider_segexport.storage.lease_files import holder
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath
from airflow_provider_segexport.storage.run_folder import RunFolder

OWNER_SLASHES = 3
"""Slashes at least in the name of a task instance that holds a lease. Erasures, repairs and releases have fewer."""


def unfinished_folders(path: StoragePath) -> list[str]:
    """Return the run folders of an audience that its history does not name yet, because their runs have not ended.

    Args:
        path: folder of the audience's ledger.
    """
    try:
        state = AudienceState.read(path)
    except (DamagedState, RetryableError):  # the erasure from the audience reports it
        return []
    return [*filter(None, [state.open_run_folder]), *(doubt.folder for doubt in state.doubts)]


def is_over(run: RunFolder) -> bool:
    """Return whether the run sends nothing more: it has finished, or has no frozen plan."""
    try:
        return run.finished() or not run.has_plan()
    except DamagedState:  # only its report
        return not run.has_plan()


def holders(root: StoragePath, now: float) -> set[str]:
    """Return the task instances that hold an audience now, as the last parts of their folders' paths.

    Audiences that cannot be read are left out, because the erasure reports them.

    Args:
        root: state root.
        now: epoch seconds.
    """
    folders = set()
    for path in ledger_paths(root):
        with suppress(OSError):
            holding = holder(path, now)
            if holding is not None and holding.owner.count("/") >= OWNER_SLASHES:
                folders.add(_folder_of(holding.owner))
    return folders


def _folder_of(owner: str) -> str:
    """Return `<DAG>/<task>/<DAG run>/<map index>` as folders name it. The id of a DAG run may contain slashes."""
    dag_id, _, rest = owner.partition("/")
    task_id, _, rest = rest.partition("/")
    run_id, _, index = rest.rpartition("/")
    return "/".join(map(safe_name, (dag_id, task_id, run_id, index)))


def name_of(run: RunFolder) -> str:
    """Return the task instance of a run, as `holders` names it."""
    return "/".join(str(run.path).split("/")[-5:-1])


def is_making_plan(run: RunFolder, writers: Container[str]) -> bool:
    """Return whether a task instance may be writing the plan of this run now.

    Args:
        run: the run.
        writers: the result of `holders`.
    """
    if name_of(run) not in writers or run.has_plan():
        return False
    try:
        return not run.finished()
    except DamagedState:
        return True


def has_person(run: RunFolder, person: Person) -> bool:
    """Return whether a table of the run contains the person.

    Raises:
        DamagedState: a table is damaged.
    """
    return any(files.count(table, person) for table in files.tables(run.path))


def mark(path: StoragePath, person: Person, resolve: PathResolver) -> None:
    """Mark the person in the unfinished runs of an audience, which may continue as soon as its lease is released.

    Args:
        path: folder of the audience's ledger.
        person: the person to erase.
        resolve: turns a run folder's path into a storage path.
    """
    for folder in filter(None, (resolved(resolve, name) for name in unfinished_folders(path))):
        run = RunFolder(folder)
        with suppress(DamagedState, OSError):  # the erasure from the run folders reports it
            if not is_over(run) and has_person(run, person):
                erased.note(run.path, person.mark)
