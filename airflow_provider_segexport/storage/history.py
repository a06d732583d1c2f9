"""What stands beside an audience's ledger for people to look at: its newest state, and one record of every run.

    <root>/ledgers/<vendor>/<account>/<audience>/latest.json                  the newest state, with a short history
    <root>/ledgers/<vendor>/<account>/<audience>/history/<ms>-<mark>.json   one run each, as its summary tells it

No row and no address of a person is in either. What is told here decides nothing: the ledger does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_segexport.storage.paths import StoragePath, folder, list_names, read, write

RECENT_RUNS = 30
"""Runs that the card tells of by itself."""

MAX_RUNS = 400
"""Runs whose records stay."""

RUN_FIELDS = (
    "ended_at",
    "run",
    "mode",
    "as_of",
    "finished",
    "error",
    "counts",
    "removals",
    "seconds",
    "ledger_version",
)
"""What of a run the card keeps."""


def record_run(path: StoragePath, summary: Mapping[str, Any], *, members: int) -> None:
    """Write a run down beside the ledger at `path`; `members` are the people the ledger holds after it.

    A run that is told again (a retry, a resumed one) replaces what it told before.
    """
    history = folder(path / "history")
    mark = hashlib.blake2b(str(summary["run_folder"]).encode(), digest_size=6).hexdigest()
    content = json.dumps({**summary, "members": members}).encode()
    here, new = list_names(history), f"{int(summary['ended_at'] * 1000):015d}-{mark}.json"
    write(history / new, content)
    for old in [name for name in here if name.endswith(f"-{mark}.json")] + here[: max(0, len(here) - MAX_RUNS)]:
        if old != new:
            (history / old).unlink(missing_ok=True)
    before = [point for point in (latest(path) or {}).get("runs", []) if point["run_folder"] != summary["run_folder"]]
    point = {name: summary.get(name) for name in RUN_FIELDS} | {"members": members, "run_folder": summary["run_folder"]}
    newest = {name: value for name, value in summary.items() if name not in {"warnings", "versions", "estimate"}}
    write(
        path / "latest.json",
        json.dumps({**newest, "members": members, "runs": [*before, point][-RECENT_RUNS:]}).encode(),
    )


def latest(path: StoragePath) -> dict[str, Any] | None:
    """The newest state of an audience; None where nothing ran yet."""
    return _json(path / "latest.json")


def run_history(path: StoragePath, most: int = MAX_RUNS) -> list[dict[str, Any]]:
    """The records of an audience's runs, oldest first."""
    history = path / "history"
    found = (_json(history / name) for name in list_names(history)[-most:])
    return [one for one in found if one is not None]


def ledger_paths(root: StoragePath) -> Iterator[StoragePath]:
    """The places of all audiences that have a ledger, or at least a card."""
    ledgers = root / "ledgers"
    for vendor in folders(ledgers):
        for account in folders(ledgers / vendor):
            for audience in folders(ledgers / vendor / account):
                yield ledgers / vendor / account / audience


def folders(path: StoragePath) -> list[str]:
    """The names in a folder; a file that somebody's file manager has left beside the folders holds none."""
    try:
        return list_names(path)
    except NotADirectoryError:
        return []


def _json(path: StoragePath) -> dict[str, Any] | None:
    """The file's object; one that is half written or gone meanwhile is as good as none."""
    try:
        found: dict[str, Any] = json.loads(read(path))
    except (OSError, ValueError):
        return None
    return found
