"""Data before the name: a local file's content reaches the disk before the file gets its name.

A loss of power may drop or tear whatever was not synced, in any order. So every file that is read again is written
under another name, synced and renamed, and the folder is synced. Every write to a local disk goes through this module.
"""

from __future__ import annotations

import errno
import os
import pathlib
import shutil

from airflow_provider_segexport.storage.private import FOLDER_MODE, open_private

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What a disk answers that knows no hard links."""

NO_FOLDER_SYNC = {errno.EINVAL, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTSUP, errno.ENOSYS}
"""What a disk answers that cannot sync a folder: some network disks keep names in order by themselves."""

COPY_BYTES = 8 << 20
"""So much of a file is copied at a time."""


def sync_file(path: pathlib.Path) -> None:
    """Bring a file's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: pathlib.Path) -> None:
    """Bring the names in a folder to the disk."""
    try:
        sync_file(path)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise


def make_folder(path: pathlib.Path) -> None:
    """Make a folder and the folders above it that are missing, for this user alone, each with its name on the disk."""
    missing = []
    while not path.exists():
        missing.append(path)
        path = path.parent
    for new in reversed(missing):
        new.mkdir(mode=FOLDER_MODE, exist_ok=True)
        sync_folder(new.parent)


def replace(half: pathlib.Path, path: pathlib.Path) -> None:
    """Give a written file its name, in place of a file that has it."""
    sync_file(half)
    half.replace(path)
    sync_folder(path.parent)


def publish(half: pathlib.Path, path: pathlib.Path) -> None:
    """Give a written file its name, if no file has that name.

    Raises:
        FileExistsError: a file has it; a rename would have replaced that.
    """
    sync_file(half)
    try:
        os.link(half, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with half.open("rb") as source, open_private(path, "xb") as file:
            shutil.copyfileobj(source, file, COPY_BYTES)
        sync_file(path)
    sync_folder(path.parent)
