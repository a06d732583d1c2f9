"""A table -> a Parquet file at its place, whole or not at all; and which places there are.

``<root>/extracts/<day>/<source>.parquet``, ``<root>/profiles/<day>/part-0.parquet`` and
``<root>/segments/<segment>/<day>/part-0.parquet``. The root is a local folder or an address of object
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
ROW_GROUP = 131_072
PART = "part-0.parquet"


def data_root() -> str:
    """Where the example's data lies: as the environment says, or under AIRFLOW_HOME."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    root = os.environ.get(ROOT_VARIABLE) or str(home / "segexport-demo")
    return root.removeprefix("file://").rstrip("/")


def profiles_path(root: str, day: date) -> str:
    """The file that holds everyone as they stood on a day."""
    return f"{root}/profiles/{day}/{PART}"


def segment_folder(root: str, segment: str, day: date) -> str:
    """The folder that is the segment as it stood on a day."""
    return f"{root}/segments/{segment}/{day}"


def newest_segment(root: str, segment: str) -> str | None:
    """The folder of the latest day for which the segment has been written."""
    place = _place(f"{root}/segments/{segment}")
    if not place.is_dir():
        return None
    days = sorted(folder.name for folder in place.iterdir() if (folder / PART).exists())
    return f"{root}/segments/{segment}/{days[-1]}" if days else None


def land(table: pa.Table, target: str) -> str:
    """Write the file so that a reader sees it whole or not at all, and say where it is."""
    if "://" in target:
        with _place(target).open("wb") as sink:  # object storage shows an upload when it is complete
            _write(table, sink)
        return target
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")  # the dot keeps readers of the folder away
    try:
        with unfinished.open("wb") as sink:
            _write(table, sink)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _write(table: pa.Table, sink: Any) -> None:
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP)


def _place(target: str) -> Any:
    if "://" not in target:
        return Path(target)
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415  local runs need no Airflow

    return ObjectStoragePath(target)
