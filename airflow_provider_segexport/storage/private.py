"""Creates files and folders that only this user can access, whatever the umask, because they hold personal data."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
import tempfile
from contextlib import suppress
from typing import IO, Any

from airflow_provider_segexport.errors import FatalError

FILE_MODE, FOLDER_MODE = 0o600, 0o700
DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk or quota without space."""

OTHERS_MODE_BITS = 0o077
"""Mode bits that give access to the group or to all users."""


def private_file(path: pathlib.Path) -> pathlib.Path:
    """Create an empty file that only this user can access, so that a library can open it by its name to write.

    Raises:
        FileExistsError: a file, folder or symbolic link has that name.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))
    return path


def open_private(path: pathlib.Path, mode: str) -> IO[Any]:
    """Open a file to write, as `open` does. Only this user can access a new file. A symbolic link is rejected."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, FILE_MODE))


def own_folder(name: str) -> pathlib.Path:
    """Return this user's folder in the temporary directory, in which every user of the machine can create files.

    Raises:
        FatalError: the path is a symbolic link or no folder, belongs to another user, gives others access, or cannot be
            created.
        OSError: the disk is full.
    """
    try:
        path = pathlib.Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
        with suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
    except OSError as error:
        if error.errno in DISK_FULL_ERRNOS:
            raise
        raise _unusable(name, error.errno or errno.ENOENT) from None
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise _unsafe(path, "is a symbolic link or no folder") from None
    try:
        status = os.fstat(opened)
    finally:
        os.close(opened)
    if status.st_uid != os.getuid():
        raise _unsafe(path, f"belongs to the user with the id {status.st_uid}")
    if status.st_mode & OTHERS_MODE_BITS:
        raise _unsafe(path, f"has the mode {stat.S_IMODE(status.st_mode):04o}, which gives other users access")
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(name, errno.EACCES)
    return path


def _unusable(name: str, number: int) -> FatalError:
    return FatalError(
        f"The folder {name}-{os.getuid()} cannot be used in the directory for temporary files ({os.strerror(number)}). "
        "To fix: set TMPDIR to a directory in which this user can create folders and files."
    )


def _unsafe(path: pathlib.Path, reason: str) -> FatalError:
    return FatalError(
        f"The folder {path} {reason}, so another user of this machine may have created it. To fix: remove it; the next "
        "run creates it with the mode 0700."
    )
