"""Records the last attempts of an export to an audience, for display, also those that failed before there was a plan.

    <root>/attempts/<connection>/<hash of audience argument, DAG and task>.json

An attempt is a run of an export, with all of its tries. The file is replaced as a whole. If two runs write it at the
same moment, one of their attempts may be lost, and the pages then show Airflow's state of the task. The file holds no
row and no email address, and no decision depends on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import msgspec

from airflow_provider_segexport.json_values import parse_object
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.history import list_folders
from airflow_provider_segexport.storage.paths import StoragePath, modified_at, read, write

KEPT_ATTEMPTS = 30
"""Attempts in one file: a month of daily runs."""

END_OF_TIME_S = 253_402_300_800.0
"""The year 10000 in epoch seconds."""


class Status(StrEnum):
    """The state of an attempt."""

    RUNNING = "running"
    WAITING = "waiting"
    FINISHED = "finished"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of an export, with all of its tries.

    Attributes:
        run: `dag/task/run/map index`, or `hook/connection/number/0` outside a task.
        started_at: epoch seconds of the first try.
        try_started_at: epoch seconds of the last try.
        ended_at: epoch seconds; 0 while it runs.
        conn_id: the Airflow connection.
        audience: the `audience` argument, or the connection's default if there was none; empty until it is known.
        audience_name: the name that the vendor reports; empty until it is known.
        vendor: name in `VENDORS`; empty until the connection was read.
        ledger: folder names of the audience's ledger: vendor, account, audience; empty until the audience is known.
        dry_run: whether the run only plans.
        code: the error's code; empty without an error.
        error: the error's message; while a later try runs, the message of the try before.
    """

    run: str
    status: Status = Status.RUNNING
    started_at: float = 0.0
    try_started_at: float = 0.0
    ended_at: float = 0.0
    conn_id: str = ""
    audience: str = ""
    audience_name: str = ""
    vendor: str = ""
    ledger: tuple[str, ...] = ()
    dry_run: bool = False
    code: str = ""
    error: str = ""

    @property
    def at(self) -> float:
        """When the attempt ended, or its last try began, in epoch seconds."""
        return self.ended_at or self.try_started_at


def attempts_file(root: StoragePath, conn_id: str, audience: str, task: str) -> StoragePath:
    """Return the file of an export's attempts.

    Args:
        root: the state folder.
        conn_id: the Airflow connection.
        audience: the `audience` argument; empty for the connection's default.
        task: `dag/task`, or `hook/` and the connection outside a task.
    """
    name = hashlib.blake2b(json.dumps([audience, task]).encode(), digest_size=12).hexdigest()
    return root / "attempts" / safe_name(conn_id) / f"{name}.json"


def attempts(path: StoragePath) -> list[Attempt]:
    """Return the attempts in a file, oldest first; none if it does not exist, is damaged, or another version wrote it.

    An attempt with a time that no calendar has is damage too, because a page cannot show it.
    """
    try:
        return parse(read(path))
    except OSError:
        return []


def parse(content: bytes) -> list[Attempt]:
    """Return the attempts in a file's content, oldest first; none if it is damaged, or another version wrote it."""
    try:
        stored = msgspec.convert((parse_object(content) or {}).get("attempts"), list[Attempt])
    except msgspec.ValidationError:
        return []
    return [item for item in stored if all(0.0 <= at_s < END_OF_TIME_S for at_s in _times(item))]


def _times(attempt: Attempt) -> tuple[float, float, float]:
    return attempt.started_at, attempt.try_started_at, attempt.ended_at


def record(path: StoragePath, attempt: Attempt, earlier: Sequence[Attempt] | None = None) -> None:
    """Write an attempt as the newest of its file. It replaces the attempt of the same run.

    Args:
        path: the file.
        attempt: the attempt.
        earlier: the file's attempts if they were just read; None to read them.
    """
    others = [other for other in (attempts(path) if earlier is None else earlier) if other.run != attempt.run]
    write(path, json.dumps({"attempts": [asdict(item) for item in _newest([*others, attempt])]}).encode())


def _newest(items: list[Attempt]) -> list[Attempt]:
    """Return the newest attempts of a file, at most `KEPT_ATTEMPTS`.

    If one DAG run of a mapped task has many attempts, its finished ones are dropped first, so that they do not displace
    one that has failed.
    """
    dag_run = _dag_run(items[-1])
    for _ in range(len(items) - KEPT_ATTEMPTS):
        own = [item for item in items[:-1] if _dag_run(item) == dag_run]
        finished = [item for item in own if item.status is Status.FINISHED]
        items.remove(finished[0] if finished and len(own) > KEPT_ATTEMPTS // 2 else items[0])
    return items


def _dag_run(attempt: Attempt) -> str:
    """Return DAG, task and DAG run of an attempt."""
    return attempt.run.rpartition("/")[0]


def attempt_folders(root: StoragePath, conn_id: str = "") -> Iterator[StoragePath]:
    """Yield the folders with the attempts through each connection, or through one."""
    folder = root / "attempts"
    yield from (folder / connection for connection in ([safe_name(conn_id)] if conn_id else list_folders(folder)))


def attempt_files(root: StoragePath) -> Iterator[StoragePath]:
    """Yield the files of all exports' attempts."""
    for folder in attempt_folders(root):
        yield from (folder / name for name in list_folders(folder) if name.endswith(".json"))


def old_files(root: StoragePath, before: float) -> Iterator[StoragePath]:
    """Yield the files that no run has written since a time in epoch seconds."""
    return (path for path in attempt_files(root) if modified_at(path) < before)
