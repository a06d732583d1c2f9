"""Where state lies, and how a text becomes a place that Airflow can open."""

from __future__ import annotations

import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.storage.paths import as_local_path, as_storage_path, local_path

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.paths import StoragePath

SECTION = "segexport"

HEARTBEAT_S = 240.0
"""Seconds after which a wait logs a line: a person looks for one every five minutes, and a look may take a minute."""

CUT = re.compile(r"[?#\x00-\x1f]")
"""Characters of a key at which ObjectStoragePath would cut it, because it splits a text as a URL (Airflow 3.3.2)."""


def resolve(text: str) -> StoragePath:
    """A local path, or anything that Airflow's ObjectStoragePath opens: `s3://connection@bucket/key`."""
    if "://" not in text or text.startswith("file://"):
        return local_path(text)
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - brings fsspec, which a local path needs not

    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if CUT.search(key):
        return as_storage_path(ObjectStoragePath(f"{scheme}://{bucket}")) / key
    return as_storage_path(ObjectStoragePath(text))


def open_storage_path(text: str, name: str) -> StoragePath:
    """A path or URL of the user's as a place whose store this worker can open. No file is looked for.

    Args:
        text: the path or URL.
        name: the argument or option that it comes from, for the error.

    Raises:
        InvalidArgument: there is no such store, or the library or connection for it is missing.
    """
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - as `resolve`

    try:
        place = resolve(text)
        if as_local_path(place) is None:
            store: Any = place
            _ = store.fs
    except (ValueError, ImportError, OSError, AirflowException) as error:
        raise InvalidArgument(
            f"{name} begins with {text.partition('://')[0] + '://'!r}, and this worker cannot open that store "
            f"({type(error).__name__}). Nothing was sent. To fix: give a folder, or a URL whose store has an Airflow "
            "provider with its file system on each worker, as s3://connection@bucket/folder with "
            "apache-airflow-providers-amazon[s3fs], and a connection that exists."
        ) from None
    return place


def state_path() -> StoragePath:
    """The root of ledgers and run folders: `[segexport] state_path`, by default a folder in AIRFLOW_HOME."""
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - reads the configuration when it is asked for

    return open_storage_path(
        conf.get(SECTION, "state_path", fallback="") or str(default_root()), "`[segexport] state_path`"
    )


def default_root() -> pathlib.Path:
    """`$AIRFLOW_HOME/segexport`."""
    return pathlib.Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "segexport"
