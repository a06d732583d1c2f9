"""Paths of the example's data, and atomic writes of Parquet files.

``<root>/extracts/<day>/<source>.parquet``, ``<root>/profiles/<day>/part-0.parquet`` and
``<root>/segments/<segment>/<day>/part-0.parquet``. The root is a local folder or a URL of object
storage that Airflow's ObjectStoragePath opens.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow.parquet as pq

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa

ROOT_VARIABLE = "SEGEXPORT_DEMO_ROOT"
ROW_GROUP_ROWS = 131_072
PART = "part-0.parquet"  # name of the only file in a folder


def data_root() -> str:
    """Return the root of the example's data: from the environment variable, or below AIRFLOW_HOME."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    root = os.environ.get(ROOT_VARIABLE) or str(home / "segexport-demo")
    return root.removeprefix("file://").rstrip("/")


def profiles_path(root: str, day: date) -> str:
    """Return the file with the profiles of a day."""
    return f"{root}/profiles/{day}/{PART}"


def segment_folder(root: str, segment: str, day: date) -> str:
    """Return the segment's folder of a day.

    Args:
        root: root of the example's data.
        segment: name of the segment.
        day: the day of the snapshot.
    """
    return f"{root}/segments/{segment}/{day}"


def newest_segment(root: str, segment: str) -> str | None:
    """Return the segment's folder of the latest day; None if no day has been written."""
    segment_root = _open_path(f"{root}/segments/{segment}")
    if not segment_root.is_dir():
        return None
    days = sorted(folder.name for folder in segment_root.iterdir() if (folder / PART).exists())
    return f"{root}/segments/{segment}/{days[-1]}" if days else None


def write_atomically(table: pa.Table, target: str) -> str:
    """Write a table as a Parquet file that readers see only when it is complete; return its path."""
    if "://" in target:
        with _open_path(target).open("wb") as sink:  # object storage shows an upload only when it is complete
            _write(table, sink)
        return target
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")  # readers of the folder ignore names with a leading dot
    try:
        with unfinished.open("wb") as sink:
            _write(table, sink)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _write(table: pa.Table, sink: Any) -> None:
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def _open_path(target: str) -> Any:
    """Return a `Path`, or an `ObjectStoragePath` for a URL."""
    if "://" not in target:
        return Path(target)
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - a local path needs no Airflow

    return ObjectStoragePath(target)
