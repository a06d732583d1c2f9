"""Keeps local copies of the Parquet and Arrow files of a run and its ledger, while the run holds its audience.

A file in object storage is written once and read several times in a run: verified, joined, read in batches. With a
copy it is read with one request, or none. The copies lie in the process's scratch folder (`scratch`). A file on a disk
has no copy.

Only the holder of an audience writes these files, so a copy cannot become old while the lease is held: a version of a
ledger never changes under its name, and a superseded process may neither send nor commit.

With a copy, a file can also be read while it is being stored: in an `uploads` block, files are stored side by side.
"""

from __future__ import annotations

import pathlib
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from airflow_provider_segexport.storage import object_store
from airflow_provider_segexport.storage.durable import COPY_BYTES
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, as_storage_path, exists, listing
from airflow_provider_segexport.storage.private import private_file
from airflow_provider_segexport.storage.scratch import scratch
from airflow_provider_segexport.storage.side_by_side import WORKERS


@dataclass(slots=True)
class _Copies:
    """The copies of one run.

    Attributes:
        prefixes: paths of the folders whose files are copied, each with a slash at its end.
        folder: local folder with the copies.
        files: the copy of each file, by the file's path.
        names: by folder, the names in its listing, and those written since.
        lock: held while a file is copied.
        numbers: yields the numbers that make the names of copies unique.
        pool: threads that store the files of an `uploads` block; None outside of such a block.
        uploads: the uploads of that block, by the file's path.
    """

    prefixes: tuple[str, ...]
    folder: pathlib.Path
    files: dict[str, pathlib.Path] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Iterator[int] = field(default_factory=count)
    pool: ThreadPoolExecutor | None = None
    uploads: dict[str, Future[None]] = field(default_factory=dict)

    def new_path(self, path: StoragePath) -> pathlib.Path:
        """Return a name for another copy. An earlier copy of the file may still be open."""
        return self.folder / f"{next(self.numbers)}-{path.name}"


_active: list[_Copies] = []


@contextmanager
def kept_copies(*folders: StoragePath, new: StoragePath | None = None) -> Iterator[None]:
    """Keep a copy of each file below these folders that is written, or read by this module, until the block ends.

    Args:
        folders: folders in object storage; folders on a disk are ignored.
        new: the one of these folders that this process creates, so that it is empty now; None if all existed before.
    """
    remote = tuple(f"{folder}".rstrip("/") + "/" for folder in folders if as_local_path(folder) is None)
    if not remote:
        yield
        return
    with scratch("copies") as folder:
        copies = _Copies(remote, folder, names={} if new is None else {str(new): set()})
        _active.append(copies)
        try:
            yield
        finally:
            _active.remove(copies)


def _copies_of(path: StoragePath) -> _Copies | None:
    if not _active or as_local_path(path) is not None:
        return None
    text = f"{path}/"
    return next((copies for copies in reversed(_active) if text.startswith(copies.prefixes)), None)


def readable(path: StoragePath) -> StoragePath:
    """Return the path from which to read a file: its local copy, which is made if needed, or the file itself.

    Raises:
        FileNotFoundError: the file does not exist.
        OSError: the store cannot be read.
    """
    copies = _copies_of(path)
    if copies is None:
        return path
    with copies.lock:
        copy = copies.files.get(str(path))
        stored = object_store.store_of(path)
        if copy is None and stored is not None:
            copy = private_file(copies.new_path(path))
            with translate_storage_errors(path):
                object_store.download(*stored, copy)
            copies.files[str(path)] = copy
    return as_storage_path(copy) if copy is not None else path


def prefetch(path: StoragePath) -> None:
    """Make the copy of a file before it is read, if copies are kept. An error is ignored; the reader meets it again."""
    with suppress(OSError):
        readable(path)


def local_of(path: StoragePath) -> pathlib.Path | None:
    """Return the local path of a file on a disk, or of a file's copy; None if it can only be read from its store."""
    return as_local_path(readable(path))


@contextmanager
def uploads(folder: StoragePath) -> Iterator[None]:
    """Store the files that are written in this block side by side. When the block ends, all of them are stored.

    Args:
        folder: the run folder. If no copies of its files are kept, each file is stored when it is written.

    Raises:
        OSError: a file could not be stored.
    """
    copies = _copies_of(folder)
    if copies is None or copies.pool is not None:
        yield
        return
    copies.uploads = {}
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="segexport-upload") as pool:
        copies.pool = pool
        try:
            yield
        finally:
            copies.pool = None
    for upload in copies.uploads.values():
        upload.result()


def store(path: StoragePath, written: pathlib.Path) -> None:
    """Store a file in object storage, and keep a copy. In an `uploads` block it is stored in the background.

    Args:
        path: the file.
        written: temporary file with the content; it becomes the copy.

    Raises:
        OSError: the file could not be stored.
    """
    copies = _copies_of(path)
    if copies is None or copies.pool is None:
        _upload(written, path)
        if copies is not None:
            _keep(copies, path, written)
        return
    copy, earlier = _keep(copies, path, written), copies.uploads.get(str(path))
    if earlier is not None:  # the later content must be stored last
        earlier.result()
    copies.uploads[str(path)] = copies.pool.submit(_upload, copy, path)


def _upload(source: pathlib.Path, path: StoragePath) -> None:
    with open_file(as_storage_path(source)) as content, translate_storage_errors(path), path.open("wb") as file:
        shutil.copyfileobj(content, file, COPY_BYTES)


def _keep(copies: _Copies, path: StoragePath, written: pathlib.Path) -> pathlib.Path:
    """Keep the temporary file with which a file was written as its copy, and return the copy."""
    with copies.lock:
        copy = copies.files[str(path)] = written.replace(copies.new_path(path))
        if str(path.parent) in copies.names:
            copies.names[str(path.parent)].add(path.name)
        return copy


def is_written(path: StoragePath) -> bool:
    """Return whether a Parquet or Arrow file of a run exists. Its folder is listed once while copies are kept."""
    copies = _copies_of(path)
    if copies is None:
        return exists(path)
    with copies.lock:
        if str(path) in copies.files:
            return True
        folder = str(path.parent)
        if folder not in copies.names:
            copies.names[folder] = set(listing(path.parent))
        return path.name in copies.names[folder]
