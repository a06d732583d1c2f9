"""Set aside the unreadable files of an audience's state, so that the next run continues without them.

Nothing is sent, and no person is removed. The content that the vendor holds counts as unknown, so the next run sends
every person of its segment again. A damaged file is stored beside the others under another name.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.export import audience, experiments
from airflow_provider_segexport.export.doubts import count_as_sent, rows_of
from airflow_provider_segexport.export.rebuilt_state import rebuilt_state, unfinished_run
from airflow_provider_segexport.export.recover import check_plan
from airflow_provider_segexport.export.salvage import salvage
from airflow_provider_segexport.storage.audience_state import AudienceState, fencing_token_of
from airflow_provider_segexport.storage.duckdb_engine import engine
from airflow_provider_segexport.storage.durable import SET_ASIDE, move_aside
from airflow_provider_segexport.storage.lease import Lease
from airflow_provider_segexport.storage.ledger import Ledger
from airflow_provider_segexport.storage.ledger_facts import FACTS_OF_ONE_RUN
from airflow_provider_segexport.storage.paths import (
    PathResolver,
    StoragePath,
    as_local_path,
    exists,
    list_names,
    listing,
    read,
    remove_stale_temp_files,
    write,
)
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.sealing import read_as

RUN = "segexport/repair"
"""The name of a repair in the lease and in the ledger's version."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The unreadable files of one audience.

    Attributes:
        path: folder of the audience's ledger.
        state: why the audience's state cannot be read; None if it can.
        versions: unreadable versions of the ledger that are newer than `good`, the newest first.
        good: the newest version that can be read; 0 if there is none.
        older: unreadable versions that are older than `good`. Only an undo and an erasure read them.
        run: run folder of an unfinished run that cannot be read; empty if there is none.
        why: why that run folder cannot be read; empty if there is none.
        rows_known: whether the plan of that run and its rows can be read, so that only a journal or result is damaged.
        doubts: run folders of superseded runs that cannot be read, each with the cause.
    """

    path: StoragePath
    state: str | None = None
    versions: tuple[int, ...] = field(default=())
    good: int = 0
    run: str = ""
    why: str = ""
    rows_known: bool = False
    doubts: tuple[tuple[str, str], ...] = ()
    older: tuple[int, ...] = ()

    @property
    def damaged(self) -> bool:
        """Return whether there is anything to repair."""
        return bool(self.older) or self.is_content_lost

    @property
    def is_content_lost(self) -> bool:
        """Return whether the content that the vendor holds is unknown, so that the next run sends every person."""
        return bool(self.state or self.versions or self.run or self.doubts)


def look(path: StoragePath, resolve: PathResolver) -> Diagnosis:
    """Find the unreadable files; change nothing.

    Args:
        path: folder of the audience's ledger.
        resolve: opens a path in the storage.
    """
    state = why = None
    audience_state = AudienceState()
    try:
        audience_state = AudienceState.read(path)
    except DamagedState as damaged:
        state = damaged.why
    ledger = Ledger(path)
    newest = max(ledger.versions(), default=0)
    bad = [audience_state.version] if audience_state.version > newest else []
    unreadable = [version for version in reversed(ledger.versions()) if _is_damaged(ledger, version)]
    good = max(set(ledger.versions()).difference(unreadable), default=0)
    bad += [version for version in unreadable if version > good]
    rows_known = False
    if audience_state.open_run_folder:
        folder = RunFolder(resolve(audience_state.open_run_folder))
        why = _gone_or_unreadable(folder, is_planned=audience_state.is_planned)
        rows_known = bool(why) and _has_rows(folder)
    doubts = tuple(
        (doubt.folder, cause)
        for doubt in audience_state.doubts
        if doubt.folder != audience_state.open_run_folder
        and (cause := _gone_or_unreadable(RunFolder(resolve(doubt.folder))))
    )
    run = audience_state.open_run_folder if why else ""
    older = tuple(version for version in unreadable if version < good)
    return Diagnosis(path, state, tuple(bad), good, run, why or "", rows_known, doubts, older)


def _is_damaged(ledger: Ledger, version: int) -> bool:
    try:
        ledger.check(version)
    except DamagedState:
        return True
    return False


def _has_rows(folder: RunFolder) -> bool:
    try:
        return rows_of(folder) is not None
    except DamagedState:
        return False


def _gone_or_unreadable(folder: RunFolder, *, is_planned: bool = False) -> str | None:
    """Return why a run folder that the audience's state names cannot be read; None if it can."""
    return _unreadable(folder, is_planned=is_planned) if list_names(folder.path) else f"{folder.path}: it is gone"


def _unreadable(folder: RunFolder, *, is_planned: bool = False) -> str | None:
    try:
        if is_planned:
            check_plan(folder)
        if folder.plan() is not None:
            folder.verify()
        folder.summary()
        folder.journal.states()
        folder.removals.journal.states()
        if exists(folder.path / experiments.NOTES):
            experiments.read_notes(folder)
        _read_audience(folder)
    except DamagedState as damaged:
        return f"{damaged.file}: {damaged.why}"
    return None


def _read_audience(folder: RunFolder) -> None:
    if exists(folder.path / audience.FILE):
        read_as(folder.path / audience.FILE, audience.Resolved)


def unreadable_runs(folders: Iterable[RunFolder]) -> list[tuple[RunFolder, str]]:
    """Return the unfinished run folders that cannot be read, each with the cause. Their task's next attempt fails."""
    return [(folder, why) for folder in folders if not _is_finished(folder) and (why := _unreadable(folder))]


def _is_finished(folder: RunFolder) -> bool:
    try:
        return folder.finished()
    except DamagedState:
        return False


def set_run_aside(folder: RunFolder, why: str, now: float, *, is_open: bool = False) -> None:
    """Write a report that makes the task's next attempt plan again.

    Args:
        folder: the damaged run folder.
        why: the damage, for the report.
        now: epoch seconds.
        is_open: whether the audience's next run recovers the run.
    """
    try:
        _read_audience(folder)
    except DamagedState:  # the new plan would read it, too
        _set_aside(folder.path / audience.FILE)
    try:
        folder.summary()
    except DamagedState:
        _set_aside(folder.path / "summary.json")
    report = {"finished": False, "superseded": True, "salvaged" if is_open else "set_aside": why, "ended_at": now}
    folder.write_summary({**report, "run_folder": str(folder.path)})


def repair(  # noqa: PLR0913 - its input, and functions that tests replace
    path: StoragePath,
    resolve: PathResolver,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    alive: Callable[[str], bool | None] = lambda _: None,
    runs: Iterable[RunFolder] = (),
) -> Diagnosis:
    """Set aside the unreadable files while no run writes the audience; return the diagnosis.

    Args:
        path: folder of the audience's ledger.
        resolve: opens a path in the storage.
        runs: all run folders. If the audience's state is damaged, the unfinished run is looked up among them, so that
            the next run waits for its jobs and writes its results into the ledger.
        clock: returns epoch seconds.
        sleep: sleeps for seconds.
        alive: returns whether the holder of a lease still runs; None if it is unknown.

    Raises:
        AudienceLocked: a run writes the audience.
    """
    lease = Lease(path, f"{RUN}/{secrets.token_hex(4)}", clock=clock, sleep=sleep, is_task_running=alive)
    lease.acquire()
    try:
        diagnosis = look(path, resolve)
        remove_stale_temp_files(path)
        if diagnosis.damaged:
            ledger = Ledger(path, lease)
            unfinished = unfinished_run(ledger, runs) if diagnosis.state else None
            _repair(diagnosis, resolve, ledger, unfinished, clock())
    finally:
        lease.release()
    return diagnosis


def _repair(
    diagnosis: Diagnosis, resolve: PathResolver, ledger: Ledger, unfinished: RunFolder | None, now: float
) -> None:
    """Repair in steps that may be repeated, because a repair that was killed starts again."""
    path = diagnosis.path
    top = max(diagnosis.versions, default=diagnosis.good)
    if diagnosis.good and diagnosis.is_content_lost:
        _forget_content(ledger, diagnosis.good, top)
    for version in (*diagnosis.versions, *diagnosis.older):
        _set_aside(ledger.file(version))
    begun_plan = unfinished.plan(check_journals=False) if unfinished is not None else None
    open_run = RunFolder(resolve(diagnosis.run)) if diagnosis.run else unfinished
    why = diagnosis.why or (_unreadable(unfinished, is_planned=True) if unfinished is not None else None)
    is_recoverable = open_run is not None and (not why or _is_salvaged(open_run, ledger, now))
    unreadable = [(str(open_run.path), why)] if open_run is not None and why and not is_recoverable else []
    begun = tuple(_set_aside_runs((*unreadable, *diagnosis.doubts), resolve, ledger, now))
    if diagnosis.state:
        for name in listing(path):
            if fencing_token_of(name) is not None:
                _set_aside(path / name)
        state = rebuilt_state(ledger, begun_plan[1] if begun_plan is not None else None)
        if open_run is not None and is_recoverable:
            state = state.opened("", str(open_run.path), "", is_planned=True)
        replace(state, experiments=begun).write(path, ledger.fence)
    elif diagnosis.is_content_lost:
        state = AudienceState.read(path)
        damaged = {diagnosis.run, *(name for name, _ in diagnosis.doubts)}
        state = replace(state, doubts=tuple(doubt for doubt in state.doubts if doubt.folder not in damaged))
        open_run_folder = "" if diagnosis.run and not is_recoverable else state.open_run_folder
        state = replace(state, open_run_folder=open_run_folder, experiments=(*state.experiments, *begun))
        state.write(path, ledger.fence)
    if open_run is not None and why and is_recoverable:
        set_run_aside(open_run, why, now, is_open=True)


def _is_salvaged(folder: RunFolder, ledger: Ledger, now: float) -> bool:
    """Count all people of a run as possibly sent, and keep what can be read of its journals."""
    count_as_sent(ledger, folder, now)
    return salvage(folder) and not _unreadable(RunFolder(folder.path), is_planned=True)


def _set_aside_runs(
    runs: Iterable[tuple[str, str]], resolve: PathResolver, ledger: Ledger, now: float
) -> Iterator[str]:
    """Set runs aside, given as pairs of folder and cause; yield the folders whose experiment is not undone."""
    for name, why in runs:
        folder = RunFolder(resolve(name))
        count_as_sent(ledger, folder, now)
        set_run_aside(folder, why, now)
        if exists(folder.path / experiments.NOTES):
            yield name


def _forget_content(ledger: Ledger, good: int, top: int) -> None:
    """Write the readable version as the newest version, in which the delivered content of each person is unknown."""
    facts = {name: value for name, value in ledger.facts(good).items() if name not in FACTS_OF_ONE_RUN}
    with engine() as sql:
        rows = f"select * replace (null::ubigint as row_hash, null as hashes) from {sql.scan([ledger.file(good)])}"
        ledger.commit(sql.stream(rows), top, {**facts, "by": RUN})


def _set_aside(file: StoragePath) -> None:
    """Rename a damaged file, or a folder or link in its place, to a name that no program reads."""
    local = as_local_path(file)
    if local is not None:
        move_aside(local, f"{SET_ASIDE}{file.name}")
    elif file.exists():
        write(file.parent / f"{SET_ASIDE}{file.name}", read(file))
        file.unlink(missing_ok=True)
