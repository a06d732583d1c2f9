"""Deletes old run folders that nothing needs any more.

These stay, whatever their age:

- a run whose plan a retry or a deferred task may resume, because no other run has written the audience since;
- a run that an audience's state names as open or superseded, because the next run reads what it sent;
- the runs of each audience that `explain` reads, and the newest runs of each task.

The age is that of the report; without a report, that of the run's last write. A time in the future, from a wrong clock,
never counts as old. A run folder with an unreadable file stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.json_values import number, text
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.history import ledger_paths, list_folders, recent_runs, resolved
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.listing import display_path
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, as_local_path, list_names, modified_at
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.side_by_side import side_by_side
from airflow_provider_segexport.storage.unread_folders import UnreadFolders, skipping

DAY_S = 86_400.0
KEPT_RUNS = 5
"""Runs of an audience that `explain` reads, and newest runs of each task that stay even if a wrong clock says they are
old."""

MAX_REMOVED_RUNS = 5
"""Maximum run folders that one export removes, so that it does not wait for a store that holds years of runs."""

MAX_REPORTS_READ = 40
"""Maximum run folders whose reports one export reads, for the same reason."""

REPORT = "summary.json"


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run folder that no task resumes.

    Attributes:
        path: the folder.
        at: epoch seconds of the run's last write.
        ended: whether its report says that it has ended.
        vendor: vendor of its audience, by its report; empty if unknown.
    """

    path: StoragePath
    at: float
    ended: bool = True
    vendor: str = ""


@dataclass(frozen=True, slots=True)
class Retention:
    """Finds old run folders.

    Attributes:
        root: the folder with the ledgers, whose audiences name the runs that they need.
        now: epoch seconds.
        days: age from which a run is old.
        unread: gets the folders below the root that cannot be read. It is unknown which runs the audiences in them
            need, so no run of their vendors counts as old. None: the first unreadable folder raises its error.
    """

    root: StoragePath
    now: float
    days: float
    unread: UnreadFolders | None = None

    def old(self, task: StoragePath, most: int = 1_000_000) -> Iterator[OldRun]:
        """Yield the old runs of a task.

        Args:
            task: the folder of one task, which holds a folder for each of its runs.
            most: maximum number of runs to look at. Each minute begins with another run.
        """
        runs: list[str] = []
        with skipping(self.unread, task):
            runs = list_folders(task)
        start = int(self.now // 60) % len(runs) if len(runs) > most else 0
        read = [partial(self._of_run, task / run) for run in (runs[start:] + runs[:start])[:most]]
        ended_runs: list[OldRun] = [ended for of_run in side_by_side(task, *read) for ended in of_run]
        ended_runs.sort(key=lambda run: run.at, reverse=True)
        candidates = [run for run in ended_runs[KEPT_RUNS:] if self._is_old(run.at)]
        if candidates:
            needed = self._needed()
            vendors = self._unread_vendors()
            for old in candidates:
                is_unknown = bool(vendors) and (not old.vendor or old.vendor in vendors)
                if not is_unknown and not any(is_same(old.path, name) for name in needed):
                    yield old

    def _unread_vendors(self) -> set[str]:
        """Return the vendors whose audiences, or some of them, cannot be read."""
        ledgers = f"{display_path(self.root / 'ledgers')}/"
        unread = self.unread.reasons if self.unread else {}
        return {path.removeprefix(ledgers).split("/")[0] for path in unread if path.startswith(ledgers)}

    def _of_run(self, run: StoragePath) -> list[OldRun]:
        """Return the run folders of one run of a task that no attempt resumes."""
        ended_runs: list[OldRun] = []
        with skipping(self.unread, run):
            for index in list_folders(run):
                with suppress(DamagedState):  # `airflow segexport repair` reports it
                    ended_runs += self._unresumable(run / index)
        return ended_runs

    def _is_old(self, at: float) -> bool:
        return 0 <= at < self.now - self.days * DAY_S

    def _unresumable(self, home: StoragePath) -> Iterator[OldRun]:
        """Yield the run folders of a task instance that it does not resume."""
        names = [name for name in list_folders(home) if name.isdecimal()]
        newest = max(names, key=int, default="")
        for name in names:
            folder = RunFolder(home / name)
            summary = folder.summary()
            if summary is not None and (summary.get("finished") or summary.get("superseded")):
                yield OldRun(folder.path, number(summary.get("ended_at")) or self.now, vendor=_vendor(summary))
            elif name != newest or not may_resume(self.root, folder):
                yield OldRun(folder.path, self._last_at(folder, summary), ended=False, vendor=_vendor(summary))

    def _last_at(self, folder: RunFolder, summary: dict[str, Any] | None) -> float:
        """Return the epoch seconds of the last write of a run that has not ended."""
        frozen = folder.plan()
        if frozen is None:
            moments = [modified_at(folder.path / name) for name in list_names(folder.path)]
            return max(moments, default=self.now) if summary is None else number(summary.get("ended_at")) or self.now
        started = frozen[1].started_at
        if not self._is_old(started):
            return started
        entries = [*folder.journal.states().values(), *folder.removals.journal.states().values()]
        return max([started, number((summary or {}).get("ended_at")), *(entry.written_at for entry in entries)])

    def _needed(self) -> set[str]:
        """Return the run folders that the states and the histories of audiences name as needed."""
        needed: set[str] = set()
        for ledger_path in ledger_paths(self.root, self.unread):
            with skipping(self.unread, ledger_path):
                state = AudienceState.of(ledger_path)
                needed |= {state.open_run_folder, *state.experiments, *(doubt.folder for doubt in state.doubts)}
                needed |= {run["run_folder"] for run in recent_runs(ledger_path)[-KEPT_RUNS:]}
        return needed - {""}

    def every_task(self, resolve: PathResolver) -> Iterator[StoragePath]:
        """Yield the folders of all tasks: below the root, and where the audiences' reports are elsewhere."""
        runs = self.root / "runs"
        tasks: list[StoragePath] = []
        for dag in list_folders(runs):
            with skipping(self.unread, runs / dag):
                tasks += [runs / dag / task for task in list_folders(runs / dag)]
        for ledger_path in ledger_paths(self.root, self.unread):
            with skipping(self.unread, ledger_path):
                reports = [resolved(resolve, run["run_folder"]) for run in recent_runs(ledger_path)]
                tasks += [task_folder_of(report) for report in reports if report is not None]
        yield from {str(task): task for task in tasks}.values()


def _vendor(summary: dict[str, Any] | None) -> str:
    return text((summary or {}).get("vendor"))


def may_resume(root: StoragePath, folder: RunFolder) -> bool:
    """Return whether the next attempt may resume a run's plan: no other run has written the audience since.

    Args:
        root: the folder with the ledgers.
        folder: of the run.

    Raises:
        DamagedState: the plan or the ledger cannot be read.
    """
    frozen = folder.plan()
    if frozen is None:
        return False
    _, facts = frozen
    ledger = Ledger.of(root, facts.vendor, facts.audience)
    if ledger.version() == facts.ledger_version:
        return True
    by, own = str(ledger.facts().get("by", "")).split("/"), str(folder.path).split("/")[-5:-1]
    return len(by) != len(own) or [safe_name(part) for part in by] == own


def task_folder_of(run: StoragePath) -> StoragePath:
    """Return the folder of the task that owns a run folder `<task>/<run>/<map index>/<number>`."""
    return run.parent.parent.parent


def is_same(path: StoragePath, name: str) -> bool:
    """Return whether a recorded name is that of a folder. The two may write the folder's root in different ways."""
    return str(path) == name or name.rstrip("/").split("/")[-5:] == str(path).split("/")[-5:]


def remove_run(run: OldRun) -> None:
    """Delete a run folder. The report is deleted last, so that an interrupted deletion is continued later.

    A run that has not ended gets a report first, so that no attempt resumes in a partly deleted folder.
    """
    if not run.ended:
        report = {"finished": False, "superseded": True, "ended_at": run.at, "run_folder": str(run.path)}
        RunFolder(run.path).write_summary(report)
    _empty(run.path)
    for folder in (run.path, run.path.parent, run.path.parent.parent):
        if list_names(folder):
            return
        _remove_folder(folder)


def _empty(path: StoragePath) -> None:
    for name in sorted(list_names(path), key=lambda name: name == REPORT):
        if (path / name).is_dir():
            _empty(path / name)
            _remove_folder(path / name)
        else:
            (path / name).unlink(missing_ok=True)


def _remove_folder(path: StoragePath) -> None:
    """Delete an empty local folder. Object storage has no folders, and a path-like would delete its content."""
    local = as_local_path(path)
    if local is not None:
        with suppress(OSError):  # a new run of the task has started in it, or another process deletes it, too
            local.rmdir()
