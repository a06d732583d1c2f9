"""Assigns attempts to audiences: `state root, audiences -> audiences with their attempts, and audiences never filled`.

An attempt belongs to the audience that it has resolved at the vendor. If it ended before that, it belongs to the
audience that other attempts of the same export with the same argument have resolved, or to the audience that its
connection and its argument name.
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
"""Parts of an audience's key: vendor, account and audience."""

DAY_S = 86_400.0
NEVER_FILLED_S = 31 * DAY_S
"""Seconds for which an audience that no run has filled is listed after its last attempt: over a month, as an export may
be monthly."""

REFUSED = frozenset({"connection-not-allowed", "audience-owned-by-other"})
"""Error codes of attempts by a task that may not write the audience, so they do not make the audience failing."""

NO_AUDIENCE = frozenset({"audience-not-found", "invalid-argument"})
"""Error codes of attempts whose argument names no audience. If a later attempt of the task to another audience has
finished, the argument was corrected."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts that a user may see.

    Attributes:
        by_audience: attempts of each audience with a ledger, oldest first.
        never_filled: audiences that no run has filled, and whose last attempt failed.
        targets: the audiences that each task has exported to or tried to export to, by DAG and task.
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
        may_see: returns whether the user may see a run.
        now: epoch seconds.
        unread: list to which folders that cannot be read are added; None to raise the error of the first one.
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
    newest = _newest_by_task(attempt for group in (*by_audience.values(), *without.values()) for attempt in group)
    never_filled = (_never_filled(attempts, newest, now) for attempts in without.values())
    return Attempts(
        {key: tuple(attempts) for key, attempts in by_audience.items()},
        tuple(overview for overview in never_filled if overview is not None),
        {task: frozenset(names) for task, names in targets.items()},
    )


def _assigned(
    files: Iterable[Sequence[storage.Attempt]],
    by_name: Mapping[tuple[str, str], AudienceKey],
    tasks_of: Mapping[AudienceKey, set[tuple[str, str]]],
) -> Iterator[Attempt]:
    """Yield the attempts, each with the key of its audience or None.

    Args:
        files: the attempts of each file.
        by_name: key of the audience by connection and `audience` argument.
        tasks_of: the tasks whose runs have written an audience, by its key.
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
        conn_id: connection of the task, whose attempts are read; empty to read the attempts of every connection.
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
    """Return the attempts of each export; with a connection, only of exports through it. Each inner list is a file."""

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
    """Return DAG and task of a run, or an empty text and the connection for a hook outside any task."""
    return run.dag_id, run.task_id or run.conn_id


def _by_name(overviews: Iterable[AudienceOverview]) -> dict[tuple[str, str], AudienceKey]:
    """Return the key of each audience by connection and `audience` argument: its id, or `name:` and its name."""
    names: dict[tuple[str, str], AudienceKey] = {}
    for overview in overviews:
        if overview.conn_id:
            names[overview.conn_id, f"name:{overview.name}"] = overview.key
            names[overview.conn_id, overview.audience] = overview.key
    return names


def _attempt(stored: storage.Attempt) -> Attempt | None:
    """Convert a stored attempt; None if its run is no name of a run."""
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
    """Return an overview for attempts without a ledger; None if the last attempt did not fail, or is long ago."""
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
