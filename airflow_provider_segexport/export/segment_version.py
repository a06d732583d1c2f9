"""Records the files that a plan was made from, and compares them with the present ones: `run folder -> changed or not`.

A task that was cleared plans again if the segment or a suppression list was corrected.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable

from airflow_provider_segexport.errors import SegexportError
from airflow_provider_segexport.export.config import ExportConfig
from airflow_provider_segexport.export.preflight import Preflight
from airflow_provider_segexport.json_values import mapping
from airflow_provider_segexport.segment_files.parquet_files import find_files
from airflow_provider_segexport.segment_files.parquet_reading import file_version, was_replaced
from airflow_provider_segexport.segment_files.snapshots import is_table
from airflow_provider_segexport.storage.json_file import read_object
from airflow_provider_segexport.storage.paths import PathResolver, StoragePath, write

FILE = "segment.json"
"""File of a run folder: properties of each file of the segment and of the suppression lists, by the file's name."""


def write_version(folder: StoragePath, config: ExportConfig, checked: Preflight) -> None:
    """Record the files of a plan. The temporary file of a frame is left out.

    Args:
        folder: the run folder.
        config: of the export.
        checked: the files of the segment and of the suppression lists.
    """
    versions = {file.name: dict(file.version) for file in checked.files.files if not config.segment_name}
    versions |= _versions(file for _, files in checked.suppression for file in files)
    write(folder / FILE, json.dumps(versions).encode())


def has_changed(folder: StoragePath, config: ExportConfig, resolve: PathResolver) -> bool:
    """Return whether the segment or a suppression list has other files than when a plan was made, or replaced ones.

    A table counts as changed unless `as_of` selects the snapshot, because its current snapshot may be another one.
    Files that cannot be listed count as unchanged, because the plan does not need them any more.

    Args:
        folder: the run folder with the plan.
        config: of the export.
        resolve: turns a text into a path.
    """
    before = read_object(folder / FILE)
    if before is None:
        return False
    segments = [config.segment] if isinstance(config.segment, str) else list(config.segment)
    if config.segment_name:  # a frame, whose rows are compared by their hash
        segments = []
    lists = config.consent.suppression_list
    if any(map(is_table, lists)) or (any(map(is_table, segments)) and not config.snapshot_at):
        return True
    try:
        files = [file for text in lists for file in find_files(text, resolve)]
        if paths := [text for text in segments if not is_table(text)]:
            files += find_files(paths, resolve)
        now = _versions(files)
    except (SegexportError, OSError):
        return False
    before = {name: version for name, version in before.items() if not is_table(name)}
    return before.keys() != now.keys() or any(was_replaced(mapping(before[name]), now[name]) for name in now)


def _versions(files: Iterable[tuple[StoragePath, str]]) -> dict[str, dict[str, str]]:
    """Return by the file's name the properties of each file that change when it is replaced."""
    versions: dict[str, dict[str, str]] = {}
    for path, name in files:
        versions[name] = {}
        with contextlib.suppress(OSError, SegexportError):  # the reader of its rows reports the error
            versions[name] = file_version(path)
    return versions
