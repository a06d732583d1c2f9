"""Files and folders of this user alone, whatever the umask: what they hold are people."""

from __future__ import annotations

import os
import pathlib
import stat
import tempfile
from contextlib import suppress
from typing import IO, Any

from airflow_provider_segexport.errors import FatalError

FILE_MODE, FOLDER_MODE = 0o600, 0o700
OTHERS = 0o077
"""Bits of a mode that let the group or anybody in."""


def private_file(path: pathlib.Path) -> pathlib.Path:
    """Make an empty file for this user alone, which a library opens by its name to write.

    Raises:
        FileExistsError: something has that name, perhaps a symbolic link.
    """
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE))
    return path


def open_private(path: pathlib.Path, mode: str) -> IO[Any]:
    """Open a file to write as `open` does; a new file is for this user alone, and a symbolic link is refused."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, FILE_MODE))


def own_folder(name: str) -> pathlib.Path:
    """Return this user's folder of that name in the temporary directory, which every user of the machine can write.

    Raises:
        FatalError: the path is a symbolic link or no folder, is another user's, or lets others in.
    """
    path = pathlib.Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    with suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise _unsafe(path, "is a symbolic link or no folder") from None
    try:
        about = os.fstat(opened)
    finally:
        os.close(opened)
    if about.st_uid != os.getuid():
        raise _unsafe(path, f"belongs to the user with the id {about.st_uid}")
    if about.st_mode & OTHERS:
        raise _unsafe(path, f"has the mode {stat.S_IMODE(about.st_mode):04o} and lets other users in")
    return path


def _unsafe(path: pathlib.Path, why: str) -> FatalError:
    return FatalError(
        f"The folder {path} {why}, so another user of this machine may have put it there. To fix: remove it; the next "
        "run makes it anew with the mode 0700."
    )
