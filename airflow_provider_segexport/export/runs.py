"""Lists the newest runs of audiences: `ledgers -> runs`.

The list is read from the histories beside the ledgers: a listing for each audience, and one file for each run that is
shown. A run that has not ended has no history yet; the audience's state names its folder. Dry runs are in no history.

Another version of this package, or a person, may have written any of these files. A value that is missing or of another
type is read as empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.json_values import integer, mapping, number, text
from airflow_provider_segexport.storage import history
from airflow_provider_segexport.storage.audience_state import AudienceState
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath
from airflow_provider_segexport.storage.run_folder import RunFolder
from airflow_provider_segexport.storage.unread_folders import UnreadFolders, skipping

READER_THREADS = 16
"""Audiences or runs read at a time: in object storage each takes a round trip."""

TEXTS = (
    "run",
    "run_folder",
    "vendor",
    "account",
    "audience",
    "audience_name",
    "conn_id",
    "export_name",
    "mode",
    "as_of",
    "error",
)
"""Fields of an entry that are texts of the report."""

OUTCOMES = ("profiles", "delivered", "unchanged", "rejected", "withheld", "not_attempted")


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One run in the list.

    Attributes:
        id: the hash of the run folder's path.
        run: `dag/task/run/map index`, or the name of a call outside a task.
        outcome: `finished`, `stopped`, `superseded`; of a run that has not ended `open`, or `unreadable`.
        is_open: whether the audience's state names the run as not ended.
        started_at, ended_at: epoch seconds; 0 if unknown.
    """

    id: str
    run: str
    outcome: str
    run_folder: str
    is_open: bool = False
    started_at: float = 0.0
    ended_at: float = 0.0
    seconds: float = 0.0
    vendor: str = ""
    account: str = ""
    audience: str = ""
    audience_name: str = ""
    conn_id: str = ""
    export_name: str = ""
    mode: str = ""
    as_of: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    removed: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunList:
    """The newest runs, newest first.

    Attributes:
        runs: the runs.
        unread: number of records that cannot be read.
    """

    runs: tuple[RunEntry, ...]
    unread: int = 0


def id_of(name: str) -> str:
    """Return a run's id from the name of its file in the history."""
    return name[16:28]


def outcome(report: Mapping[str, Any]) -> str:
    """Return how a run ended, from its report; `waiting` if it goes on when its jobs have ended."""
    if report.get("superseded"):
        return "superseded"
    if report.get("finished"):
        return "dry run" if report.get("dry_run") else "finished"
    return "stopped" if report.get("error") else "waiting"


def recent(
    ledgers: Sequence[StoragePath],
    resolve: PathResolver,
    limit: int,
    tick: Callable[[], None] = lambda: None,
    unread_folders: UnreadFolders | None = None,
) -> RunList:
    """Return the newest runs of some audiences.

    Args:
        ledgers: the audiences' ledgers.
        resolve: turns a run folder's path into a storage path.
        limit: maximum number of runs.
        tick: called after each audience.
        unread_folders: gets the ledgers that cannot be read; None: the first one raises its error.
    """
    with ThreadPoolExecutor(READER_THREADS) as readers:
        names: list[tuple[str, StoragePath]] = []
        open_runs: dict[str, RunEntry] = {}
        for ledger, recorded, state in readers.map(partial(names_of, unread=unread_folders), ledgers):
            names += [(name, ledger) for name in recorded]
            if state.open_run_folder:
                run = _open_run(ledger, state, resolve)
                open_runs[run.id] = run
            tick()
        names.sort(key=lambda item: item[0], reverse=True)
        entries: list[RunEntry] = []
        unread = 0
        for entry in readers.map(lambda item: _recorded(item[1], item[0], open_runs), names[:limit]):
            unread += entry is None
            entries += [] if entry is None else [entry]
    listed = {id_of(name) for name, _ in names}
    entries += [run for run in open_runs.values() if run.id not in listed]
    entries.sort(key=lambda entry: (entry.ended_at or float("inf"), entry.started_at), reverse=True)
    return RunList(tuple(entries[:limit]), unread)


def names_of(ledger: StoragePath, unread: UnreadFolders | None = None) -> tuple[StoragePath, list[str], AudienceState]:
    """Return an audience's ledger, the names of its recorded runs, and its state; an empty one if it is damaged.

    Args:
        ledger: folder of the audience's ledger.
        unread: gets the ledger if its history cannot be listed; None: that raises its error.
    """
    state = AudienceState()
    names: list[str] = []
    with suppress(SegexportError, OSError):  # `airflow segexport repair` reports it
        state = AudienceState.read(ledger)
    with skipping(unread, ledger):
        names = history.history_names(ledger)
    return ledger, names, state


def _recorded(ledger: StoragePath, name: str, open_runs: Mapping[str, RunEntry]) -> RunEntry | None:
    """Return a recorded run; None if its file cannot be read."""
    report = history.recorded_run(ledger, name)
    if report is None:
        return None
    counts = mapping(report.get("counts"))
    values = {key: text(report.get(key)) for key in TEXTS}
    return RunEntry(
        id=id_of(name),
        outcome=outcome(report),
        is_open=id_of(name) in open_runs,
        started_at=number(report.get("started_at")),
        ended_at=number(report.get("ended_at")) or int(name[:15]) / 1000,
        seconds=number(report.get("seconds")),
        counts={key: integer(counts.get(key)) for key in OUTCOMES},
        removed=integer(mapping(report.get("removals")).get("removed")),
        **values,
    )


def _open_run(ledger: StoragePath, state: AudienceState, resolve: PathResolver) -> RunEntry:
    """Return the run that an audience's state names as open. Only for the main thread: `resolve` may call Airflow."""
    entry = RunEntry(
        history.hash_of(state.open_run_folder),
        state.run,
        "unreadable",
        state.open_run_folder,
        is_open=True,
        vendor=ledger.parent.parent.name,
        audience=ledger.name,
    )
    with suppress(OSError, ValueError, ImportError, SegexportError):
        frozen = RunFolder(resolve(state.open_run_folder), lenient=True).plan(check_journals=False)
        if frozen is not None:
            planned, facts = frozen
            return RunEntry(
                entry.id,
                state.run,
                "open",
                state.open_run_folder,
                is_open=True,
                started_at=facts.started_at,
                vendor=facts.vendor,
                account=facts.audience.account_name,
                audience=facts.audience.audience,
                audience_name=facts.audience.audience_name,
                export_name=facts.export_name,
                mode=facts.mode,
                as_of=facts.as_of,
                counts={"profiles": planned.profiles},
            )
    return entry
