"""Requests to object storage: one for each operation.

A path-like asks for an object's length before it reads the object, and for its existence before it deletes it. Each of
these requests takes tens of milliseconds.
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
    """Return fsspec's file system and its name of a path in object storage; None for a path without either."""
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
        name: of the object in it.
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
        name: of the object in it.
        to: the local file, which is replaced.
    """
    store.get_file(name, str(to))


ETAGS = ("ETag", "etag")
"""Where a listing has an object's ETag: s3fs; gcsfs and adlfs (their sources, 2026.9)."""


def names_in(store: Any, folder: str) -> list[str]:
    """Return the unsorted names in a folder. Arguments and errors are those of `tags_in`."""
    return list(tags_in(store, folder))


def tags_in(store: Any, folder: str) -> dict[str, str]:
    """Return the unsorted names in a folder, each with its ETag, which changes with its content.

    Args:
        store: fsspec's file system.
        folder: its name there.

    Returns:
        ETags by name; an empty one for a folder, and where the store has none.

    Raises:
        FileNotFoundError: nothing is in it.
        NotADirectoryError: it is a file.
    """
    folder = folder.rstrip("/")
    entries = store.ls(folder, detail=True)
    if [folder] == [entry["name"] for entry in entries if entry["type"] == "file"]:
        raise NotADirectoryError(folder)
    return {
        name.rpartition("/")[2]: next((str(entry[tag]) for tag in ETAGS if entry.get(tag)), "")
        for entry in entries
        if (name := str(entry["name"]).rstrip("/")) != folder  # an object may stand for the folder itself
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
        names: of the objects in it.
    """
    if names:
        store.rm(list(names))
