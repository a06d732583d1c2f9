"""Folders and files wherever they lie: a local path, or any path-like over fsspec that Airflow opens."""

from __future__ import annotations

import errno
import io
import math
import os
import pathlib
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Protocol, runtime_checkable

from airflow_provider_segexport.storage.durable import make_folder, publish, replace
from airflow_provider_segexport.storage.private import open_private


@runtime_checkable
class StoragePath(Protocol):
    """What `pathlib.Path`, `upath.UPath` and Airflow's `ObjectStoragePath` have in common."""

    @property
    def name(self) -> str:
        """The last part."""

    @property
    def parent(self) -> StoragePath:
        """The folder it lies in."""

    def __truediv__(self, other: str, /) -> StoragePath: ...

    def open(self, mode: str = ...) -> IO[Any]:
        """A file object."""

    def exists(self) -> bool:
        """Whether something is there."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""

    def iterdir(self) -> Iterator[StoragePath]:
        """What lies in it."""

    def glob(self, pattern: str, /) -> Iterator[StoragePath]:
        """What matches under it."""

    def mkdir(self, *, parents: bool = ..., exist_ok: bool = ...) -> None:
        """Make the folder, where folders are made."""

    def unlink(self, *, missing_ok: bool = ...) -> None:
        """Remove the file."""


PathResolver = Callable[[str], StoragePath]
"""How a text becomes a place; Airflow's shell brings one that knows object storage."""


def local_path(text: str) -> StoragePath:
    """A local path, also when written as a `file://` address."""
    return as_storage_path(pathlib.Path(text.removeprefix("file://")))


def as_storage_path(found: Any) -> StoragePath:
    """Tell the type checker that a path-like is a place."""
    place: StoragePath = found
    return place


def as_local_path(path: StoragePath) -> pathlib.Path | None:
    """The place as a local path; None where it lies elsewhere."""
    found: Any = path
    return found if isinstance(found, pathlib.Path) else None


CLIENTS = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "adlfs", "requests", "urllib3", "paramiko"}
"""Libraries through which fsspec reaches stores. What they raise when they cannot is not always an OSError: s3fs lets
botocore's EndpointConnectionError through, gcsfs has an HttpError (their sources, 2026.9)."""


@contextmanager
def translate_storage_errors(path: StoragePath) -> Iterator[None]:
    """The border where errors of a store's library become an OSError, as a disk's are.

    Its own words may hold a signed address, or a key: they stay with the cause.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] not in CLIENTS:
            raise
        raise OSError(errno.EIO, f"The store cannot be reached ({type(error).__name__})", str(path)) from None


def temp_name(path: pathlib.Path) -> pathlib.Path:
    """A name beside it that nobody else writes: machines that share a disk may share process ids too."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.half")


HALF = re.compile(r"\..+\.[0-9a-f]{12}\.half")
HALF_S = 6 * 3600.0
"""What is half written for so long is written by nobody any more."""


def remove_stale_temp_files(path: StoragePath) -> None:
    """Remove what killed processes have left half written in a local folder and below; nobody else's files.

    In object storage nothing is written in halves; uploads in parts that were never completed cost space until the
    bucket's own rule ends them (`AbortIncompleteMultipartUpload` at S3).
    """
    top = as_local_path(path)
    if top is None:
        return
    for half in top.rglob(".*.half"):
        with suppress(OSError):  # its writer has just ended, or another process sweeps as well
            if HALF.fullmatch(half.name) and time.time() - half.stat().st_mtime > HALF_S:
                half.unlink()


PART = 8 << 20
"""So much of a file is copied at a time."""


def create(place: StoragePath, content: bytes) -> bool:
    """Write a file that is not there yet; False where the store may have let two writers do so at the same moment.

    S3, Google Cloud Storage and Azure refuse a second one (`If-None-Match: *`, `ifGenerationMatch: 0`); s3fs,
    gcsfs and adlfs ask for it in mode `xb` (their sources, 2026.9). A server that only looks like S3 may pass over the
    condition: so the same content is put once more, which must be refused.

    Raises:
        FileExistsError: it is there.
    """
    path = as_local_path(place)
    if path is not None:
        make_folder(path.parent)
        half = temp_name(path)
        try:
            with open_private(half, "xb") as file:
                file.write(content)
            publish(half, path)
        finally:
            half.unlink(missing_ok=True)
        return True
    if not put_new(place, io.BytesIO(content)):
        return False
    try:
        return not put_new(place, io.BytesIO(content))
    except FileExistsError:
        return True


def put_new(path: StoragePath, source: IO[bytes]) -> bool:
    """Put an object that is not there yet; False where the store has no way to say so, and was only asked before.

    Raises:
        FileExistsError: it is there.
    """
    try:
        with translate_storage_errors(path):
            file = path.open("xb")
    except (ValueError, NotImplementedError):  # the store knows no exclusive mode
        if exists(path):
            raise FileExistsError(str(path)) from None
        with translate_storage_errors(path), path.open("wb") as plain:
            shutil.copyfileobj(source, plain, PART)
        return False
    try:
        with translate_storage_errors(path):
            shutil.copyfileobj(source, file, PART)
            file.close()
    except OSError as error:  # each store has an error of its own for a condition that does not hold
        if not isinstance(error, FileExistsError) and exists(path):
            raise FileExistsError(str(path)) from error
        raise
    return True


def exists(path: StoragePath) -> bool:
    """Whether something is there now."""
    with translate_storage_errors(path):
        return uncached(path).exists()


def uncached(path: StoragePath) -> StoragePath:
    """The same place, of which nothing is remembered: fsspec keeps listings, and other machines write there too.

    Airflow's path opens files through one file system, and lists through that of the path which it wraps.
    """
    for one in (path, getattr(path, "__wrapped__", None)):
        store: Any = getattr(one, "fs", None)
        if store is not None:
            store.invalidate_cache(getattr(one, "path", None))
    return path


def write(place: StoragePath, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never half of it."""
    path = as_local_path(place)
    if path is None:  # an object is put as a whole when it is closed
        with translate_storage_errors(place), place.open("wb") as file:
            file.write(content)
        return
    make_folder(path.parent)
    half = temp_name(path)
    try:
        with open_private(half, "xb") as file:
            file.write(content)
        replace(half, path)
    finally:
        half.unlink(missing_ok=True)


READS = 5
"""Reads of one object that another process writes meanwhile: s3fs asks for its length first, and a read of another
version then answers 412, which is EBUSY or EINVAL (s3fs 2026.9)."""


def read(path: StoragePath) -> bytes:
    """The content of a file as it is now: an object's length is not taken from an older listing."""
    for again in range(READS - 1, -1, -1):
        try:
            with translate_storage_errors(path), uncached(path).open("rb") as file:
                content: bytes = file.read()
                return content
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.EINVAL} or not again:
                raise
    raise AssertionError  # the last read has returned or raised


def folder(place: StoragePath) -> StoragePath:
    """The folder, made if it is not there."""
    path = as_local_path(place)
    if path is not None:
        make_folder(path)
        return place
    with translate_storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
    return place


def listing(place: StoragePath) -> list[str]:
    """The names in a folder, not sorted, by one request to a store; none when it is not there."""
    path = as_local_path(place)
    store: Any = getattr(uncached(place), "fs", None) if path is None else None
    with translate_storage_errors(place), suppress(FileNotFoundError):
        if path is not None:
            return os.listdir(path)  # noqa: PTH208 - asked before every call; the names are all that is needed
        if store is None:
            return [one.name for one in place.iterdir()]
        at: Any = place
        return [str(name).rstrip("/").rpartition("/")[2] for name in store.ls(at.path, detail=False)]
    return []


def list_names(path: StoragePath) -> list[str]:
    """The names in a folder, sorted; none when it is not there."""
    with translate_storage_errors(path):
        return sorted(one.name for one in path.iterdir()) if uncached(path).exists() else []


def modified(path: StoragePath) -> float:
    """When a file was written last, epoch seconds; infinity if its store does not tell."""
    at: Any = path
    try:
        with translate_storage_errors(path):
            return float(at.stat().st_mtime)
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        return math.inf
