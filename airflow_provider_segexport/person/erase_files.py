"""Erases one person from ledgers and run folders: `files -> the same files without them`."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator

from airflow_provider_segexport.errors import DamagedState, SegexportError
from airflow_provider_segexport.json_values import text
from airflow_provider_segexport.person import files, unfinished_runs
from airflow_provider_segexport.person.person import Person
from airflow_provider_segexport.person.receipt import RESTORE, Finding, Receipt, unreadable
from airflow_provider_segexport.person.vendor_removal import REMOVED
from airflow_provider_segexport.storage.durable import SET_ASIDE
from airflow_provider_segexport.storage.errors import reason_text
from airflow_provider_segexport.storage.history import ledger_paths, recent_runs, recorded_runs, resolved
from airflow_provider_segexport.storage.paths import (
    STALE_TEMP_FILE_S,
    PathResolver,
    StoragePath,
    as_local_path,
    exists,
    list_names,
    modified_at,
)
from airflow_provider_segexport.storage.retention import is_same, may_resume, task_folder_of
from airflow_provider_segexport.storage.run_folder import EXPERIMENT_NOTES, RunFolder

OnError = Callable[[StoragePath, OSError], None]

AWAITED_RUN = "keep the folder, which the audience's next run reads; let this run or the next one finish"
PLANNING_RUN = "let it finish, because it is making its plan, and may have read the person in its segment"
NOT_HERE = (
    "run reports name this folder, which is not on this machine. Another worker may have it, with the person in it. To "
    "fix: erase again on a machine with this folder. If it was deleted, create it without content, and erase again."
)
UNKNOWN_RUN = (
    "a run that writes an audience, and whose run folder no record names yet, because its `reports_path` is elsewhere. "
    "It may have read the person in its segment. To fix: let it finish, then erase again."
)
RESUMABLE_RUN = "let it finish, or delete the folder; a later try of the run then makes a new plan"


def erase_from_runs(  # noqa: PLR0913 - what an erasure consists of
    root: StoragePath,
    resolve: PathResolver,
    person: Person,
    receipt: Receipt,
    now: float,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Erase the person from every run folder: below the state root, and where a task's `reports_path` put others.

    Args:
        root: state root.
        resolve: turns a run folder's path into a storage path.
        person: to erase.
        receipt: gets what was found, and what is left.
        now: epoch seconds.
        check: raises if another erasure runs now.
    """

    def leave(path: StoragePath, error: OSError) -> None:
        receipt.left.append(unreadable(path, reason_text(error)))

    recorded, awaited = _recorded_folders(root, leave, receipt)
    runs = {str(run.path): run for run in files.run_folders(root / "runs", leave, loose=True)}
    for run in _runs_elsewhere(root, resolve, recorded, runs, receipt):
        runs[str(run.path)] = run
    writers = unfinished_runs.holders(root, now)
    for run in runs.values():
        check()
        try:
            if unfinished_runs.is_making_plan(run, writers):
                receipt.left.append(_unfinished(run, PLANNING_RUN))  # its tables may not be written yet
            else:
                _erase_from_run(root, run, person, receipt, awaited)
            remove_leftovers(run.path, receipt, now)
        except OSError as error:
            leave(run.path, error)
    unknown = writers.difference(map(unfinished_runs.name_of, runs.values()))
    receipt.left += [f"{writer}: {UNKNOWN_RUN}" for writer in sorted(unknown)]


def _runs_elsewhere(
    root: StoragePath, resolve: PathResolver, recorded: Iterable[str], own_paths: Container[str], receipt: Receipt
) -> list[RunFolder]:
    """Return the run folders of the tasks whose runs are not below the state root.

    Args:
        root: state root.
        resolve: turns a run folder's path into a storage path.
        recorded: paths of run folders, as the audiences' records name them.
        own_paths: paths of run folders that were found below the state root.
        receipt: gets the folders that cannot be read or are not on this machine.
    """
    homes: dict[str, tuple[StoragePath, Callable[[StoragePath], Iterator[RunFolder]]]] = {}
    for name in recorded:
        folder = resolved(resolve, name) if "\0" not in name else None
        if folder is None:
            receipt.left.append(f"{name!r}: this machine has no store for this run folder. {RESTORE}")
        elif str(folder) not in own_paths:
            is_numbered = folder.name.isdecimal() and files.MAP_INDEX.fullmatch(folder.parent.name)
            home = task_folder_of(folder) if is_numbered else folder
            homes[str(home)] = home, files.runs_of_task if is_numbered else files.run_at
    runs: list[RunFolder] = []
    for home, read_runs in homes.values():
        try:
            runs += read_runs(home)
            if not _is_here(home, root):
                receipt.left.append(f"{home}: {NOT_HERE}")
        except OSError as error:
            receipt.left.append(unreadable(home, reason_text(error)))
    return runs


def _is_here(home: StoragePath, root: StoragePath) -> bool:
    """Return whether a task's folder is on this machine, also if the state path has another name here than in records.

    `prune` leaves the task's folder. If it is not on this machine, another worker may have it.

    Args:
        home: folder of a task, as records name it.
        root: state root.
    """
    local = as_local_path(home)
    if local is None or local.exists():
        return True
    dag, runs = home.parent, home.parent.parent
    return runs == root / "runs" or (runs.name == "runs" and exists(root / "runs" / dag.name / home.name))


def _recorded_folders(root: StoragePath, on_error: OnError, receipt: Receipt) -> tuple[list[str], set[str]]:
    """Return the run folders that the audiences' histories and states name, and those that the next runs read.

    Args:
        root: state root.
        on_error: called for a history that cannot be read.
        receipt: gets the records that are damaged, because each may name a run folder.
    """
    recorded: dict[str, None] = {}
    awaited: set[str] = set()
    for path in ledger_paths(root):
        try:
            runs = recent_runs(path)
            for name, run in recorded_runs(path).items():
                if run is None:
                    receipt.left.append(f"{path / 'history' / name}: the record of a run cannot be read. {RESTORE}")
                else:
                    runs.append(run)
            recorded |= dict.fromkeys(folder for run in runs if (folder := text(run.get("run_folder"))))
            awaited.update(unfinished_runs.unfinished_folders(path))
        except OSError as error:
            on_error(path, error)
    return [*recorded, *sorted(awaited - recorded.keys())], awaited


def _erase_from_run(root: StoragePath, run: RunFolder, person: Person, receipt: Receipt, awaited: set[str]) -> None:
    """Erase the person from the tables of a run. A run that may continue keeps its tables, and is reported.

    So does a run that a repair has set aside, whose experiment the audience's next run undoes by the planned rows.
    """
    has_experiment = exists(run.path / EXPERIMENT_NOTES)
    is_awaited = has_experiment or any(is_same(run.path, name) for name in awaited)
    is_over = unfinished_runs.is_over(run) and not has_experiment
    if is_over or not (is_awaited or _may_resume(root, run)):
        for table in files.tables(run.path):
            clean(table, person, "run folder", receipt)
        return
    _leave_if_found(run, person, receipt, AWAITED_RUN if is_awaited else RESUMABLE_RUN)


def _unfinished(run: RunFolder, advice: str) -> str:
    return f"{run.path}: a run that is not finished. To fix: {advice}, then erase again."


def _leave_if_found(run: RunFolder, person: Person, receipt: Receipt, advice: str) -> None:
    """Report a run that is not finished, if it contains the person or has a table that cannot be read."""
    try:
        if unfinished_runs.has_person(run, person):
            receipt.left.append(_unfinished(run, advice))
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")


def _may_resume(root: StoragePath, run: RunFolder) -> bool:
    """Return whether the next attempt may resume the run's plan, or that cannot be found out."""
    try:
        return may_resume(root, run)
    except SegexportError:
        return True


def clean(path: StoragePath, person: Person, kind: str, receipt: Receipt) -> None:
    """Remove the person from a file. A file that cannot be read stays unchanged, and is reported.

    Args:
        path: a table with the column `email`, or another file.
        person: to erase.
        kind: of the finding: `ledger` or `run folder`.
        receipt: gets the finding; of a dry run, only the rows are counted.
    """
    target = _link_target(path)
    try:
        rows = files.count(path, person) if receipt.dry_run or target else files.clean(path, person)
    except DamagedState as damaged:
        receipt.left.append(f"{damaged.file}: {damaged.why}. {RESTORE}")
        return
    if rows and target:
        receipt.left.append(
            f"{path}: a link to {target}, which contains the person and may be used by others. To fix: move that file "
            "to the place of the link, then erase again."
        )
    elif rows:
        receipt.findings.append(Finding(kind, str(path), rows, "found" if receipt.dry_run else REMOVED))


def _link_target(path: StoragePath) -> str:
    """Return the file that a link leads to; empty if the path is no link. A rewritten link would leave that file."""
    local = as_local_path(path)
    return os.path.realpath(local) if local is not None and local.is_symlink() else ""


def clean_set_aside(ledger: StoragePath, person: Person, receipt: Receipt) -> None:
    """Remove the person from the versions of a ledger that a repair has kept as damaged, or report them.

    Args:
        ledger: folder of the ledger.
        person: to erase.
        receipt: gets the findings, and the files that cannot be read.
    """
    try:
        for name in list_names(ledger):
            if name.startswith(SET_ASIDE) and files.TABLE.fullmatch(name):
                clean(ledger / name, person, "ledger", receipt)
    except OSError as error:
        receipt.left.append(unreadable(ledger, reason_text(error)))


def remove_leftovers(folder: StoragePath, receipt: Receipt, now: float) -> None:
    """Delete the files that killed processes have left in a folder; report those that a process may still use.

    Args:
        folder: a run folder or a ledger.
        receipt: gets what is left; of a dry run, nothing is deleted.
        now: epoch seconds.
    """
    try:
        for file in files.leftovers(folder):
            if receipt.dry_run or not now - modified_at(file) > STALE_TEMP_FILE_S:
                receipt.left.append(
                    f"{file}: a process is writing it, or a killed process has left it in the last six hours. It may "
                    "contain the person. To fix: erase again when it is gone or older, or delete it."
                )
            else:
                file.unlink(missing_ok=True)
    except OSError as error:
        receipt.left.append(unreadable(folder, reason_text(error)))
