"""Assigns attempts to audiences: `state root, audiences -> audiences with their attempts, and those never filled`.

An attempt belongs to the audience that it has found at the vendor. If it did not get that far, it belongs to the
audience of the attempts before it, or to the one that its connection and its argument name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from airflow_provider_segexport.plugins.audiences import (
    READER_THREADS,
    Attempt,
    AudienceKey,
    AudienceOverview,
    MaySee,
    RunIdentity,
)
from airflow_provider_segexport.plugins.unread import Unread, left_out
from airflow_provider_segexport.storage import attempts as storage
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.folder_reader import FOLDER_READER
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.registry import VENDORS

KEY_PARTS = 3
"""Vendor, account and audience."""

DAY_S = 86_400.0
NEVER_FILLED_S = 31 * DAY_S
"""Seconds since the last attempt for which an audience that no run has filled is listed: a monthly export is."""

REFUSED = frozenset({"connection-not-allowed", "audience-owned-by-other"})
"""Codes of attempts by a task that may not write the audience; they say nothing about the exports that do."""

NO_AUDIENCE = frozenset({"audience-not-found", "invalid-argument"})
"""Codes of attempts that named no audience. Once the task exports to another one, its argument was corrected."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts that a user may see.

    Attributes:
        by_audience: attempts of each audience with a ledger, oldest first.
        never_filled: audiences that no run has filled, and whose last attempt failed.
        targets: by DAG and task, the audiences that it has exported to or tried to.
    """

    by_audience: Mapping[AudienceKey, tuple[Attempt, ...]]
    never_filled: tuple[AudienceOverview, ...] = ()
    targets: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def read(
    root: StoragePath,
    overviews: Iterable[AudienceOverview],
    may_see: MaySee,
    now: float,
    unread: Unread | None = None,
) -> Attempts:
    """Read every attempt, and assign it to an audience.

    Args:
        root: state root.
        overviews: the audiences with a ledger that the user may see.
        may_see: whether the user may see a run.
        now: epoch seconds.
        unread: gets the folders that cannot be read; None to raise the error of the first one.
    """
    overviews = list(overviews)
    files = _stored(root, unread)
    by_name = _by_name(overviews)
    tasks_of = {overview.key: {_task(point.identity) for point in overview.points} for overview in overviews}
    targets: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, tasks in tasks_of.items():
        for task in tasks:
            targets[task].add(str(key))
    by_audience: dict[AudienceKey, list[Attempt]] = defaultdict(list)
    without: dict[tuple[str, str, str], list[Attempt]] = defaultdict(list)
    for attempt in _assigned(files, by_name, tasks_of):
        targets[_task(attempt.identity)].add(str(attempt.key or (attempt.conn_id, attempt.audience)))
        if may_see(attempt.identity):
            if attempt.key in tasks_of:
                by_audience[attempt.key].append(attempt)
            elif attempt.key is None:
                without[attempt.conn_id, attempt.audience, attempt.identity.dag_id].append(attempt)
    by_audience = {key: sorted(attempts, key=lambda attempt: attempt.at) for key, attempts in by_audience.items()}
    newest = _newest_by_task(attempt for some in (*by_audience.values(), *without.values()) for attempt in some)
    never = (_never_filled(attempts, newest, now) for attempts in without.values())
    return Attempts(
        {key: tuple(attempts) for key, attempts in by_audience.items()},
        tuple(overview for overview in never if overview is not None),
        {task: frozenset(names) for task, names in targets.items()},
    )


def _assigned(
    files: Iterable[Sequence[storage.Attempt]],
    by_name: Mapping[tuple[str, str], AudienceKey],
    tasks_of: Mapping[AudienceKey, set[tuple[str, str]]],
) -> Iterator[Attempt]:
    """Yield the attempts, each with the key of its audience or None.

    Args:
        files: attempts by file.
        by_name: audiences by connection and argument.
        tasks_of: by audience, the tasks whose runs have written it.
    """
    for stored in files:
        resolved = {item.audience: AudienceKey(*item.ledger) for item in stored if len(item.ledger) == KEY_PARTS}
        for item in stored:
            attempt = _attempt(item)
            if attempt is None:
                continue
            key = resolved.get(item.audience) or by_name.get((item.conn_id, item.audience))
            if key is not None and item.code in REFUSED and _task(attempt.identity) not in tasks_of.get(key, ()):
                key = None
            yield replace(attempt, key=key)


def of_run(root: StoragePath, run: RunIdentity, conn_id: str) -> Attempt | None:
    """Return the newest attempt of a task instance; None if none was recorded, or if its record cannot be read.

    Args:
        root: state root.
        run: the task instance.
        conn_id: its connection, whose attempts alone are read; empty reads those of every connection.
    """
    stored = [item for items in _stored(root, [], conn_id) for item in items]
    task = "/".join((run.dag_id, run.task_id, run.run_id, str(max(run.map_index, 0))))
    own = (item for item in stored if item.run == task or item.run.startswith(f"{task}."))
    newest = max(own, key=lambda item: item.at, default=None)
    attempt = _attempt(newest) if newest is not None else None
    if newest is None or attempt is None or len(newest.ledger) != KEY_PARTS:
        return attempt
    return replace(attempt, key=AudienceKey(*newest.ledger))


def _stored(root: StoragePath, unread: Unread | None, conn_id: str = "") -> list[list[storage.Attempt]]:
    """Return the attempts of each export, or of each through one connection."""

    def contents_of(folder: StoragePath) -> dict[str, bytes]:
        with left_out(folder, unread):
            return FOLDER_READER.read(folder, readers)
        return {}

    folders: list[StoragePath] = []
    with left_out(root / "attempts", unread):
        folders = list(storage.attempt_folders(root, conn_id))
    with ThreadPoolExecutor(READER_THREADS) as listers, ThreadPoolExecutor(READER_THREADS) as readers:
        return [
            storage.parse(content)
            for contents in listers.map(contents_of, folders)
            for name, content in contents.items()
            if name.endswith(".json")
        ]


def with_attempts(overviews: Sequence[AudienceOverview], attempts: Attempts) -> list[AudienceOverview]:
    """Return the audiences with their attempts."""
    return [replace(overview, attempts=attempts.by_audience.get(overview.key, ())) for overview in overviews]


def _task(run: RunIdentity) -> tuple[str, str]:
    return run.dag_id, run.task_id or run.conn_id


def _by_name(overviews: Iterable[AudienceOverview]) -> dict[tuple[str, str], AudienceKey]:
    """Return the audiences by connection and the arguments that name them."""
    names: dict[tuple[str, str], AudienceKey] = {}
    for overview in overviews:
        if overview.conn_id:
            names[overview.conn_id, f"name:{overview.name}"] = overview.key
            names[overview.conn_id, overview.audience] = overview.key
    return names


def _attempt(stored: storage.Attempt) -> Attempt | None:
    identity = RunIdentity.read(stored.run)
    if identity is None:
        return None
    return Attempt(
        identity,
        stored.status,
        started_at=stored.started_at,
        try_started_at=stored.try_started_at,
        ended_at=stored.ended_at,
        conn_id=stored.conn_id,
        audience=stored.audience,
        name=stored.audience_name,
        vendor=stored.vendor if stored.vendor in VENDORS else "",
        dry_run=stored.dry_run,
        code=stored.code,
        error=stored.error,
    )


def _newest_by_task(attempts: Iterable[Attempt]) -> dict[tuple[str, str, int], Attempt]:
    newest: dict[tuple[str, str, int], Attempt] = {}
    for attempt in attempts:
        task = (*_task(attempt.identity), attempt.identity.map_index)
        if task not in newest or newest[task].at < attempt.at:
            newest[task] = attempt
    return newest


def _never_filled(
    attempts: Sequence[Attempt], newest: Mapping[tuple[str, str, int], Attempt], now: float
) -> AudienceOverview | None:
    """Return the audience of attempts that found no ledger; None if the last one did not fail or is long ago."""
    exports = sorted((attempt for attempt in attempts if not attempt.dry_run), key=lambda attempt: attempt.at)
    ended = [attempt for attempt in exports if attempt.status in {Status.FAILED, Status.FINISHED}]
    if not ended or ended[-1].status is not Status.FAILED or now - exports[-1].at > NEVER_FILLED_S:
        return None
    last = exports[-1]
    later = newest[(*_task(last.identity), last.identity.map_index)]
    if ended[-1].code in NO_AUDIENCE and later.audience != last.audience and later.status is Status.FINISHED:
        return None
    return AudienceOverview(
        AudienceKey(last.vendor, "", ""),
        name=last.name or last.audience.removeprefix("name:") or f"default audience of {last.conn_id}",
        account="",
        audience=last.audience,
        conn_id=last.conn_id,
        points=(),
        optouts={},
        account_facts={},
        attempts=tuple(exports),
    )
