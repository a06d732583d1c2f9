"""Creates files that only one writer can create: a hard link on a disk, a conditional put in object storage."""

from __future__ import annotations

import io
import shutil
from dataclasses import dataclass
from functools import partial
from typing import IO

from airflow_provider_segexport.storage.durable import COPY_BYTES, publish
from airflow_provider_segexport.storage.object_store import translate_storage_errors
from airflow_provider_segexport.storage.paths import StoragePath, as_local_path, exists, listing, write_local
from airflow_provider_segexport.storage.side_by_side import side_by_side


def create(path: StoragePath, content: bytes) -> bool:
    """Write a new file, and return whether this writer is certain to be the only one.

    S3, Google Cloud Storage and Azure reject a second writer (`If-None-Match: *`, `ifGenerationMatch: 0`). s3fs, gcsfs
    and adlfs send that condition in mode `xb` (their sources, 2026.9). An S3-compatible server may ignore the
    condition. The same content is therefore put once more, and the store must reject it.

    Returns:
        False if the store may have accepted two writers at the same moment.

    Raises:
        FileExistsError: the file exists.
    """
    return _put_new(path, content) and _rejects_second(path, content)


@dataclass(frozen=True, slots=True)
class Created:
    """The result of `create_and_list`.

    Attributes:
        is_new: the file did not exist. It is also False if a put was repeated because its response was lost, although
            the store had accepted the first put.
        is_certain: the store has not accepted two writers.
        names: the names in the folder, listed after the put.
    """

    is_new: bool
    is_certain: bool
    names: list[str]

    @property
    def is_exclusive(self) -> bool:
        """Whether this writer has created the file, and no other can have written it."""
        return self.is_new and self.is_certain


def create_and_list(path: StoragePath, content: bytes) -> Created:
    """Create a file as `create` does, and list its folder at the same time as the second put."""
    try:
        is_certain = _put_new(path, content)
    except FileExistsError:
        return Created(is_new=False, is_certain=True, names=listing(path.parent))
    if not is_certain:
        return Created(is_new=True, is_certain=False, names=listing(path.parent))
    second = partial(_rejects_second, path, content)
    is_certain, names = side_by_side(path, second, partial(listing, path.parent))
    return Created(is_new=True, is_certain=is_certain, names=names)


def _put_new(path: StoragePath, content: bytes) -> bool:
    """Do the first part of `create`: write a new file, and return whether its path claims to allow one writer only.

    Raises:
        FileExistsError: the file exists.
    """
    local = as_local_path(path)
    if local is None:
        return create_object(path, io.BytesIO(content))
    write_local(local, content, publish)
    return True


def _rejects_second(path: StoragePath, content: bytes) -> bool:
    """Do the second part of `create`: put the content of a new object once more; return whether the store rejects it.

    On a disk nothing is written, and the result is True.
    """
    if as_local_path(path) is not None:
        return True
    try:
        return not create_object(path, io.BytesIO(content))
    except FileExistsError:
        return True


def create_object(path: StoragePath, source: IO[bytes]) -> bool:
    """Put a new object, and return whether the store itself made sure that it is new.

    Returns:
        False if the store has no conditional put, so its existence was only checked before.

    Raises:
        FileExistsError: the object exists.
    """
    try:
        with translate_storage_errors(path):
            file = path.open("xb")
    except (ValueError, NotImplementedError):  # the store has no exclusive mode
        if exists(path):
            raise FileExistsError(str(path)) from None
        with translate_storage_errors(path), path.open("wb") as plain:
            shutil.copyfileobj(source, plain, COPY_BYTES)
        return False
    try:
        with translate_storage_errors(path):
            shutil.copyfileobj(source, file, COPY_BYTES)
            file.close()
    except OSError as error:  # each store has its own error for a condition that is not met
        if not isinstance(error, FileExistsError) and exists(path):
            raise FileExistsError(str(path)) from error
        raise
    return True
