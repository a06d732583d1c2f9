"""Lists files and folders on a disk or in object storage, with kinds and sizes. Names are literal, never patterns."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import (
    StoragePath,
    as_local_path,
    as_storage_path,
    uncached,
)

MAX_DEPTH = 100
"""Maximum depth of nested folders. Partitions use about ten. The limit ends loops that are not detected as links."""

MAX_CONCURRENT_REQUESTS = 8
"""Concurrent requests to a store. Each needs one round trip and transfers a few bytes."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or other entry.

    Attributes:
        parts: the path's segments relative to the folder where the listing began; empty for that folder itself.
        kind: `other` is a pipe, a device, a socket or a broken link.
        identity: equal for two names of the same file or folder.
    """

    path: StoragePath
    parts: tuple[str, ...]
    kind: Literal["file", "folder", "other"]
    size: int
    identity: Hashable

    @property
    def name(self) -> str:
        """The last segment."""
        return self.parts[-1] if self.parts else self.path.name


def display_path(path: StoragePath) -> str:
    """Return the path for logs, errors and reports. Bytes of the name that are not UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def find_entry(path: StoragePath, parts: Sequence[str] = ()) -> Entry | None:
    """Return the entry at a path; None if it does not exist."""
    local = as_local_path(path)
    if local is not None:
        try:
            return _on_disk(local, tuple(parts), local.stat())
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name holds a NUL byte
            return None
    stored: Any = uncached(path)
    try:
        with translate_storage_errors(path):
            info = stored.fs.info(stored.path)
    except FileNotFoundError:
        return None
    return _in_store(path, stored.fs, tuple(parts), info)


def list_entries(folder: Entry) -> list[Entry]:
    """Return the entries of a folder, sorted by name."""
    path = as_local_path(folder.path)
    if path is not None:
        return _entries_on_disk(path, folder.parts)
    stored: Any = uncached(folder.path)
    with translate_storage_errors(folder.path):
        infos = stored.fs.ls(stored.path, detail=True)
    base = stored.path.rstrip("/")
    entries = []
    for info in infos:
        name = str(info["name"]).rstrip("/").rpartition("/")[2]
        if name and str(info["name"]).rstrip("/") != base:
            entries.append(_in_store(folder.path / name, stored.fs, (*folder.parts, name), info))
    return sorted(entries, key=lambda entry: entry.name)


def walk(folder: Entry, enter: Callable[[str], bool]) -> Iterator[Entry]:
    """Yield the entries in a folder and below in a stable order, each folder once even if links form a loop.

    Args:
        folder: the folder to begin with. The parts of the entries continue its own.
        enter: takes a folder's name; returns whether the folder is walked. On a disk, any other folder is yielded as an
            entry. A store lists all keys below a prefix at once, so there the files below such a folder are yielded.

    Raises:
        InvalidSegment: folders are nested deeper than `MAX_DEPTH`.
    """
    if as_local_path(folder.path) is None:
        yield from sorted(_keys(folder), key=lambda entry: entry.parts)
        return
    entered = {folder.identity}
    open_folders = [iter(list_entries(folder))]
    while open_folders:
        entry = next(open_folders[-1], None)
        if entry is None:
            open_folders.pop()
            continue
        if entry.kind != "folder" or not enter(entry.name):
            yield entry
        elif entry.identity not in entered:
            entered.add(entry.identity)
            _check_depth(folder, len(open_folders))
            open_folders.append(iter(list_entries(entry)))


def _check_depth(folder: Entry, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidSegment(
            f"{display_path(folder.path)} has more than {MAX_DEPTH} folders inside each other. To fix: name a folder "
            "closer to the files."
        )


def _entries_on_disk(path: pathlib.Path, parts: tuple[str, ...]) -> list[Entry]:
    entries = []
    with os.scandir(path) as scan:
        for item in scan:
            child = (*parts, item.name)
            try:
                entries.append(_on_disk(path / item.name, child, item.stat()))
            except OSError:  # a broken link, or one to itself
                link = item.stat(follow_symlinks=False)
                entries.append(Entry(as_storage_path(path / item.name), child, "other", 0, (link.st_dev, link.st_ino)))
    return sorted(entries, key=lambda entry: entry.name)


def _on_disk(path: pathlib.Path, parts: tuple[str, ...], status: os.stat_result) -> Entry:
    kind: Literal["file", "folder", "other"] = "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file"
    elif stat.S_ISDIR(status.st_mode):
        kind = "folder"
    return Entry(as_storage_path(path), parts, kind, status.st_size, (status.st_dev, status.st_ino))


def _in_store(path: StoragePath, store: Any, parts: tuple[str, ...], info: Any) -> Entry:
    kinds: dict[str, Literal["file", "folder"]] = {"file": "file", "directory": "folder"}
    identity = (getattr(store, "_fs_token", id(store)), str(info["name"]).rstrip("/"))
    return Entry(path, parts, kinds.get(info["type"], "other"), int(info.get("size") or 0), identity)


def _keys(folder: Entry) -> Iterator[Entry]:
    """Yield all files below a folder of a store. Stores that list by prefix need one request for a thousand keys."""
    stored: Any = uncached(folder.path)
    with translate_storage_errors(folder.path):
        infos = stored.fs.find(stored.path, detail=True)
    base = stored.path.rstrip("/") + "/"
    for path, info in infos.items():
        below = str(path).removeprefix(base)
        if not below or below == path or below.endswith("/"):
            continue  # an empty object that represents a folder
        parts = below.split("/")
        _check_depth(folder, len(parts))
        yield _in_store(folder.path / below, stored.fs, (*folder.parts, *parts), info)


def first_bytes(entries: Sequence[Entry], length: int) -> list[bytes]:
    """Return the first bytes of each file."""
    return map_concurrently(lambda entry: _first_bytes(entry.path, length), entries)


def _first_bytes(path: StoragePath, length: int) -> bytes:
    local = as_local_path(path)
    if local is not None:
        with open_file(local) as file:
            return file.read(length)
    stored: Any = path
    with translate_storage_errors(path):
        return bytes(stored.fs.cat_file(stored.path, start=0, end=length))


U = TypeVar("U")


def map_concurrently(read: Callable[[T], U], items: Sequence[T]) -> list[U]:
    """Call `read` for each item in a few threads, because each call waits for a store."""
    if len(items) < 2:  # noqa: PLR2004 - one item needs no thread
        return [read(item) for item in items]
    with ThreadPoolExecutor(MAX_CONCURRENT_REQUESTS, thread_name_prefix="listing") as pool:
        return list(pool.map(read, items))
