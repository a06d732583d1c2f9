"""`airflow segexport runs [AUDIENCE]`: lists the newest runs, from the histories of the audiences."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.cli.exit_codes import end_with_look, errors_shown
from airflow_provider_segexport.cli.output import STRUCTURED, print_object, print_rows, progress
from airflow_provider_segexport.cli.terminal import warn
from airflow_provider_segexport.counted import counted

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_segexport.export.runs import RunEntry
    from airflow_provider_segexport.storage.paths import StoragePath
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders

SHOWN_ID_CHARS = 8
"""Digits of an id in a table. With 10,000 runs, the probability that two of them share these digits is one per cent."""

UNFINISHED_STATES = frozenset(
    {"scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"}
)
"""States in which Airflow runs the task instance or will run it again."""

COUNTS = ("delivered", "unchanged", "rejected", "withheld", "not_attempted")
LATEST_S = 253_402_300_800.0
"""Epoch seconds of the year 10000, which a Python date cannot hold."""


def runs(args: Namespace) -> None:
    """Print the newest runs; exit with 3 if there is none, and with 1 if some cannot be read."""
    from airflow.utils.cli import suppress_logs_and_warning  # noqa: PLC0415 - Airflow, when the command runs

    suppress_logs_and_warning(_runs)(args)


def _runs(args: Namespace) -> None:
    from airflow_provider_segexport.export.runs import recent  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.paths import resolve  # noqa: PLC0415
    from airflow_provider_segexport.storage.unread_folders import UnreadFolders  # noqa: PLC0415

    unread = UnreadFolders()
    with errors_shown(only_shows=True):
        ledgers = _ledgers(args.audience, unread)
        with progress("Reading the histories of the audiences", len(ledgers)) as tick:
            listed = recent(ledgers, resolve, args.limit, tick, unread)
        entries = [_with_task_state(entry) for entry in listed.runs]
        if listed.unread:
            warn(f"Left out, because they cannot be read: {counted(listed.unread, 'record')} of the history.")
        if args.output in STRUCTURED:
            print_object([_entry_object(entry) for entry in entries], args.output)
        else:
            print_rows([_entry_row(entry) for entry in entries], args.output)
    if unread.reasons:
        raise SystemExit(unread.message("Their runs are not listed."))
    if not entries:
        end_with_look(f"There is no run{' of this audience' if args.audience else ''} in the state path yet.")


def _ledgers(audience: str | None, unread: UnreadFolders) -> list[StoragePath]:
    """Return the ledgers of all audiences, or of the audiences that a text names.

    Args:
        audience: the text; None or empty for all audiences.
        unread: gets the folders that cannot be read when all audiences are listed.

    Raises:
        FatalError: no audience matches, or more than one does.
    """
    from airflow_provider_segexport.export import release  # noqa: PLC0415 - the core, when the command runs
    from airflow_provider_segexport.hooks.paths import state_path  # noqa: PLC0415
    from airflow_provider_segexport.storage.history import latest, ledger_paths  # noqa: PLC0415
    from airflow_provider_segexport.vendors.directory import name_in, same_name  # noqa: PLC0415

    root = state_path()
    if not audience:
        return list(ledger_paths(root, unread))
    name = name_in(audience)
    named = [
        path for path in ledger_paths(root) if name and same_name(str((latest(path) or {}).get("audience_name")), name)
    ]
    return named or [release.audience(root, audience)]


def _with_task_state(entry: RunEntry) -> RunEntry:
    """Return the entry; if its run has not ended and Airflow knows its task, with the task's state as the outcome.

    A run whose task has ended is `interrupted`.
    """
    if not entry.is_open:
        return entry
    from airflow_provider_segexport.cli.task_states import task_state  # noqa: PLC0415 - needs Airflow's database

    state = task_state(entry.run)
    if state in UNFINISHED_STATES:
        return replace(entry, outcome=state)
    return replace(entry, outcome="interrupted") if state and entry.outcome == "open" else entry


def _entry_object(entry: RunEntry) -> dict[str, Any]:
    """Return a run for JSON and YAML: times in ISO 8601, empty values as null."""
    values = {name: value if value or name in {"seconds", "removed"} else None for name, value in asdict(entry).items()}
    del values["is_open"]
    return {**values, "started_at": moment(entry.started_at), "ended_at": moment(entry.ended_at)}


def _entry_row(entry: RunEntry) -> dict[str, Any]:
    """Return a run for a table."""
    return {
        "id": entry.id[:SHOWN_ID_CHARS],
        "started (UTC)": clock(entry.started_at),
        "run": entry.run,
        "audience": f"{entry.audience_name or entry.audience} ({entry.vendor})",
        "mode": entry.mode,
        "outcome": entry.outcome,
        **{name.replace("_", " "): entry.counts.get(name) for name in COUNTS},
        "removed": entry.removed,
        "duration": duration(entry.seconds),
    }


def moment(seconds: float) -> str | None:
    """Return a time in ISO 8601; None for 0 and for a number that is no time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if 0 < seconds < LATEST_S else None


def clock(seconds: float) -> str:
    """Return a time to the second; empty if there is none."""
    return (moment(seconds) or "").removesuffix("+00:00").replace("T", " ")


def duration(seconds: float) -> str:
    """Return a duration such as `8.5 s` or `2:05:10`; empty for 0."""
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s" if seconds else ""
    minutes, secs = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{secs:02d}"
