"""Operations on object storage that take one request each.

The methods of a path-like also request an object's length before they read it, and its existence before they delete it.
Each request takes tens of milliseconds.
"""

from __future__ import annotations

import errno
import pathlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

FOLDERLESS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "wasb", "wasbs", "memory"})
"""Protocols of stores without folders: an object is written without creating a folder first."""


STORE_CLIENTS = {
    "botocore",
    "aiobotocore",
    "aiohttp",
    "gcsfs",
    "google",
    "azure",
    "adlfs",
    "requests",
    "urllib3",
    "paramiko",
}
"""Libraries through which fsspec reaches stores. Not all of their errors are OSErrors: s3fs passes on botocore's
EndpointConnectionError, and gcsfs has an HttpError (their sources, 2026.9)."""


@contextmanager
def translate_storage_errors(path: object) -> Iterator[None]:
    """Turn errors of a store's client into OSErrors, as a disk raises them.

    The client's message is left out, because it may hold a signed URL or a key.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] not in STORE_CLIENTS:
            raise
        raise OSError(errno.EIO, f"The store cannot be reached ({type(error).__name__})", str(path)) from None


def store_of(path: Any) -> tuple[Any, str] | None:
    """Return the file system of fsspec that a path belongs to, and the path's name in it; None for any other path."""
    store, name = getattr(path, "fs", None), getattr(path, "path", None)
    return (store, name) if store is not None and isinstance(name, str) else None


def needs_folder(path: Any) -> bool:
    """Return whether a folder must exist before a file in it can be written."""
    stored = store_of(path)
    protocols = getattr(stored[0], "protocol", "") if stored is not None else ""
    return not FOLDERLESS.intersection([protocols] if isinstance(protocols, str) else protocols)


def get(store: Any, name: str) -> bytes:
    """Return the content of an object.

    Args:
        store: fsspec's file system.
        name: name of the object in the file system.
    """
    try:
        # s3fs asks for the length first if it may read parts at the same time (its source, 2026.9).
        content: bytes = store.cat_file(name, max_concurrency=1)
    except TypeError:  # a file system without this option
        content = store.cat_file(name)
    return content


def download(store: Any, name: str, to: pathlib.Path) -> None:
    """Copy an object into a local file.

    Args:
        store: fsspec's file system.
        name: name of the object in the file system.
        to: the local file, which is replaced.
    """
    store.get_file(name, str(to))


ETAGS = ("ETag", "etag")
"""Keys of an object's ETag in a listing of s3fs, and of gcsfs and adlfs (their sources, 2026.9)."""


def names_in(store: Any, folder: str) -> list[str]:
    """Return the unsorted names in a folder. Arguments and errors are those of `tags_in`."""
    return list(tags_in(store, folder))


def tags_in(store: Any, folder: str) -> dict[str, str]:
    """Return the unsorted names in a folder, each with its ETag, which changes with its content.

    Args:
        store: fsspec's file system.
        folder: name of the folder in the file system.

    Returns:
        ETags by name; an empty text for a folder, and if the store has no ETags.

    Raises:
        FileNotFoundError: the folder holds nothing.
        NotADirectoryError: the name is that of a file.
    """
    folder = folder.rstrip("/")
    entries = store.ls(folder, detail=True)
    if [folder] == [entry["name"] for entry in entries if entry["type"] == "file"]:
        raise NotADirectoryError(folder)
    return {
        name.rpartition("/")[2]: next((str(entry[tag]) for tag in ETAGS if entry.get(tag)), "")
        for entry in entries
        if (name := str(entry["name"]).rstrip("/")) != folder  # an empty object may represent the folder itself
    }


def folders_in(store: Any, folder: str) -> list[str]:
    """Return the unsorted names of the folders in a folder. Arguments and errors are those of `tags_in`."""
    folder = folder.rstrip("/")
    names = (str(entry["name"]).rstrip("/") for entry in store.ls(folder, detail=True) if entry["type"] == "directory")
    return [name.rpartition("/")[2] for name in names if name != folder]


def delete(store: Any, names: Sequence[str]) -> None:
    """Delete objects that exist.

    Args:
        store: fsspec's file system.
        names: names of the objects in the file system.
    """
    if names:
        store.rm(list(names))
