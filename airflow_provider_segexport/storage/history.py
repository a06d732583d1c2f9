"""Records an audience's runs for display: its newest state, and beside its ledger one file for each run.

    <root>/latest/<vendor>/<account>/<audience>.json                             the newest state, with recent runs
    <root>/ledgers/<vendor>/<account>/<audience>/history/<ms>-<run hash>.json    one run's summary

The newest states of an account's audiences lie in one folder, so that one listing shows which have changed.
Neither file holds a row or an email address. No decision depends on these files: the ledger is authoritative.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.json_values import array, mapping, text
from airflow_provider_segexport.storage import object_store
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.json_file import read_object
from airflow_provider_segexport.storage.paths import (
    PathResolver,
    StoragePath,
    as_local_path,
    ensure_folder,
    list_names,
    remove,
    uncached,
    write,
)
from airflow_provider_segexport.storage.side_by_side import side_by_side
from airflow_provider_segexport.storage.unread_folders import UnreadFolders, skipping

RECENT_RUNS = 30
"""Recent runs in the newest state."""

MAX_RUNS = 400
"""Runs whose files stay in `history`."""

HISTORY_NAME = re.compile(r"[0-9]{15}-[0-9a-f]{12}\.json", re.ASCII)
"""Name of a run's file in the history."""

RUN_FIELDS = (
    "ended_at",
    "run",
    "mode",
    "as_of",
    "finished",
    "error",
    "error_code",
    "counts",
    "removals",
    "seconds",
    "ledger_version",
)
"""The fields of a summary that the newest state holds for each recent run."""


def record_run(path: StoragePath, summary: Mapping[str, Any], *, members: int) -> None:
    """Record a run. A run that is recorded again, by a retry or after a deferral, replaces its earlier record.

    Args:
        path: the audience's ledger.
        summary: the run's summary.
        members: people in the ledger after the run.
    """
    history = ensure_folder(path / "history")
    run_hash = hash_of(str(summary["run_folder"]))
    content = json.dumps({**summary, "members": members}).encode()
    new = f"{int(summary['ended_at'] * 1000):015d}-{run_hash}.json"
    names, recent = side_by_side(path, partial(list_names, history), partial(recent_runs, path))
    write(history / new, content)
    earlier = {name for name in names if name.endswith(f"-{run_hash}.json")} | {*names[: max(0, len(names) - MAX_RUNS)]}
    remove(history, earlier - {new})
    before = [point for point in recent if point["run_folder"] != summary["run_folder"]]
    point = {name: summary.get(name) for name in RUN_FIELDS} | {"members": members, "run_folder": summary["run_folder"]}
    ensure_folder(latest_folder(path.parent))
    newest = {name: value for name, value in summary.items() if name not in {"warnings", "versions", "estimate"}}
    write(
        latest_file(path),
        json.dumps({**newest, "members": members, "runs": [*before, point][-RECENT_RUNS:]}).encode(),
    )


def hash_of(run_folder: str) -> str:
    """Return the hash of a run folder's path, which names the run's file in the history: 12 hexadecimal digits."""
    return hashlib.blake2b(run_folder.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def history_names(path: StoragePath) -> list[str]:
    """Return the names of an audience's recorded runs, oldest first: when the run ended, in ms, and the run's hash."""
    return [name for name in list_folders(path / "history") if HISTORY_NAME.fullmatch(name)]


def recorded_run(path: StoragePath, name: str) -> dict[str, Any] | None:
    """Return the summary of one recorded run; None if it cannot be read."""
    return read_object(path / "history" / name)


def recorded_runs(path: StoragePath) -> dict[str, dict[str, Any] | None]:
    """Return the summary of every recorded run by file name, oldest first; None for one that cannot be read."""
    names = history_names(path)
    return dict(zip(names, side_by_side(path, *(partial(recorded_run, path, name) for name in names)), strict=True))


def latest(path: StoragePath) -> dict[str, Any] | None:
    """Return the newest state of an audience; None without a run."""
    return newest_state(path, read_object(latest_file(path)))


def newest_state(path: StoragePath, state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the newest state of an audience; that of the history if its file cannot be read or is of another audience.

    Args:
        path: the audience's ledger.
        state: the content of `latest_file`; None if it is no JSON object.
    """
    if state is not None and _is_of(state, path) and isinstance(state.get("runs"), list):
        return state
    runs = run_history(path, RECENT_RUNS)
    return {**runs[-1], "runs": runs} if runs else None


def recent_runs(path: StoragePath) -> list[dict[str, Any]]:
    """Return the recent runs of an audience, oldest first, each with the texts `run`, `run_folder` and `as_of`."""
    texts = ("run", "run_folder", "as_of")
    runs = (mapping(run) for run in array((latest(path) or {}).get("runs")))
    points = ({**run, **{name: text(run.get(name)) for name in texts}} for run in runs)
    return [point for point in points if point["run_folder"]]


def latest_file(path: StoragePath) -> StoragePath:
    """Return the file with the newest state of an audience.

    Args:
        path: the audience's ledger.
    """
    account = path.parent
    return latest_folder(account) / f"{path.name}.json"


def latest_folder(account: StoragePath) -> StoragePath:
    """Return the folder with the newest states of an account's audiences.

    Args:
        account: the folder with the ledgers of the account's audiences.
    """
    vendor, root = account.parent, account.parent.parent.parent
    return root / "latest" / vendor.name / account.name


def run_history(path: StoragePath, max_runs: int = MAX_RUNS) -> list[dict[str, Any]]:
    """Return the summaries of an audience's last runs, oldest first."""
    history = path / "history"
    names = list_folders(history)[-max_runs:]
    summaries = side_by_side(history, *(partial(read_object, history / name) for name in names))
    return [summary for summary in summaries if summary is not None and _is_of(summary, path)]


def resolved(resolve: PathResolver, text: str) -> StoragePath | None:
    """Return the path that a stored text names; None if this machine has no store for it.

    Args:
        resolve: opens a path in the storage.
        text: the path or URL, as a run has recorded it.
    """
    try:
        return resolve(text)
    except (ImportError, InvalidArgument, OSError, TypeError, ValueError):
        return None


def ledger_paths(root: StoragePath, unread: UnreadFolders | None = None) -> Iterator[StoragePath]:
    """Yield the ledger paths of all audiences.

    Args:
        root: the state path.
        unread: gets the folders of vendors and accounts that cannot be read; None: the first one raises its error.
    """
    ledgers = root / "ledgers"
    for vendor in list_names(ledgers):  # a state path that is a file is an error, and no empty state
        accounts: list[str] = []
        with skipping(unread, ledgers / vendor):
            accounts = list_folders(ledgers / vendor)
        for account in accounts:
            paths: list[StoragePath] = []
            with skipping(unread, ledgers / vendor / account):
                paths = list_subfolders(ledgers / vendor / account)
            yield from paths


def list_folders(path: StoragePath) -> list[str]:
    """Return the names in a folder; none for a file, as file managers leave beside folders, or a link to itself."""
    try:
        return list_names(path)
    except OSError as error:
        if isinstance(error, NotADirectoryError) or error.errno == errno.ELOOP:
            return []
        raise


def list_subfolders(path: StoragePath) -> list[StoragePath]:
    """Return the folders in a folder, without files, as file managers leave beside folders."""
    local = as_local_path(path)
    if local is not None:
        return [path / name for name in list_folders(path) if (local / name).is_dir()]
    stored = object_store.store_of(uncached(path))
    if stored is None:
        return [path / name for name in list_folders(path)]
    with object_store.translate_storage_errors(path), suppress(FileNotFoundError, NotADirectoryError):
        return [path / name for name in sorted(object_store.folders_in(*stored))]
    return []


def _is_of(summary: Mapping[str, Any], path: StoragePath) -> bool:
    """Return whether a summary is of the audience with this ledger, and no copy from another one."""
    audience = text(summary.get("audience"))
    return not audience or safe_name(audience) == path.name
