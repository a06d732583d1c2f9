"""Reads and writes folders and files on a local disk or in object storage (path-likes over fsspec)."""

from __future__ import annotations

import errno
import math
import os
import pathlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any, Protocol, runtime_checkable

from airflow_provider_segexport.storage import object_store
from airflow_provider_segexport.storage.durable import make_folder, replace
from airflow_provider_segexport.storage.file_url import local_text
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.private import open_private


@runtime_checkable
class StoragePath(Protocol):
    """The methods that `pathlib.Path`, `upath.UPath` and Airflow's `ObjectStoragePath` have in common."""

    @property
    def name(self) -> str:
        """The last segment."""

    @property
    def parent(self) -> StoragePath:
        """The folder that contains it."""

    def __truediv__(self, other: str, /) -> StoragePath: ...

    def open(self, mode: str = ...) -> IO[Any]:
        """Open the file."""

    def exists(self) -> bool:
        """Return whether a file or folder exists."""

    def is_dir(self) -> bool:
        """Return whether it is a folder."""

    def iterdir(self) -> Iterator[StoragePath]:
        """Yield the entries of the folder."""

    def glob(self, pattern: str, /) -> Iterator[StoragePath]:
        """Yield the entries that match a pattern."""

    def mkdir(self, *, parents: bool = ..., exist_ok: bool = ...) -> None:
        """Create the folder, if the store has folders."""

    def unlink(self, *, missing_ok: bool = ...) -> None:
        """Delete the file."""


PathResolver = Callable[[str], StoragePath]
"""Turns a text into a path. The hooks' resolver knows the object stores that Airflow can open."""


def local_path(text: str) -> StoragePath:
    """Return the local path that a text or a `file` URL names.

    Raises:
        InvalidArgument: the URL names another machine, or no path.
    """
    return as_storage_path(pathlib.Path(local_text(text) or text))


def as_storage_path(path_like: Any) -> StoragePath:
    """Return a path-like as the type `StoragePath`."""
    path: StoragePath = path_like
    return path


def as_local_path(path: StoragePath) -> pathlib.Path | None:
    """Return the path as a local path; None if it is in object storage."""
    path_like: Any = path
    return path_like if isinstance(path_like, pathlib.Path) else None


def temp_name(path: pathlib.Path) -> pathlib.Path:
    """Return a unique name for a temporary file beside a file. It is random, because machines may share a disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.half")


TEMP_NAME = re.compile(r"\..+\.[0-9a-f]{12}\.half")
STALE_TEMP_FILE_S = 6 * 3600.0
"""Seconds after the last write of a temporary file from which it counts as left by a killed process."""


def temp_files(path: StoragePath) -> list[StoragePath]:
    """Return the temporary files in a folder and below, at any depth; none in object storage, which has none."""
    top = as_local_path(path)
    names = top.rglob(".*.half") if top is not None else ()
    return [as_storage_path(temp) for temp in names if TEMP_NAME.fullmatch(temp.name)]


def remove_stale_temp_files(path: StoragePath) -> None:
    """Delete the temporary files that killed processes have left in a local folder and below.

    In object storage, multipart uploads that were never completed use space until the bucket's own rule deletes them
    (`AbortIncompleteMultipartUpload` in S3).
    """
    for temp in temp_files(path):
        with suppress(OSError):  # its writer has just ended, or another process deletes it, too
            if time.time() - modified_at(temp) > STALE_TEMP_FILE_S:
                temp.unlink()


def exists(path: StoragePath) -> bool:
    """Return whether a file or folder exists now."""
    with translate_storage_errors(path):
        return uncached(path).exists()


def uncached(path: StoragePath) -> StoragePath:
    """Return the path after clearing fsspec's cached listings of it, because other machines write there, too.

    Airflow's path opens files through its own file system, and lists folders through that of the path that it wraps.
    The listings of both are cleared.
    """
    for layer in (path, getattr(path, "__wrapped__", None)):
        store: Any = getattr(layer, "fs", None)
        if store is not None:
            store.invalidate_cache(getattr(layer, "path", None))
    return path


def write(path: StoragePath, content: bytes) -> None:
    """Write a file atomically: a reader sees the old content or the new."""
    local = as_local_path(path)
    if local is None:  # an object is put as a whole when it is closed
        with translate_storage_errors(path), path.open("wb") as file:
            file.write(content)
        return
    write_local(local, content, replace)


def write_local(local: pathlib.Path, content: bytes, give_name: Callable[[pathlib.Path, pathlib.Path], None]) -> None:
    """Write a local file under a temporary name, then give it its own name.

    Args:
        local: the file.
        content: the file's content.
        give_name: `durable.publish`, which refuses a name that is taken, or `durable.replace`.
    """
    make_folder(local.parent)
    temp = temp_name(local)
    try:
        with open_private(temp, "xb") as file:
            file.write(content)
        give_name(temp, local)
    finally:
        temp.unlink(missing_ok=True)


def _content(path: StoragePath) -> bytes:
    stored = object_store.store_of(uncached(path)) if as_local_path(path) is None else None
    if stored is not None:
        return object_store.get(*stored)
    with open_file(path) as file:
        return bytes(file.read())


MAX_READ_ATTEMPTS = 5
"""Attempts to read an object while another process writes it. A store's client may read it in parts; if the object
changes in between, s3fs ends the read with status 412, which becomes EBUSY or EINVAL (s3fs 2026.9)."""


def read(path: StoragePath) -> bytes:
    """Return the current content of a file. An object's length is not taken from an older listing."""
    for attempts_left in range(MAX_READ_ATTEMPTS - 1, -1, -1):
        try:
            with translate_storage_errors(path):
                return _content(path)
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.EINVAL} or not attempts_left:
                raise
    raise AssertionError  # the last attempt has returned or raised


def read_if_exists(path: StoragePath) -> bytes | None:
    """Return the current content of a file; None if it does not exist. It is one request to a store."""
    try:
        return read(path)
    except FileNotFoundError:
        return None


def remove(folder: StoragePath, names: Iterable[str]) -> None:
    """Delete files of a folder. Files that do not exist, or that another process deletes, are ignored.

    Args:
        folder: the folder.
        names: the files' names in it.
    """
    files: list[Any] = [folder / name for name in names]
    stored = object_store.store_of(folder) if as_local_path(folder) is None else None
    with translate_storage_errors(folder):
        if stored is not None:
            with suppress(FileNotFoundError):  # some stores stop at the first file that is gone
                object_store.delete(stored[0], [file.path for file in files])
                return
        for file in files:
            file.unlink(missing_ok=True)


def ensure_folder(path: StoragePath) -> StoragePath:
    """Return the folder after creating it, if it does not exist."""
    local = as_local_path(path)
    if local is not None:
        make_folder(local)
    elif object_store.needs_folder(path):
        with translate_storage_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    return path


def listing(path: StoragePath) -> list[str]:
    """Return the unsorted names in a folder, with one request to a store; none if the folder does not exist.

    Raises:
        NotADirectoryError: the path is that of a file.
    """
    local = as_local_path(path)
    stored = object_store.store_of(uncached(path)) if local is None else None
    with translate_storage_errors(path), suppress(FileNotFoundError):
        if local is not None:
            return os.listdir(local)  # noqa: PTH208 - it runs before every call, and needs only names
        if stored is None:
            return [entry.name for entry in path.iterdir()]
        return object_store.names_in(*stored)
    return []


def list_names(path: StoragePath) -> list[str]:
    """Return the sorted names in a folder; none if it does not exist."""
    return sorted(listing(path))


def modified_at(path: StoragePath) -> float:
    """Return when a file was last written, in epoch seconds; infinity if its store does not say."""
    stored: Any = path
    try:
        with translate_storage_errors(path):
            return float(stored.stat().st_mtime) or math.inf  # 0 is a path-like's default
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        return math.inf
