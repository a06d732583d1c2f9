"""Finds the state path, and turns a text into a path that Airflow can open."""

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
"""Seconds after which a wait logs a line. A person expects one every five minutes, and a poll may take a minute."""

KEY_DELIMITERS = re.compile(r"[?#\x00-\x1f]")
"""Characters at which ObjectStoragePath would cut a key, because it splits a text as a URL (Airflow 3.3.2)."""


def resolve(text: str) -> StoragePath:
    """Return a local path, or any path that Airflow's ObjectStoragePath opens, such as `s3://connection@bucket/key`."""
    if "://" not in text or text.startswith("file://"):
        return local_path(text)
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - imports fsspec, which a local path does not need

    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if KEY_DELIMITERS.search(key):
        return as_storage_path(ObjectStoragePath(f"{scheme}://{bucket}")) / key
    return as_storage_path(ObjectStoragePath(text))


def open_storage_path(text: str, name: str) -> StoragePath:
    """Return a path or URL of the user, after a check that this worker can open its store. No file is accessed.

    Args:
        text: the path or URL.
        name: the argument or option that it comes from, for the error.

    Raises:
        InvalidArgument: the store does not exist, or its library or connection is missing.
    """
    from airflow.sdk.exceptions import AirflowException  # noqa: PLC0415 - as `resolve`

    try:
        path = resolve(text)
        if as_local_path(path) is None:
            store: Any = path
            _ = store.fs
    except (ValueError, TypeError, ImportError, OSError, AirflowException) as error:
        raise InvalidArgument(
            f"{name} begins with {text.partition('://')[0] + '://'!r}, but this worker cannot open that store "
            f"({type(error).__name__}). Nothing was sent. To fix: set {name} to a folder, or to a URL whose Airflow "
            "provider and file system are installed on each worker and whose connection exists. For example, "
            "s3://connection@bucket/folder needs apache-airflow-providers-amazon[s3fs]."
        ) from None
    return path


def resolve_argument(text: str) -> StoragePath:
    """Return the path of a segment, a suppression list or a run folder, as `open_storage_path`."""
    return open_storage_path(text, "`segment` or `suppression_list`")


def state_path() -> StoragePath:
    """Return `[segexport] state_path`, the folder of ledgers and run folders; by default in AIRFLOW_HOME."""
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - the configuration is read on demand

    return open_storage_path(
        conf.get(SECTION, "state_path", fallback="") or str(default_root()), "`[segexport] state_path`"
    )


def default_root() -> pathlib.Path:
    """Return `$AIRFLOW_HOME/segexport`.

    Raises:
        InvalidArgument: neither AIRFLOW_HOME nor the user's home directory is known.
    """
    try:
        return pathlib.Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "segexport"
    except RuntimeError:  # a container's user id without an entry in /etc/passwd
        raise InvalidArgument(
            "The default of `[segexport] state_path` is below AIRFLOW_HOME, but neither AIRFLOW_HOME nor the home "
            "directory of this user is known. To fix: set AIRFLOW_HOME, or `[segexport] state_path`."
        ) from None
