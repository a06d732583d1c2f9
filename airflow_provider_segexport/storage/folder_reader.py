"""Reads all files of a folder; in object storage, a file that has not changed since is taken from memory.

A page about 500 audiences reads a thousand small files, and each takes a request of tens of milliseconds. The ETags in
the listing of their folder show which have changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress

from airflow_provider_segexport.storage import object_store
from airflow_provider_segexport.storage.history import list_folders
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, read, uncached

MAX_BYTES = 64_000_000
"""Maximum bytes of contents in memory. A thousand audiences with thirty runs each take 20 MB."""


class FolderReader:
    """Keeps the contents of small files of object storage by their ETags."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._contents: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def read(self, folder: StoragePath, readers: Executor) -> dict[str, bytes]:
        """Return the contents of the files in a folder by name, without files that cannot be read.

        Args:
            folder: may be missing, or a file; then nothing is returned.
            readers: threads that read the files.
        """
        tags = _tags(folder)
        contents = readers.map(lambda name: self._content(folder / name, tags[name]), tags)
        return {name: content for name, content in zip(tags, contents, strict=True) if content is not None}

    def _content(self, path: StoragePath, tag: str) -> bytes | None:
        key = str(path)
        with self._lock:
            kept_tag, content = self._contents.get(key, ("", b""))
            if tag and tag == kept_tag:
                self._contents.move_to_end(key)
                return content
        try:
            content = read(path)
        except OSError:
            return None
        if tag:
            self._keep(key, tag, content)
        return content

    def _keep(self, key: str, tag: str, content: bytes) -> None:
        # If the object changed after its listing, its new content is kept under the old tag. The next listing has the
        # new tag, so it is read again.
        with self._lock:
            _, replaced = self._contents.pop(key, ("", b""))
            self._contents[key] = (tag, content)
            self._bytes += len(content) - len(replaced)
            while self._bytes > self._max_bytes:
                _, (_, oldest) = self._contents.popitem(last=False)
                self._bytes -= len(oldest)


def _tags(folder: StoragePath) -> Mapping[str, str]:
    """Return the names in a folder with their ETags, which are empty on a disk."""
    stored = object_store.store_of(uncached(folder)) if as_local_path(folder) is None else None
    if stored is None:
        return dict.fromkeys(list_folders(folder), "")
    with object_store.translate_storage_errors(folder), suppress(FileNotFoundError, NotADirectoryError):
        return object_store.tags_in(*stored)
    return {}


FOLDER_READER = FolderReader()
"""The reader that all pages of this process share."""
