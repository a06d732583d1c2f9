"""Writes local files durably: a file's content reaches the disk before the file gets its name.

A power failure may lose or tear all data that was not synced, in any order. Every file that is read again is therefore
written under a temporary name, synced and renamed, and its folder is synced. Every write to a local disk goes through
this module.
"""

from __future__ import annotations

import errno
import os
import pathlib
import secrets
import shutil
from contextlib import suppress

from airflow_provider_segexport.storage.opening import open_file
from airflow_provider_segexport.storage.private import FOLDER_MODE, open_private

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""Errors of a disk without hard links."""

NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTSUP, errno.ENOSYS}
"""Errors of a disk that cannot sync a folder. Some network disks keep the order of name changes by themselves."""

COPY_BYTES = 8 << 20
"""Bytes of a file that are copied at a time."""


def sync_file(path: pathlib.Path) -> None:
    """Flush a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: pathlib.Path) -> None:
    """Flush the names in a folder to the disk."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise


def make_folder(path: pathlib.Path) -> None:
    """Create a folder and its missing parents durably, with access for this user alone."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for new in reversed(missing):
        new.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(new.parent)


def replace(temp: pathlib.Path, path: pathlib.Path) -> None:
    """Rename a written file durably. A file of that name is replaced."""
    sync_file(temp)
    temp.replace(path)
    sync_folder(path.parent)


SET_ASIDE = "damaged-"
"""Begins the name of a damaged file that a repair has kept."""


def unused(path: pathlib.Path) -> pathlib.Path:
    """Return the path, or the path with random digits added if a file, a folder or a link has its name."""
    return path.with_name(f"{path.name}-{secrets.token_hex(4)}") if os.path.lexists(path) else path


def move_aside(path: pathlib.Path, name: str) -> None:
    """Rename a file, a folder or a link durably, beside itself; nothing if there is none.

    Args:
        path: its present path.
        name: its new name. If that is taken, random digits are added, so that nothing set aside before is lost.
    """
    new = unused(path.with_name(name))
    with suppress(FileNotFoundError):
        path.rename(new)
        sync_folder(path.parent)


def publish(temp: pathlib.Path, path: pathlib.Path) -> None:
    """Give a written file its name durably, if no file has that name. A rename would replace such a file.

    Raises:
        FileExistsError: a file has that name.
    """
    sync_file(temp)
    try:
        os.link(temp, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with open_file(temp) as source, open_private(path, "xb") as file:
            shutil.copyfileobj(source, file, COPY_BYTES)
        sync_file(path)
    sync_folder(path.parent)
