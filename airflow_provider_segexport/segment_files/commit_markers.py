"""Finds files that a job has replaced or not committed, by the marker files and folders of the job.

A Hadoop or Spark job writes into a folder `_temporary`, moves its files out of it one by one, and deletes the folder.

A Databricks job writes `_started_<id>`, files with `-tid-<id>-` in their names, and at its end `_committed_<id>` with
the names of the files that it adds and removes. A removed file stays for two days or longer, until VACUUM deletes it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files import patterns
from airflow_provider_segexport.storage.listing import Entry, display_path, map_concurrently
from airflow_provider_segexport.storage.paths import StoragePath, read

STARTED = re.compile(r"_started_(\d+)")
COMMITTED = re.compile(r"_committed_((?:vacuum)?\d+)")
OF_JOB = re.compile(r".*-tid-(\d+)-.*", re.DOTALL)

UNCOMMITTED = re.compile(r"_temporary|__magic(_job-.+)?")
"""Folders of a job that has not ended: `_temporary` of Hadoop's committers, `__magic` of the committer for S3."""

MAX_MARKER_BYTES = 64 << 20
"""The largest marker that is read: the names of about half a million files."""

REPLACED = "replaced or not committed, by the Databricks marker beside it"
UNKNOWN = "beside a Databricks marker that cannot be read"


def check_no_job(start: StoragePath, entries: Iterable[Entry], pattern: Sequence[str]) -> None:
    """Check that no job of Hadoop or Spark writes into a folder, or was interrupted there.

    Args:
        start: the folder.
        entries: all entries in the folder and below, with parts relative to it.
        pattern: segments of the user's path. A job's folder that one of them matches is not refused.

    Raises:
        InvalidSegment: a job has not ended.
    """
    for entry in entries:
        folders = entry.parts if entry.kind == "folder" else entry.parts[:-1]
        depth = next((at for at, part in enumerate(folders) if patterns.is_hidden(part)), None)
        if depth is None or not UNCOMMITTED.fullmatch(folders[depth]):
            continue
        if not any(patterns.matches(folders[depth], part) for part in pattern):
            raise _unfinished_error(start, folders[: depth + 1])


def _unfinished_error(start: StoragePath, parts: Sequence[str]) -> InvalidSegment:
    folder = start
    for part in parts[:-1]:
        folder /= part
    name = display_path(folder)
    return InvalidSegment(
        f"{name} holds the folder {parts[-1]} of a job of Spark or Hadoop that is still writing or was interrupted, so "
        "some of its files may be missing. Nothing was read. To fix: start the export after that job; if the job has "
        f"failed, run it again, or delete {name}/{parts[-1]} if the other files are complete."
    )


def not_current(entries: Iterable[Entry]) -> dict[tuple[str, ...], str]:
    """Return the reason why Databricks does not read a file, by the segments of the file's path.

    Args:
        entries: all entries of one or more folders, including markers.

    Raises:
        OSError: a marker cannot be read.
    """
    folders: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "file":
            folders[entry.parts[:-1]].append(entry)
    return {entry.parts: reason for files in folders.values() for entry, reason in _in_folder(files)}


def _in_folder(files: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    markers = [entry for entry in files if COMMITTED.fullmatch(entry.name) and entry.size]
    started = {match[1] for entry in files if (match := STARTED.fullmatch(entry.name))}
    if not markers and not started:
        return
    changes = map_concurrently(_changes, markers)
    readable = [change for change in changes if change is not None]
    if len(readable) < len(changes):
        yield from ((entry, UNKNOWN) for entry in files)
        return
    ended = {marker.name.removeprefix("_committed_") for marker in markers}
    added = {name for change in readable for name in change[0]}
    removed = {name for change in readable for name in change[1]}
    for entry in files:
        job = OF_JOB.fullmatch(entry.name)
        is_committed = job is None or job[1] not in started | ended or entry.name in added
        if entry.name in removed or not is_committed:
            yield entry, REPLACED


def _changes(marker: Entry) -> tuple[frozenset[str], frozenset[str]] | None:
    """Return the file names that a marker adds and removes; None if the marker cannot be understood."""
    if marker.size > MAX_MARKER_BYTES:
        return None
    try:
        content = json.loads(read(marker.path))
        return frozenset(content["added"]), frozenset(content["removed"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
