"""Reads audiences from their newest states and histories: `state root -> audiences`, with the runs a user may see.

Another version of this provider, or a person, may have written these files. Values that are missing or of another type
are read as empty, so that the page still opens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

from airflow_provider_segexport.json_values import array, integer, mapping, number, parse_object, text
from airflow_provider_segexport.plugins.unread import Unread, left_out
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.attempts import Status
from airflow_provider_segexport.storage.folder_reader import FOLDER_READER
from airflow_provider_segexport.storage.paths import StoragePath
from airflow_provider_segexport.vendors.registry import VENDORS

READER_THREADS = 16
"""Files that are read at a time, because each takes a round trip in object storage."""

FOLDER_NAME = re.compile(r"[A-Za-z0-9_@=~-][A-Za-z0-9_.@=~-]{0,254}")
"""Names that a ledger's folder may have, of at most 255 bytes. No other text of a request becomes part of a path."""
HOOK_CALL = re.compile(r"[0-9]+-[0-9a-f]+")
"""The third part in the name of a hook's run: the time in nanoseconds, and a random number."""

HOOK_RUN = re.compile(rf"hook/([^/\0]+)/(?:({HOOK_CALL.pattern})/[0-9]+|([^/\0]+))")
TASK_RUN = re.compile(r"([^/\0]+)/([^/\0]+)/([^\0]+)/([0-9]{1,19})(?:\.([0-9]{1,9}))?")
"""Names of runs in state files. A run id may contain slashes, but no null character, which no database accepts."""

OUTCOMES = ("delivered", "unchanged", "rejected", "withheld", "not_attempted")


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Identifies a run of an export: by its task instance, or for a hook outside any task by `conn_id`.

    Attributes:
        call: number of the call of `hook.export` in the task instance, from 1; outside a task, unique for each call.
    """

    dag_id: str = ""
    task_id: str = ""
    run_id: str = ""
    map_index: int = 0
    conn_id: str = ""
    call: str = "1"

    @classmethod
    def read(cls, run: str) -> RunIdentity | None:
        """Parse `dag/task/run/map index`, `hook/connection/number` or `hook/connection/number/0`; None for other text.

        A second call of `hook.export` in a task has the map index `0.2`.
        """
        if hook := HOOK_RUN.fullmatch(run):
            return cls(conn_id=hook[1], call=hook[2] or hook[3])
        task = TASK_RUN.fullmatch(run)
        return cls(task[1], task[2], task[3], int(task[4]), call=task[5] or "1") if task else None


MaySee = Callable[[RunIdentity], bool]


@dataclass(frozen=True, slots=True)
class RunPoint:
    """The end of a run that had made a plan. `created` is True if the run created the audience at the vendor."""

    identity: RunIdentity
    ended_at: float
    mode: str
    as_of: str
    finished: bool
    error: str
    counts: Mapping[str, int]
    removed: int
    members: int
    seconds: float
    ledger_version: int
    run_folder: str
    code: str = ""
    created: bool = False

    @property
    def at(self) -> float:
        """When it ended, epoch seconds."""
        return self.ended_at


@dataclass(frozen=True, slots=True)
class AudienceKey:
    """The names of a ledger's folders: vendor, account and audience."""

    vendor: str
    account: str
    audience: str

    @classmethod
    def of(cls, path: StoragePath) -> AudienceKey:
        """Return the key of a ledger's folder."""
        return cls(path.parent.parent.name, path.parent.name, path.name)

    def path(self, root: StoragePath) -> StoragePath | None:
        """Return the ledger's folder; None if the vendor does not exist, or a part cannot be a folder's name."""
        parts = (self.vendor, self.account, self.audience)
        if self.vendor not in VENDORS or not all(FOLDER_NAME.fullmatch(part) for part in parts):
            return None
        return root / "ledgers" / self.vendor / self.account / self.audience


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of an export with all of its tries, also one that failed before it had a plan.

    Attributes:
        key: the audience's key; None if no attempt of this export has resolved it at the vendor.
    """

    identity: RunIdentity
    status: Status
    started_at: float = 0.0
    try_started_at: float = 0.0
    ended_at: float = 0.0
    conn_id: str = ""
    audience: str = ""
    name: str = ""
    vendor: str = ""
    key: AudienceKey | None = None
    dry_run: bool = False
    code: str = ""
    error: str = ""

    @property
    def at(self) -> float:
        """When it ended, or its last try began, epoch seconds."""
        return self.ended_at or self.try_started_at


@dataclass(frozen=True, slots=True)
class AudienceOverview:
    """One audience with the runs and attempts that the user may see, oldest first.

    `points` are the runs that made a plan. If no run has filled the audience, it has attempts only.
    """

    key: AudienceKey
    name: str
    account: str
    audience: str
    conn_id: str
    points: tuple[RunPoint, ...]
    optouts: Mapping[str, Any]
    account_facts: Mapping[str, Any]
    segment: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def newest(self) -> RunPoint | None:
        """The newest run that made a plan; None if there is none."""
        return self.points[-1] if self.points else None

    @property
    def last_attempt(self) -> Attempt | None:
        """The newest attempt that was no dry run; None if there is none."""
        return next((attempt for attempt in reversed(self.attempts) if not attempt.dry_run), None)

    @property
    def last_run(self) -> Attempt | RunPoint:
        """The newest run, with or without a plan."""
        attempt, point = self.last_attempt, self.newest
        if point is not None and (attempt is None or attempt.at < point.ended_at):
            return point
        assert attempt is not None  # noqa: S101 - an audience has a run or an attempt
        return attempt

    @property
    def members(self) -> int:
        """Members after the newest run."""
        return self.points[-1].members if self.points else 0

    @property
    def rejected(self) -> int:
        """Profiles that the newest run rejected."""
        return self.points[-1].counts["rejected"] if self.points else 0

    @property
    def vendor(self) -> str:
        """The vendor's name as the vendor writes it; empty if the connection could not be read."""
        return VENDORS[self.key.vendor].title if self.key.vendor else ""

    @property
    def word(self) -> str:
        """The vendor's noun for an audience."""
        return VENDORS[self.key.vendor].audience_noun if self.key.vendor else "audience"


def list_audiences(root: StoragePath, may_see: MaySee, unread: Unread | None = None) -> list[AudienceOverview]:
    """Return every audience with a run that the user may see.

    Args:
        root: state root.
        may_see: returns whether the user may see a run.
        unread: list to which folders that cannot be read are added; None to raise the error of the first one.
    """

    def folders(path: StoragePath) -> list[StoragePath]:
        with left_out(path, unread):
            return [path / name for name in history.list_folders(path)]
        return []

    def of_account(account: StoragePath) -> list[AudienceOverview | None]:
        contents: dict[str, bytes] = {}
        with suppress(OSError):  # each history also has the newest state
            contents = FOLDER_READER.read(history.latest_folder(account), readers)
        overviews: list[AudienceOverview | None] = []
        for path in folders(account):
            with left_out(path, unread):
                state = parse_object(contents.get(history.latest_file(path).name, b""))
                overviews.append(_overview(path, history.newest_state(path, state), may_see))
        return overviews

    with ThreadPoolExecutor(READER_THREADS) as listers, ThreadPoolExecutor(READER_THREADS) as readers:
        accounts = listers.map(folders, [root / "ledgers" / name for name in history.list_folders(root / "ledgers")])
        overviews = listers.map(of_account, chain.from_iterable(list(accounts)))
        return [overview for overview in chain.from_iterable(overviews) if overview is not None]


def read(path: StoragePath, may_see: MaySee) -> AudienceOverview | None:
    """Return one audience by its ledger's folder; None if the user may see none of its runs."""
    return _overview(path, history.latest(path), may_see)


def _overview(path: StoragePath, latest: Mapping[str, Any] | None, may_see: MaySee) -> AudienceOverview | None:
    """Return an audience; None if the user may see none of its runs.

    Args:
        path: the ledger's folder.
        latest: the audience's newest state; None if no run has ended.
        may_see: returns whether the user may see a run.
    """
    key = AudienceKey.of(path)
    if latest is None or key.path(path) is None:  # no export creates a folder of such a name
        return None
    points = visible_points(array(latest.get("runs")), may_see)
    if not points:
        return None
    newest_run = RunIdentity.read(text(latest.get("run")))
    sees_newest = newest_run is not None and may_see(newest_run)
    return AudienceOverview(
        key,
        name=text(latest.get("audience_name")) or text(latest.get("audience")) or key.audience,
        account=text(latest.get("account")),
        audience=text(latest.get("audience")) or key.audience,
        conn_id=text(latest.get("conn_id")) if sees_newest else "",
        points=points,
        optouts=mapping(latest.get("optouts")) if sees_newest else {},
        account_facts=mapping(latest.get("account_facts")),
        segment=text(latest.get("segment")) if sees_newest else "",
    )


def run_points(path: StoragePath, may_see: MaySee) -> tuple[RunPoint, ...]:
    """Return every recorded run that the user may see, oldest first."""
    return visible_points(history.run_history(path), may_see)


def visible_points(runs: Iterable[Any], may_see: MaySee) -> tuple[RunPoint, ...]:
    """Return the recorded runs that the user may see, in the given order."""
    points = (_point(run) for run in runs)
    return tuple(point for point in points if point is not None and may_see(point.identity))


def _point(run: Any) -> RunPoint | None:
    if not isinstance(run, Mapping):
        return None
    identity = RunIdentity.read(text(run.get("run")))
    if identity is None:
        return None
    counts = mapping(run.get("counts"))
    return RunPoint(
        identity,
        ended_at=number(run.get("ended_at")),
        mode=text(run.get("mode")),
        as_of=text(run.get("as_of")),
        finished=bool(run.get("finished")),
        error=text(run.get("error")),
        counts={name: integer(counts.get(name)) for name in ("profiles", *OUTCOMES)},
        removed=integer(mapping(run.get("removals")).get("removed")),
        members=integer(run.get("members")),
        seconds=number(run.get("seconds")),
        ledger_version=integer(run.get("ledger_version")),
        run_folder=text(run.get("run_folder")),
        code=text(run.get("error_code")),
        created=run.get("audience_created") is True,
    )
