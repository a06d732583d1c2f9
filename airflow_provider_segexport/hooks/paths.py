"""Finds the state path, and turns a text into a path that Airflow can open."""

from __future__ import annotations

import errno
import os
import pathlib
import re
import stat
from typing import TYPE_CHECKING, Any

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.storage.file_url import local_text
from airflow_provider_segexport.storage.paths import as_local_path, as_storage_path, local_path

if TYPE_CHECKING:
    from airflow_provider_segexport.storage.paths import StoragePath

SECTION = "segexport"

STATE_PATH = "`[segexport] state_path`"
"""Name of the option in errors."""

HEARTBEAT_S = 240.0
"""Seconds after which a wait logs a line. A person expects one every five minutes, and a poll may take a minute."""

MAX_NAME_BYTES = 255
"""Bytes of a file's or a folder's name that common file systems allow."""

KEY_DELIMITERS = re.compile(r"[?#\x00-\x1f]")
"""Characters at which ObjectStoragePath would cut a key, because it splits a text as a URL (Airflow 3.3.2)."""


def resolve(text: str) -> StoragePath:
    """Return a local path, or any path that Airflow's ObjectStoragePath opens, such as `s3://connection@bucket/key`."""
    if local_text(text) is not None:
        return local_path(text)
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - imports fsspec, which a local path does not need

    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    _reopen_after_fork(scheme, bucket.rpartition("@")[0] or None)
    if KEY_DELIMITERS.search(key):
        return as_storage_path(ObjectStoragePath(f"{scheme}://{bucket}")) / key
    return as_storage_path(ObjectStoragePath(text))


def _reopen_after_fork(scheme: str, conn_id: str | None) -> None:
    """Open a store again that the parent of this process has opened, because its connections do not survive a fork.

    Airflow keeps an opened store for the life of a process and of its forked children.
    """
    from airflow.sdk.io import attach  # noqa: PLC0415 - as `resolve`

    store = attach(scheme, conn_id)
    opened: Any = vars(store).get("fs")
    if getattr(opened, "_pid", os.getpid()) != os.getpid():
        make, arguments = opened.__reduce__()[:2]
        store.fs = make(*arguments)


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
    except InvalidArgument as error:
        raise InvalidArgument(f"{name} cannot be opened: {error}") from None
    except (ValueError, TypeError, ImportError, OSError, AirflowException) as error:
        raise InvalidArgument(
            f"{name} begins with {text.partition('://')[0] + '://'!r}, but this worker cannot open that store "
            f"({type(error).__name__}). Nothing was sent. To fix: set {name} to a folder, or to a URL whose Airflow "
            "provider and file system are installed on each worker and whose connection exists. For example, "
            "s3://connection@bucket/folder needs apache-airflow-providers-amazon[s3fs]."
        ) from None
    return path


def open_folder(text: str, name: str) -> StoragePath:
    """Return the folder of the state or of run folders, as `open_storage_path`.

    Raises:
        InvalidArgument: also if the path is relative, because it is another folder in each process.
    """
    path = open_storage_path(text, name)
    local = as_local_path(path)
    if local is not None and not local.is_absolute():
        raise InvalidArgument(
            f"{name} is {text!r}, a relative path. Workers, the API server and commands may run in different folders, "
            f"and would not find each other's files. Nothing was sent. To fix: set {name} to an absolute path or a URL."
        )
    return path


def resolve_argument(text: str) -> StoragePath:
    """Return the path of a segment, a suppression list or a run folder, as `open_storage_path`."""
    return open_storage_path(text, "`segment` or `suppression_list`")


def state_path() -> StoragePath:
    """Return `[segexport] state_path`, the folder of ledgers and run folders; by default in AIRFLOW_HOME."""
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - the configuration is read on demand

    given = str(conf.get(SECTION, "state_path", fallback="")).strip()  # a file of a secret ends with a newline
    text = given or str(default_root())
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
        raise InvalidArgument(
            f"{STATE_PATH} is {text!a}, which contains NUL or bytes that are not UTF-8, so reports cannot name it. To "
            f"fix: set {STATE_PATH} to a path whose characters are all UTF-8."
        )
    return open_folder(text, STATE_PATH)


def check_folder(path: StoragePath, name: str) -> None:
    """Check that a local path is a folder or can become one, without creating it. A path in object storage passes.

    Args:
        path: the folder.
        name: the argument or option that it comes from, for the error.

    Raises:
        InvalidArgument: a file is at this path or at that of a folder above it, or a name is too long.
    """
    local = as_local_path(path)
    for folder in () if local is None else (local, *local.parents):
        reason = _why_no_folder(folder)
        if reason:
            raise InvalidArgument(
                f"{name} leads to {path}, but {folder} {reason}. Nothing was sent. To fix: set {name} to a folder, or "
                "to a path at which a folder can be created."
            )
        if reason is not None:
            return


def _why_no_folder(path: pathlib.Path) -> str | None:
    """Return why a path is no folder; empty if it is one or cannot be checked, None if nothing is at this path."""
    if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
        return f"has a name of more than {MAX_NAME_BYTES} bytes"
    try:
        return "" if stat.S_ISDIR(path.stat().st_mode) else "is no folder"
    except FileNotFoundError:
        return "is a symbolic link to nothing" if path.is_symlink() else None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return "is longer than a path may be"
        if error.errno == errno.ELOOP:
            return "is a symbolic link to itself"
        return None if error.errno == errno.ENOTDIR else ""


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
