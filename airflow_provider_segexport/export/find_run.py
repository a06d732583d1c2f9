"""Finds one run: `id, task instance or path -> run folder`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import DamagedState, InvalidArgument
from airflow_provider_segexport.export.runs import READER_THREADS, id_of, names_of
from airflow_provider_segexport.json_values import text
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.folder_names import task_folder
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, list_names
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.unread_folders import UnreadFolders

MIN_ID_CHARS = 4
ID = re.compile(rf"[0-9a-f]{{{MIN_ID_CHARS},12}}", re.ASCII)
"""The short form of a run: the beginning of its hash in the history."""

RUN_FILES = frozenset({"config.json", "plan.json", "summary.json"})
"""Files of which each run folder has at least one."""

MAX_CANDIDATES = 10
"""Maximum runs that an error lists."""

TASK_PARTS = 4
"""Minimum parts of a run's name: DAG, task, run and map index. A run id may contain slashes."""


@dataclass(frozen=True, slots=True)
class LocatedRun:
    """A run that was found.

    Attributes:
        folder: its run folder.
        recorded: its report as the audience's history has it; None if the run was found by its path.
    """

    folder: StoragePath
    recorded: Mapping[str, Any] | None = None


def find(root: StoragePath, name: str, resolve: PathResolver) -> LocatedRun:
    """Return the run that a text names.

    Args:
        root: state root.
        name: an id of the list of runs or its beginning, `dag/task/run/map index`, or a path: absolute, or relative to
            the current folder or to `<root>/runs`. A path may also be that of a task instance, which means its newest
            run folder, or of a file in the run folder.
        resolve: turns a path into a storage path.

    Raises:
        InvalidArgument: no run has this name, or several have it.
    """
    if ID.fullmatch(name):
        return _by_id(root, name, resolve)
    if "/" not in name:
        raise InvalidArgument(
            f"{name!r} is no run. To fix: give the id of a run, {MIN_ID_CHARS} to 12 hexadecimal digits as `airflow "
            "segexport runs` shows it, or the path of its run folder."
        )
    if ".." in name.split("/") or not name.isprintable():
        raise InvalidArgument(
            f"{name!r} is no path of a run folder. To fix: give the path without `..` and control characters."
        )
    for path in _paths(root, name, resolve):
        folder = _run_folder(path)
        if folder is not None:
            return LocatedRun(folder)
    raise InvalidArgument(
        f"{name!r} is no run folder. To fix: give the path of a folder with a plan or a report, as `airflow segexport "
        "show` prints it, or the id of a run. `airflow segexport prune` may have removed it."
    )


def _paths(root: StoragePath, name: str, resolve: PathResolver) -> Iterator[StoragePath]:
    """Yield the paths that a text may name."""
    try:
        yield resolve(name)
    except (ValueError, ImportError, OSError) as error:
        scheme = name.partition("://")[0]
        raise InvalidArgument(
            f"{name!r} cannot be opened ({type(error).__name__}). To fix: install the Airflow provider of {scheme}://, "
            "or give the path of a folder."
        ) from None
    if "://" not in name and not name.startswith("/"):
        yield root / "runs" / name.strip("/")
        parts = name.split("/")
        if len(parts) >= TASK_PARTS:
            yield task_folder(root / "runs", (parts[0], parts[1], "/".join(parts[2:-1]), parts[-1]))


def _run_folder(path: StoragePath) -> StoragePath | None:
    """Return the run folder at a path: the folder, that of a file in it, or the newest one of a task instance."""
    if path.name in RUN_FILES:
        path = path.parent
    try:
        if RUN_FILES & set(list_names(path)):
            return path
        newest = RunFolder.latest(path)
        return newest.path if newest is not None and RUN_FILES & set(list_names(newest.path)) else None
    except (OSError, ValueError):  # a file, a folder without permission, a name that the system refuses
        return None


def _by_id(root: StoragePath, prefix: str, resolve: PathResolver) -> LocatedRun:
    """Return the run whose hash begins with a text."""
    matches: dict[str, tuple[StoragePath, str]] = {}
    unread = UnreadFolders()
    with ThreadPoolExecutor(READER_THREADS) as readers:
        for ledger, names, state in readers.map(partial(names_of, unread=unread), history.ledger_paths(root, unread)):
            matches |= {id_of(name): (ledger, name) for name in names if id_of(name).startswith(prefix)}
            open_id = history.hash_of(state.open_run_folder) if state.open_run_folder else ""
            if open_id.startswith(prefix):
                matches.setdefault(open_id, (ledger, ""))
    if not matches:
        raise InvalidArgument(
            f"No run has the id {prefix!r}. To fix: give an id that `airflow segexport runs` shows, or the path of the "
            f"run folder. {unread.message('Their runs were not searched.')}".rstrip()
        )
    if len(matches) > 1:
        raise InvalidArgument(
            f"{prefix!r} begins the ids of several runs. To fix: give more digits of one id. {_listed(matches)}"
        )
    [(ledger, name)] = matches.values()
    if not name:
        return LocatedRun(resolve(AudienceState.read(ledger).open_run_folder))
    report = history.recorded_run(ledger, name)
    if report is None or not text(report.get("run_folder")):
        raise DamagedState(str(ledger / "history" / name), "it is not the JSON that was written")
    return LocatedRun(_moved(root, resolve(text(report["run_folder"]))), report)


def _moved(root: StoragePath, folder: StoragePath) -> StoragePath:
    """Return a recorded run folder, or its path below this state root if the state path was moved."""
    if _run_folder(folder) is None:
        path, parts = root / "runs", str(folder).split("/")[-5:]
        for part in parts:
            path /= part
        return path if ".." not in parts and _run_folder(path) is not None else folder
    return folder


def _listed(matches: Mapping[str, tuple[StoragePath, str]]) -> str:
    """Return the ids of several runs with their names."""
    lines = [f"{run_id}: {_name(*matches[run_id])}" for run_id in sorted(matches)[:MAX_CANDIDATES]]
    more = f"; and {len(matches) - MAX_CANDIDATES} more" if len(matches) > MAX_CANDIDATES else ""
    return "; ".join(lines) + more


def _name(ledger: StoragePath, name: str) -> str:
    report = history.recorded_run(ledger, name) if name else None
    return text(report.get("run")) if report is not None else "a run that has not ended"
